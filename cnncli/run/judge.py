"""Compute the probabilities of labelled images, each of several processes a slice of them."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from cnncli.arrays import Array
from cnncli.choices import OnBadImage
from cnncli.data.loader import Loader, SplitDataset
from cnncli.data.manifest import UNSEEN, load_manifest
from cnncli.data.samples import Samples, select_samples
from cnncli.data.store import Bad, ImageStore, NoneReadableError, fits_in_memory, load_images
from cnncli.errors import CnncliError
from cnncli.files import SPLITS_FILE
from cnncli.images.intensity import mean_fraction
from cnncli.images.preprocess import Preprocess
from cnncli.models.build import Classifier
from cnncli.reporting import Reporter
from cnncli.run.bad_images import check_bad, keep_good
from cnncli.run.odd_images import is_unlike_training, warn_of_colour, warn_unlike_training
from cnncli.run.report import evaluation_batch
from cnncli.run.scales import warn_of_dark
from cnncli.training.cores import count_cpus
from cnncli.training.device import Compute
from cnncli.training.predictions import predict_split
from cnncli.training.views import Views


@dataclass(frozen=True)
class Judge:
    """A classifier on its device, and how it looks at images.

    Attributes:
        classifier: Normalisation, network and softmax, in eval mode on the device.
        preprocess: Turns the content of an image file into the network's input.
        compute: Device, precision, and the processes that work together.
        views: Yields the views of a batch of images; None for the images alone.
        on_bad_image: ``error`` refuses images that cannot be read, ``skip`` leaves them out.
        reporter: Gets warnings and progress.
        slices: Keeps the images that were read last, for a next judge of the same ones.
    """

    classifier: Classifier
    preprocess: Preprocess
    compute: Compute
    views: Views | None
    on_bad_image: OnBadImage
    reporter: Reporter
    slices: LastSlice = field(default_factory=lambda: LastSlice())

    def judge(
        self, samples: Samples, *, run_dir: Path, label: str = "evaluating"
    ) -> tuple[Samples, Array, Array]:
        """Compute the probabilities of images.

        Args:
            samples: The images.
            run_dir: The run's folder, whose ``splits.csv`` says which are images of the run.
            label: What the progress bar is called.

        Returns:
            The N images that could be read, their class numbers (N,) and probabilities (N, K).

        Raises:
            CnncliError: If an image cannot be read, or none is left.
        """
        good, targets, probabilities = self.judge_numbers(samples, run_dir=run_dir, label=label)
        if not len(good):
            raise none_left()
        return select_samples(samples, good), targets, probabilities

    def judge_numbers(
        self, samples: Samples, *, run_dir: Path, label: str
    ) -> tuple[Array, Array, Array]:
        """Compute the probabilities of images, as `judge` does; it may be that none can be read.

        Returns:
            The numbers (N,) of the images that could be read, their class numbers (N,) and
            probabilities (N, K).

        Raises:
            CnncliError: If an image cannot be read, and is not to be left out.
        """
        world, reporter = self.compute.world, self.reporter
        numbers = world.slice(np.arange(len(samples)))
        part = select_samples(samples, numbers)
        store, bad = self._open(part, run_dir=run_dir)
        bad_before = self._gather_bad(bad, numbers)
        check_bad(samples, bad_before, self.on_bad_image, reporter)
        targets, probabilities = samples.targets[:0], np.empty((0, len(samples.class_names)))
        if len(bad_before) == len(samples):
            return np.array([], np.int64), targets, probabilities
        dataset = SplitDataset(store, keep_good(len(part), bad), part.targets)
        loader = Loader(dataset, evaluation_batch(self.preprocess))
        with suppress(NoneReadableError), reporter.progress(label, len(part)) as advance:
            targets, probabilities = predict_split(
                self.classifier, loader, self.compute, advance, self.views, sliced=True
            )
        bad_since = self._gather_bad(loader.bad, numbers)
        check_bad(samples, bad_since, self.on_bad_image, reporter)
        return keep_good(len(samples), {**bad_before, **bad_since}), targets, probabilities

    def _open(self, samples: Samples, *, run_dir: Path) -> tuple[ImageStore, Bad]:
        """Return the images, and those that are unreadable; warn of those that look odd."""
        found = self.slices.find(samples, self.preprocess)
        if found is None:
            found = self._read(samples)
            self.slices.keep(samples, *found)
            warn_of_dark(samples, found[0], self.reporter)
            self._warn_unlike(samples, found[0], run_dir=run_dir)
        return found

    def _read(self, samples: Samples) -> tuple[ImageStore, Bad]:
        """Return the images, read now if they fit in memory, and those that are unreadable."""
        if not fits_in_memory(len(samples), self.preprocess):
            return ImageStore(samples.source, self.preprocess), {}
        with self.reporter.progress("reading images", len(samples)) as advance:
            store, _, bad = load_images(
                samples, self.preprocess, threads=count_cpus(), advance=advance
            )
        return store, bad

    def _gather_bad(self, bad: Bad, numbers: Array) -> Bad:
        """Return the images that any process could not read.

        Args:
            bad: The images that this process could not read, by number in its slice, and why.
            numbers: The numbers, among all images, of those in this process's slice.

        Returns:
            The images by number among all of them, and why they cannot be read.
        """
        ours = {int(numbers[index]): reason for index, reason in bad.items()}
        parts = self.compute.world.gather(ours)
        return {index: reason for part in parts for index, reason in part.items()}

    def _warn_unlike(self, samples: Samples, store: ImageStore, *, run_dir: Path) -> None:
        """Warn of images, of those read before, that are hardly like the training images.

        The run's own images were looked at when it chose grey, wherever they lie now.
        """

        def name(found: Iterable[int]) -> tuple[int, str]:
            parts = self.compute.world.gather([str(samples.paths[index]) for index in found])
            paths = [path for part in parts for path in part]
            return len(paths), paths[0] if paths else ""

        cuts = () if store.cut is None else store.cut.tolist()
        unlike = (i for i, cut in enumerate(cuts) if is_unlike_training(cut, store.preprocess))
        warn_unlike_training(*name(unlike), store.preprocess, self.reporter)
        found = np.flatnonzero(() if store.coloured is None else store.coloured)
        manifest = load_manifest(run_dir / SPLITS_FILE) if len(found) else None
        if manifest is not None:
            rows = manifest.look_up(select_samples(samples, found), threads=count_cpus())
            found = found[rows == UNSEEN]
        warn_of_colour(*name(found), self.reporter)


def none_left() -> CnncliError:
    """Return the error to raise where no image is left to evaluate."""
    return CnncliError("--data: no image is left to evaluate; cnncli check-data names them")


@dataclass
class LastSlice:
    """The images that were read last: networks of one kind take the same.

    Attributes:
        last: The paths, the images, and those that are unreadable; None before the first.
    """

    last: tuple[Array, ImageStore, Bad] | None = None

    def keep(self, samples: Samples, store: ImageStore, bad: Bad) -> None:
        """Keep what was read, in place of what was kept before."""
        self.last = samples.paths, store, bad

    def measure_brightness(self, samples: Samples) -> Array | None:
        """Return (N,) how light images are to the network, 0–1; None if they are not kept.

        Args:
            samples: Images of those that were read last.
        """
        if self.last is None:
            return None
        paths, cached = self.last[0], self.last[1].cached
        if cached is None:
            return None
        place = {path: index for index, path in enumerate(paths.tolist())}
        images = (cached[place[path]].numpy() for path in samples.paths.tolist())
        return np.array([mean_fraction(image) for image in images])

    def find(self, samples: Samples, preprocess: Preprocess) -> tuple[ImageStore, Bad] | None:
        """Return what was kept if it is of the same images, for a network of the same input.

        Args:
            samples: The images.
            preprocess: What the network takes; its mean and deviation may be others, since the
                network normalises.
        """
        if self.last is None:
            return None
        paths, store, bad = self.last
        form = replace(store.preprocess, mean=preprocess.mean, std=preprocess.std)
        if form != preprocess or not np.array_equal(paths, samples.paths):
            return None
        return replace(store, preprocess=preprocess), dict(bad)
