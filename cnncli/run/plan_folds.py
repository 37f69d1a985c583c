"""The folds of a cross-validation: which image is judged in which, drawn or read from a file."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from cnncli.arrays import Array
from cnncli.choices import SPLITS
from cnncli.config import RunConfig
from cnncli.data.classes import order_classes
from cnncli.data.exclude import (
    exclude_again,
    exclude_listed,
    load_excluded,
    measure_samples,
)
from cnncli.data.folds import draw_folds, refuse_small_classes, split_fold
from cnncli.data.samples import NO_SPLIT, Samples, select_samples
from cnncli.data.split_file import NO_FOLD, load_split_file
from cnncli.data.split_match import give_rows, match_rows, tell_left_out, tell_relabelled
from cnncli.data.splits import TEST
from cnncli.errors import CnncliError, count_of
from cnncli.files import SPLITS_FILE
from cnncli.reporting import Reporter
from cnncli.run.samples import label_samples, warn_of_unused
from cnncli.training.cores import count_cpus

_DEFAULT = 5  # folds, where neither the user nor a file of splits says how many


@dataclass(frozen=True)
class FoldPlan:
    """N labelled images in K folds.

    Attributes:
        samples: The images, their classes in order.
        numbers: (N,) fold of each image, from 1 to K; 0 for an image that is in none.
        folds: Number of folds, K.
        inner: The M images that are in a fold. All others count as excluded: no run reads them.
        splits: K arrays (M,) of indices into SPLITS: the splits of each fold's run, whose test is
            the fold itself.
    """

    samples: Samples
    numbers: Array
    folds: int
    inner: Samples
    splits: list[Array] = field(repr=False)

    @property
    def kept_out(self) -> int:
        """Number of images of the data's own test split, which are in no fold."""
        return int(((self.numbers == 0) & (self.samples.splits == TEST)).sum())


def plan_folds(
    config: RunConfig, folds: int | None, reporter: Reporter, begun: Path | None = None
) -> FoldPlan:
    """Find the images, and give each its fold.

    Args:
        config: Where the images are, and how to label and split them.
        folds: Number of folds; None where the file of ``--splits`` has them.
        reporter: Gets remarks and warnings.
        begun: The folder of the cross-validation that is resumed, whose images and folds they must
            be; None for a new one.

    Raises:
        CnncliError: If the data cannot be divided so, or are not those that it was begun with.
    """
    read = _FileOfFolds(config, begun)
    samples = label_samples(config, reporter, give=read)
    in_order = order_classes(samples, None)  # so that another --class-order draws the same folds
    if read.folds is not None and (read.folds != NO_FOLD).any():
        numbers, folds = read.take(samples, folds)
        if begun is None:
            warn_of_unused(config, samples.splits, reporter, folds=True)
    else:
        folds = folds or _DEFAULT
        # Before any drawing, whose errors are of the largest class.
        refuse_small_classes(in_order, np.flatnonzero(samples.splits != TEST), folds)
        given, numbers, warned = draw_folds(
            in_order, folds, test_fraction=config.test_fraction, seed=config.seed
        )
        samples = replace(samples, splits=given)
        for text in warned:
            reporter.warn(text)
    refuse_small_classes(in_order, np.flatnonzero(numbers > 0), folds)
    drawn = [_split(in_order, numbers, fold + 1, config, reporter) for fold in range(folds)]
    pool = np.flatnonzero(numbers > 0)
    others = measure_samples(samples, np.flatnonzero(numbers == 0))
    inner = replace(select_samples(samples, pool), excluded={**samples.excluded, **others})
    return FoldPlan(samples, numbers, folds, inner, [splits[pool] for splits in drawn])


def _split(
    samples: Samples, numbers: Array, fold: int, config: RunConfig, reporter: Reporter
) -> Array:
    splits, warned = split_fold(
        samples, numbers, fold, val_fraction=config.val_fraction, seed=config.seed
    )
    for text in warned:
        reporter.warn(f"fold {fold}: {text}")
    return splits


class _FileOfFolds:
    """Gives images the splits and groups of a file, and keeps their folds if it has any.

    The file is that of ``--splits``, or the one that a cross-validation has written.

    Attributes:
        folds: (N,) fold of each image as the file has it, ``NO_FOLD`` for none; None without a
            file.
    """

    def __init__(self, config: RunConfig, begun: Path | None) -> None:
        self.folds: Array | None = None
        self._begun = begun if begun is not None and (begun / SPLITS_FILE).exists() else None
        self._exclude = config.exclude
        self._given = config.splits
        if self._begun is not None:
            self._given = str(self._begun / SPLITS_FILE)

    def __call__(self, samples: Samples) -> Samples:
        if self._begun is not None:
            samples = exclude_again(samples, load_excluded(self._begun))
        elif self._exclude is not None:
            samples = exclude_listed(samples, self._exclude)
        if self._given is None:
            return samples
        where = f"--resume {self._begun}: {SPLITS_FILE}" if self._begun is not None else ""
        file = load_split_file(self._given, where)
        rows = match_rows(samples, file, threads=count_cpus())
        changed = tell_relabelled(samples, file, rows)
        if changed and self._begun is not None:
            raise CnncliError(f"--resume {self._begun}: {changed}; put the labels back")
        told = f"{file.where}: {changed}; its splits are taken, and the labels of --data"
        self.folds = np.where(rows < 0, NO_FOLD, file.folds[rows])
        return replace(
            give_rows(samples, file, rows, file.splits),
            notes=(*samples.notes, told) if changed else samples.notes,
            remarks=(*samples.remarks, *tell_left_out(samples, rows, "the run so far")),
        )

    def take(self, samples: Samples, folds: int | None) -> tuple[Array, int]:
        """Return (N,) the fold of each image, numbered from 1, and the number of folds.

        Raises:
            CnncliError: If the file has another number of folds than is asked for, or one only, or
                if an image is in no fold and not in test.
        """
        assert self.folds is not None
        known = np.unique(self.folds[self.folds != NO_FOLD])
        where = f"--splits {self._given}"
        if folds is not None and folds != len(known):
            raise CnncliError(f"--folds {folds}: {where} has {count_of(len(known), 'fold')}")
        if len(known) < 2:
            raise CnncliError(f"{where}: has one fold only, and nothing to train on for it")
        numbers = np.where(self.folds == NO_FOLD, 0, np.searchsorted(known, self.folds) + 1)
        odd = np.flatnonzero((numbers == 0) & (samples.splits != TEST))
        odd = odd[samples.splits[odd] != NO_SPLIT]
        if len(odd):
            raise CnncliError(
                f"{where}: {count_of(len(odd), 'image is', 'images are')} in no fold, and "
                f"{SPLITS[samples.splits[odd[0]]]} ({samples.paths[odd[0]]}); give each a fold, "
                "or the split test"
            )
        return numbers, len(known)
