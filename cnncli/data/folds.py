"""Folds for cross-validation: stratified by class, with each group in one fold."""

from __future__ import annotations

import warnings

import numpy as np

from cnncli.arrays import Array
from cnncli.data.samples import NO_SPLIT, Samples
from cnncli.data.splits import TEST, TRAIN, VAL, draw_splits, group_numbers
from cnncli.errors import CnncliError, count_of, shorten


def draw_folds(
    samples: Samples, folds: int, *, test_fraction: float, seed: int
) -> tuple[Array, Array, list[str]]:
    """Draw a test split, unless the data set has splits of its own, and folds from the rest.

    Args:
        samples: The labelled images, their targets in class order.
        folds: Number of folds, 2 or more.
        test_fraction: Fraction of all images to draw for test, 0 ≤ f < 1.
        seed: Seed of the random numbers; the same seed gives the same folds.

    Returns:
        (N,) indices into SPLITS, train for every image that is in a fold; (N,) numbers of the
        folds from 1, 0 for an image in test; and warnings.

    Raises:
        CnncliError: If no class has as many images (or groups) as there are folds.

    Source: scikit-learn's StratifiedKFold and StratifiedGroupKFold.
    """
    groups = group_numbers(samples)
    splits = np.where(samples.splits == TEST, TEST, TRAIN).astype(np.int8)
    warned: list[str] = []
    if (samples.splits == NO_SPLIT).all() and test_fraction > 0:
        everything = np.arange(len(samples))
        rng = np.random.default_rng(seed)
        splits, warned = draw_splits(samples, everything, groups, {TEST: test_fraction}, rng)
    elif not (samples.splits == NO_SPLIT).all():
        unused = f" (--test-fraction {test_fraction:g} has no effect)" if test_fraction else ""
        told = f"the data fix their splits{unused}: test stays, all the rest is drawn into folds"
        warned = [told]
    pool = np.flatnonzero(splits != TEST)
    numbers = np.zeros(len(samples), dtype=np.int64)
    targets = samples.targets[pool]
    numbers[pool] = draw_fold_numbers(
        targets, None if groups is None else groups[pool], folds, seed
    )
    return splits, numbers, [*warned, *_check(samples, pool, numbers[pool], folds)]


def draw_fold_numbers(targets: Array, groups: Array | None, folds: int, seed: int) -> Array:
    """Return (M,) the fold of each image, from 1.

    Args:
        targets: (M,) class indices.
        groups: (M,) numbers of the groups; None if each image is a group by itself.
        folds: Number of folds.
        seed: Seed of the random numbers.

    Raises:
        CnncliError: If no class has as many images (or groups) as there are folds.
    """
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
        # It warns of small classes without naming them; `_check` names them.
        warnings.simplefilter("ignore", UserWarning)
        parts = chosen(folds, shuffle=True, random_state=seed).split(targets, targets, groups)
        for fold, (_, held_out) in enumerate(parts, start=1):
            numbers[held_out] = fold
    return numbers


def refuse_small_classes(samples: Samples, pool: Array, folds: int) -> None:
    """Refuse more folds than the smallest class has images, or groups where there are groups.

    A class that is not in every fold would be judged by networks of which some never saw it.

    Args:
        samples: The labelled images.
        pool: (M,) indices of the images that are to be in a fold.
        folds: Number of folds.

    Raises:
        CnncliError: If there is such a class.
    """
    groups = group_numbers(samples)
    units = samples.targets[pool]
    if groups is not None:
        units = np.unique(np.stack([units, groups[pool]]), axis=1)[0]
    counts = np.bincount(units, minlength=len(samples.class_names))
    fewest = int(counts.min())
    if folds > fewest:
        name = samples.class_names[int(counts.argmin())]
        has = count_of(fewest, "image" if groups is None else "group")
        out = f"at most {fewest} folds" if fewest > 1 else "no cross-validation with this class"
        raise CnncliError(f"--folds {folds}: class {name!r} has {has} only, so {out}")


def split_fold(
    samples: Samples, numbers: Array, fold: int, *, val_fraction: float, seed: int
) -> tuple[Array, list[str]]:
    """Return the splits of one fold's run: the fold itself is test, and val is drawn from the rest.

    Args:
        samples: N labelled images, their targets in class order.
        numbers: (N,) fold of each image, from 1; 0 for an image in none.
        fold: The fold that is judged.
        val_fraction: Fraction of the other folds' images to draw for val, 0 < f < 1.
        seed: Seed of the random numbers; the same seed and fold give the same split.

    Returns:
        (N,) indices into SPLITS, ``NO_SPLIT`` for an image in no fold; and warnings.

    Raises:
        CnncliError: If a class has no image to train on, or no image is left for val.
    """
    splits = np.full(len(samples), NO_SPLIT, dtype=np.int8)
    splits[numbers == fold] = TEST
    pool = np.flatnonzero((numbers > 0) & (numbers != fold))
    rng = np.random.default_rng([seed, fold])
    groups = group_numbers(samples)
    splits[pool], warned = draw_splits(samples, pool, groups, {VAL: val_fraction}, rng)
    trained = np.bincount(samples.targets[splits == TRAIN], minlength=len(samples.class_names))
    if not trained.all():
        name = samples.class_names[int(trained.argmin())]
        raise CnncliError(f"fold {fold}: no image of {name!r} is left to train on; take more folds")
    if not (splits == VAL).any():
        raise CnncliError(
            f"fold {fold}: no image is left to choose the epoch on: every class has fewer than "
            "three images (or groups) outside of the fold"
        )
    return splits, warned


def _check(samples: Samples, pool: Array, numbers: Array, folds: int) -> list[str]:
    """Return warnings on classes that have no image in some fold, or images in one fold only.

    Args:
        samples: The labelled images.
        pool: (M,) indices of the images that are in a fold.
        numbers: (M,) their folds, from 1.
        folds: Number of folds.
    """
    counts = np.zeros((len(samples.class_names), folds + 1), dtype=np.int64)
    np.add.at(counts, (samples.targets[pool], numbers), 1)
    in_folds = (counts[:, 1:] > 0).sum(axis=1)
    warned = []
    for wrong, text in (
        (in_folds == 1, "in one fold only, which cannot be val: there is nothing to train on"),
        ((in_folds > 1) & (in_folds < folds), "not in every fold"),
    ):
        names = [samples.class_names[target] for target in np.flatnonzero(wrong)]
        if names:
            warned.append(f"{shorten(names)}: {text}")
    return warned
