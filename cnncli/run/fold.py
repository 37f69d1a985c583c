"""One fold of a cross-validation, as its run is handed it: images, splits and a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cnncli.arrays import Array
from cnncli.data.exclude import save_excluded
from cnncli.data.manifest import digest_files, save_manifest
from cnncli.data.samples import NO_SPLIT, Samples, text_array
from cnncli.data.splits import TEST, TRAIN
from cnncli.data.store import FileDigests
from cnncli.files import (
    BAD_IMAGES_FILE,
    BEST_FILE,
    EXCLUDED_FILE,
    LAST_FILE,
    REPORT_FILE,
    SPLITS_FILE,
    write_atomically,
)
from cnncli.run.bad_images import save_bad
from cnncli.run.folder import new_fold_dir
from cnncli.run.opened_images import OpenedImages
from cnncli.run.plan_folds import FoldPlan
from cnncli.run.prepared_run import PreparedRun
from cnncli.run.resume import was_trained
from cnncli.training.cores import count_cpus
from cnncli.training.find_run import list_folds


@dataclass(frozen=True)
class Fold:
    """One fold.

    Attributes:
        run_dir: The folder of its run, ``fold3`` in that of the cross-validation.
        plan: The images of all folds.
        number: Its number, from 1.
        images: The images that were read for an earlier fold.
        share: Returns the seconds that the fold may train; None for no limit.
    """

    run_dir: Path
    plan: FoldPlan
    number: int
    images: OpenedImages
    share: Callable[[], float | None] = lambda: None

    @property
    def samples(self) -> Samples:
        """The M images that are in a fold."""
        return self.plan.inner

    @property
    def splits(self) -> Array:
        """The splits (M,) of the fold's run as indices into SPLITS: test is the fold itself."""
        return self.plan.splits[self.number - 1]

    def settle(self, run: PreparedRun) -> PreparedRun:
        """Return the fold's run with the settings that are known once its images are read.

        Those are its share of the time, and the list of what is in no fold, which lies in its
        folder: its settings by themselves then give the same run.
        """
        known = {}
        seconds = self.share()
        if seconds is not None:
            known["time_limit"] = f"{max(0.1, seconds):.1f}s"
        if run.samples.excluded:
            known["exclude"] = str(self.run_dir / EXCLUDED_FILE)
        return replace(run, config=run.config.model_copy(update=known))

    @contextmanager
    def new_dir(self, run: PreparedRun) -> Iterator[Path]:
        """Make the fold's folder, and write the cross-validation's ``splits.csv`` before it.

        Until a fold has begun, that file may be of a process that was killed, and of other images.

        Args:
            run: The fold's run, whose images are read.
        """
        folder = self.run_dir.parent
        if not has_begun(folder):
            write_folds(folder, run, self.plan)
        with new_fold_dir(self.run_dir, was_trained) as path:
            yield path


def has_begun(folder: Path) -> bool:
    """Return whether a fold of a cross-validation has saved something that it has trained.

    Args:
        folder: The folder of the cross-validation.
    """
    return any(map(has_state, list_folds(folder)))


def has_state(fold: Path) -> bool:
    """Return whether a fold has saved something that it has trained.

    Args:
        fold: The folder of its run, which need not exist.
    """
    return any((fold / name).is_file() for name in (LAST_FILE, BEST_FILE, REPORT_FILE))


def write_folds(folder: Path, run: PreparedRun, plan: FoldPlan) -> None:
    """Write ``splits.csv`` of a cross-validation, and the list of the images that it leaves out.

    Args:
        folder: The folder of the cross-validation.
        run: The run of a fold, which has read the images and knows which cannot be used.
        plan: The N images and their folds.
    """
    samples, pool = plan.samples, np.flatnonzero(plan.numbers > 0)
    kept_out = np.flatnonzero((plan.numbers == 0) & (samples.splits == TEST))
    bad = {int(pool[index]): why for index, why in run.bad.items()}
    splits = np.full(len(samples), NO_SPLIT, np.int8)
    splits[pool], splits[kept_out] = TRAIN, TEST
    splits[list(bad)] = NO_SPLIT
    sizes = np.zeros(len(samples), np.int64)
    hashes = text_array([""] * len(samples))
    others = digest_files(samples, threads=count_cpus(), indices=kept_out)
    for indices, digests in ((pool, run.digests), (kept_out, others)):
        sizes[indices], hashes[indices] = digests.sizes, digests.hashes

    def write(part: Path) -> None:
        save_manifest(part, samples, splits, FileDigests(sizes, hashes), plan.numbers)

    for name in (BAD_IMAGES_FILE, EXCLUDED_FILE):
        (folder / name).unlink(missing_ok=True)
    save_bad(folder, samples, bad)
    save_excluded(folder, samples.excluded)
    write_atomically(folder / SPLITS_FILE, write)
