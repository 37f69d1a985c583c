"""The probabilities that several networks give labelled images, each the images that are its own.

An image of a cross-validation is judged by the network that did not see it, any other by all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from cnncli.arrays import Array
from cnncli.augmentation.notation import Tta
from cnncli.choices import OnBadImage
from cnncli.data.samples import Samples, select_samples
from cnncli.reporting import Reporter
from cnncli.run.judge import Judge, LastSlice, none_left
from cnncli.run.members import align_classes
from cnncli.training.checkpoint import load_checkpoint
from cnncli.training.device import Compute
from cnncli.training.views import build_views


@dataclass(frozen=True)
class Member:
    """A network and the images that it judges.

    Attributes:
        path: The checkpoint's file.
        indices: (M,) numbers of the images among all; an image that several members judge gets
            the mean of their probabilities.
    """

    path: Path
    indices: Array


@dataclass(frozen=True)
class Judged:
    """Images with their probabilities.

    Attributes:
        samples: The N images that could be read, in their order.
        kept: (N,) their numbers among all that were given.
        probabilities: (N, K) in float64, the classes in the order of the samples'.
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
    run_dir: Path,
    on_bad_image: OnBadImage,
    tta: Tta | None = None,
) -> Judged:
    """Compute the probabilities of images.

    Args:
        samples: The images; each is judged by one member at least.
        members: The networks; each of several processes takes a slice of the images of each.
        compute: Device, precision and processes.
        reporter: Gets warnings and progress.
        run_dir: The folder whose ``splits.csv`` says which images are the run's own.
        on_bad_image: ``error`` refuses images that cannot be read, ``skip`` leaves them out.
        tta: Views of each image, over which the probabilities are averaged; None for the image
            alone.

    Raises:
        CnncliError: If an image cannot be read and is not to be left out, or if none is left.
    """
    sums = np.zeros((len(samples), len(samples.class_names)))
    counts = np.zeros(len(samples), np.int64)
    wanted = np.zeros(len(samples), np.int64)
    slices = LastSlice()
    for number, member in enumerate(members, start=1):
        wanted[member.indices] += 1
        if not len(member.indices):
            continue
        network, checkpoint = load_checkpoint(member.path)
        order = align_classes(samples.class_names, checkpoint.class_names, member.path)
        network.to(compute.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        judge = Judge(
            checkpoint.classifier(network).to(compute.device),
            checkpoint.preprocess,
            compute,
            None if tta is None else build_views(tta, checkpoint.augment),
            on_bad_image,
            reporter,
            slices,
        )
        good, _, found = judge.judge_numbers(
            select_samples(samples, member.indices),
            run_dir=run_dir,
            label=f"network {number} of {len(members)}",
        )
        sums[member.indices[good]] += found[:, order]
        counts[member.indices[good]] += 1
    kept = np.flatnonzero((counts == wanted) & (counts > 0))  # what one could not read is left out
    if not len(kept):
        raise none_left()
    return Judged(select_samples(samples, kept), kept, sums[kept] / counts[kept, None])
