"""The probabilities that one or several networks give labelled images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from cnncli.arrays import Array
from cnncli.augmentation.notation import Tta
from cnncli.choices import OnBadImage
from cnncli.data.loader import Loader, SplitDataset
from cnncli.data.samples import Samples, select_samples
from cnncli.data.store import Bad, ImageStore, fits_in_memory, load_images
from cnncli.errors import CnncliError
from cnncli.images.preprocess import Preprocess
from cnncli.reporting import Reporter
from cnncli.run.bad_images import check_bad, keep_good
from cnncli.run.members import align_classes
from cnncli.run.report import evaluation_batch
from cnncli.run.scales import warn_of_dark
from cnncli.run.warn_of_cut import is_unlike_training, warn_of_colour, warn_unlike_training
from cnncli.training.checkpoint import Checkpoint, load_checkpoint
from cnncli.training.device import Compute, count_cpus
from cnncli.training.distributed import World
from cnncli.training.predictions import predict_split
from cnncli.training.views import build_views


@dataclass(frozen=True)
class Member:
    """A network and the images that it judges.

    Attributes:
        path: The checkpoint's file.
        indices: (M,) numbers of the images among all; an image that several members judge gets
            the mean of their probabilities.
        loaded: The network and all else that the file holds, where it was read before.
    """

    path: Path
    indices: Array
    loaded: tuple[nn.Module, Checkpoint] | None = None


@dataclass(frozen=True)
class Judged:
    """Images with their probabilities.

    Attributes:
        samples: The N images that could be read, in their order.
        kept: (N,) their numbers among all that were given.
        probabilities: (N, K) in float64, the classes in the order of the first member.
    """

    samples: Samples
    kept: Array
    probabilities: Array


def judge_images(
    samples: Samples,
    members: Sequence[Member],
    compute: Compute,
    reporter: Reporter,
    *,
    on_bad_image: OnBadImage,
    tta: Tta | None = None,
    is_own: bool = True,
) -> Judged:
    """Compute the probabilities of images.

    Args:
        samples: The images, their classes in the order of the first member's. Each is judged by one
            member at least.
        members: The networks; each of several processes takes a slice of the images of each.
        compute: Device, precision and processes.
        reporter: Gets warnings and progress.
        on_bad_image: ``error`` refuses images that cannot be read, ``skip`` leaves them out.
        tta: Views of each image, over which the probabilities are averaged; None for the image
            alone.
        is_own: Whether they are the images of the run, which were looked at when it began.

    Raises:
        CnncliError: If an image cannot be read, or none is left.
    """
    sums = np.zeros((len(samples), len(samples.class_names)))
    counts = np.zeros(len(samples))
    all_bad: Bad = {}
    images = _Images(compute.world, reporter, is_own=is_own)
    for number, member in enumerate(members, start=1):
        if not len(member.indices):
            continue
        network, checkpoint = member.loaded or load_checkpoint(member.path)
        order = align_classes(samples.class_names, checkpoint.class_names, member.path)
        network.to(compute.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        classifier = checkpoint.classifier(network).to(compute.device)
        views = None if tta is None else build_views(tta, checkpoint.augment)
        mine = select_samples(samples, member.indices)
        part, store, bad = images.open(mine, member.indices, checkpoint)
        numbers = compute.world.slice(np.arange(len(mine)))
        before = _gather_bad(bad, numbers, compute.world)
        check_bad(mine, before, on_bad_image, reporter)
        if len(before) == len(mine):
            raise CnncliError("--data: no image is left to evaluate; cnncli check-data names them")
        loader = Loader(
            SplitDataset(store, keep_good(len(part), bad), part.targets),
            evaluation_batch(checkpoint.preprocess),
        )
        label = "evaluating" if len(members) == 1 else f"network {number} of {len(members)}"
        with reporter.progress(label, len(part)) as advance:
            _, found = predict_split(classifier, loader, compute, advance, views, sliced=True)
        since = _gather_bad(loader.bad, numbers, compute.world)
        check_bad(mine, since, on_bad_image, reporter)
        kept = member.indices[keep_good(len(mine), {**before, **since})]
        sums[kept] += found[:, order]
        counts[kept] += 1
        all_bad |= {int(member.indices[i]): why for i, why in {**before, **since}.items()}
    kept = keep_good(len(samples), all_bad)
    return Judged(select_samples(samples, kept), kept, sums[kept] / counts[kept, None])


class _Images:
    """Reads this process's slice of images; not again where the next network takes the same."""

    def __init__(self, world: World, reporter: Reporter, *, is_own: bool) -> None:
        self._world, self._reporter, self._is_own = world, reporter, is_own
        self._last: tuple[Preprocess, Array, Samples, ImageStore, Bad] | None = None

    def open(
        self, samples: Samples, indices: Array, checkpoint: Checkpoint
    ) -> tuple[Samples, ImageStore, Bad]:
        """Return the slice, its preprocessed images, and those of it that cannot be read.

        Args:
            samples: M images.
            indices: (M,) their numbers among all.
            checkpoint: The network that takes them.
        """
        form = replace(checkpoint.preprocess, mean=(), std=())  # the network normalises
        last = self._last
        if last is None or last[0] != form or not np.array_equal(last[1], indices):
            part = select_samples(samples, self._world.slice(np.arange(len(samples))))
            store, bad = _open(part, checkpoint.preprocess, self._reporter)
            warn_of_dark(part, store, self._reporter)
            self._warn_unlike(part, store)
            last = self._last = form, indices, part, store, bad
        _, _, part, store, bad = last
        return part, replace(store, preprocess=checkpoint.preprocess), dict(bad)

    def _warn_unlike(self, samples: Samples, store: ImageStore) -> None:
        """Warn of images, of those read before, that are hardly like the training images.

        Its own images were looked at when the run chose grey.
        """

        def name(found: Iterable[int]) -> tuple[int, str]:
            parts = self._world.gather([str(samples.paths[index]) for index in found])
            paths = [path for part in parts for path in part]
            return len(paths), paths[0] if paths else ""

        cuts = () if store.cut is None else store.cut.tolist()
        unlike = (i for i, cut in enumerate(cuts) if is_unlike_training(cut, store.preprocess))
        warn_unlike_training(*name(unlike), store.preprocess, self._reporter)
        if not self._is_own:
            coloured = np.flatnonzero(() if store.coloured is None else store.coloured)
            warn_of_colour(*name(coloured), self._reporter)


def _gather_bad(bad: Bad, numbers: Array, world: World) -> Bad:
    """Return the images that any process could not read.

    Args:
        bad: The images that this process could not read, by number in its slice, and why.
        numbers: The numbers, among all images, of those in this process's slice.
        world: The processes that work together.

    Returns:
        The images by number among all of them, and why they cannot be read.
    """
    ours = {int(numbers[index]): reason for index, reason in bad.items()}
    return {index: reason for part in world.gather(ours) for index, reason in part.items()}


def _open(samples: Samples, preprocess: Preprocess, reporter: Reporter) -> tuple[ImageStore, Bad]:
    """Return the preprocessed images, read now if they fit in memory, and those unreadable."""
    if not fits_in_memory(len(samples), preprocess):
        return ImageStore(samples.source, preprocess), {}
    with reporter.progress("reading images", len(samples)) as advance:
        store, _, bad = load_images(samples, preprocess, threads=count_cpus(), advance=advance)
    return store, bad
