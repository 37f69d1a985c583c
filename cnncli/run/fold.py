"""One fold of a cross-validation, as its run is handed it: images, splits and a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from cnncli.arrays import Array
from cnncli.data.exclude import save_excluded
from cnncli.data.manifest import save_manifest
from cnncli.data.samples import NO_SPLIT, Samples
from cnncli.data.splits import TEST, TRAIN
from cnncli.files import SPLITS_FILE, write_atomically
from cnncli.run.bad_images import save_bad
from cnncli.run.folder import new_fold_dir
from cnncli.run.opened_images import OpenedImages
from cnncli.run.prepared_run import PreparedRun
from cnncli.run.resume import was_trained


@dataclass(frozen=True)
class Fold:
    """One fold.

    Attributes:
        run_dir: The folder of its run, ``fold3`` in that of the cross-validation.
        samples: The N images of all folds.
        splits: (N,) indices into SPLITS: test is the fold itself.
        numbers: (N,) fold of each image, from 1; 0 for an image that is in none.
        images: The images that were read for an earlier fold.
        share: Returns the seconds that the fold may train; None for no limit.
    """

    run_dir: Path
    samples: Samples
    splits: Array
    numbers: Array
    images: OpenedImages
    share: Callable[[], float | None] = lambda: None

    def limit_time(self, run: PreparedRun) -> PreparedRun:
        """Return the fold's run with the fold's share of the time, once its images are read."""
        seconds = self.share()
        if seconds is None:
            return run
        limit = f"{max(0.1, seconds):.1f}s"
        return replace(run, config=run.config.model_copy(update={"time_limit": limit}))

    @contextmanager
    def new_dir(self, run: PreparedRun) -> Iterator[Path]:
        """Make the fold's folder, and write the cross-validation's ``splits.csv`` before it.

        Args:
            run: The fold's run, whose images are read.
        """
        folder = self.run_dir.parent
        if not (folder / SPLITS_FILE).exists():
            write_folds(folder, run, self.numbers)
        with new_fold_dir(self.run_dir, was_trained) as path:
            yield path


def write_folds(folder: Path, run: PreparedRun, numbers: Array) -> None:
    """Write ``splits.csv`` of a cross-validation, and the list of the images that it leaves out.

    Args:
        folder: The folder of the cross-validation.
        run: The run of a fold; its splits say which images cannot be used.
        numbers: (N,) fold of each image, from 1; 0 for one that is in none.
    """
    splits = run.samples.splits.copy()
    splits[numbers > 0] = TRAIN
    splits[(numbers == 0) & (splits != TEST)] = NO_SPLIT
    splits[list(run.bad)] = NO_SPLIT

    def write(part: Path) -> None:
        save_manifest(part, run.samples, splits, run.digests, numbers)

    save_bad(folder, run.samples, run.bad)
    save_excluded(folder, run.samples.excluded)
    write_atomically(folder / SPLITS_FILE, write)
