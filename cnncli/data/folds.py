"""K folds for cross-validation: stratified by class, groups whole."""

from __future__ import annotations

import warnings

import numpy as np

from cnncli.arrays import Array
from cnncli.data.samples import NO_SPLIT, Samples
from cnncli.data.splits import TEST, TRAIN, draw_splits, group_numbers
from cnncli.errors import CnncliError, shorten


def draw_folds(
    samples: Samples, folds: int, *, test_fraction: float, seed: int
) -> tuple[Array, Array, list[str]]:
    """Draw a test split, unless the data fix their splits, and folds from all the rest.

    Args:
        samples: With targets in class order.
        folds: At least 2.
        test_fraction: Of all images, 0 ≤ f < 1.
        seed: The same seed gives the same folds.

    Returns:
        (N,) indices into SPLITS, train for whatever is in a fold; (N,) folds from 1, 0 for test;
        and warnings.

    Raises:
        CnncliError: If no class has as many images (or groups) as there are folds.

    Source: scikit-learn's StratifiedKFold and StratifiedGroupKFold.
    """
    groups = group_numbers(samples)
    splits = np.where(samples.splits == TEST, TEST, TRAIN).astype(np.int8)
    told: list[str] = []
    if (samples.splits == NO_SPLIT).all() and test_fraction > 0:
        everything = np.arange(len(samples))
        rng = np.random.default_rng(seed)
        splits, told = draw_splits(samples, everything, groups, {TEST: test_fraction}, rng)
    elif not (samples.splits == NO_SPLIT).all():
        told = ["the data fix their splits: test stays, all the rest is drawn into folds"]
    pool = np.flatnonzero(splits != TEST)
    numbers = np.zeros(len(samples), dtype=np.int64)
    targets = samples.targets[pool]
    numbers[pool] = _draw(targets, None if groups is None else groups[pool], folds, seed)
    return splits, numbers, [*told, *_check(samples, pool, numbers[pool], folds)]


def _draw(targets: Array, groups: Array | None, folds: int, seed: int) -> Array:
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    units = targets
    if groups is not None:
        units = np.unique(np.stack([targets, groups]), axis=1)[0]
    most = int(np.bincount(units).max())
    if folds > most:
        what = ("image" if groups is None else "group") + "s" * (most > 1)
        raise CnncliError(f"--folds {folds}: no class has more than {most} {what}")
    chosen = StratifiedKFold if groups is None else StratifiedGroupKFold
    numbers = np.zeros(len(targets), dtype=np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of small classes: told by us, by name
        parts = chosen(folds, shuffle=True, random_state=seed).split(targets, targets, groups)
        for fold, (_, held_out) in enumerate(parts, start=1):
            numbers[held_out] = fold
    return numbers


def _check(samples: Samples, pool: Array, numbers: Array, folds: int) -> list[str]:
    """Return warnings on classes that some fold lacks, or that lie in a single one."""
    counts = np.zeros((len(samples.class_names), folds + 1), dtype=np.int64)
    np.add.at(counts, (samples.targets[pool], numbers), 1)
    in_folds = (counts[:, 1:] > 0).sum(axis=1)
    told = []
    for wrong, text in (
        (in_folds == 1, "in one fold only, which cannot be val: there is nothing to train on"),
        ((in_folds > 1) & (in_folds < folds), "not in every fold"),
    ):
        names = [samples.class_names[target] for target in np.flatnonzero(wrong)]
        if names:
            told.append(f"{shorten(names)}: {text}")
    return told
