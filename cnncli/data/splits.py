"""Who trains, who chooses, who judges: seeded, stratified splits that keep groups together."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from cnncli.arrays import Array
from cnncli.data.samples import NO_SPLIT, Samples, TextColumn
from cnncli.errors import CnncliError, shorten

TRAIN, VAL, TEST = 0, 1, 2

# Fewer images (or groups) of a class than this are not split.
_FEWEST = 3


def parse_groups(paths: Array, pattern: str) -> Array:
    """Take each image's group from its file name.

    Args:
        paths: (N,) paths with ``/``.
        pattern: Regular expression, searched in the file name; its first parenthesis is the
            group, or the whole match. A name without a match is a group by itself.

    Raises:
        CnncliError: If the pattern is none, or matches no file name.
    """
    try:
        regex = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise CnncliError(f"--group-regex {pattern!r}: not a regular expression: {error}") from None
    groups, matched = TextColumn(), 0
    for path in paths:
        match = regex.search(path.rsplit("/", 1)[-1])
        matched += match is not None
        found = (match[1] if regex.groups else match[0]) if match else None
        groups.append(found or path)  # an empty match would make one group of all such images
    if not matched:
        example = str(paths[0]).rsplit("/", 1)[-1]
        raise CnncliError(f"--group-regex {pattern!r}: matches no file name, such as {example!r}")
    return groups.array()


def split_samples(
    samples: Samples, *, val_fraction: float, test_fraction: float, seed: int
) -> tuple[Array, list[str]]:
    """Give every image a split.

    Splits that the data fix are kept; only what is missing is drawn: val and test where the
    data fix none, val from train where they fix train and test. Drawing is stratified by class,
    and by whole groups where there are groups.

    Args:
        samples: With targets in class order.
        val_fraction: Of the images that are drawn from, 0 < f < 1.
        test_fraction: Likewise; it may be 0.
        seed: The same seed gives the same split.

    Returns:
        (N,) indices into SPLITS, and warnings.

    Raises:
        CnncliError: If no image is left for val.
    """
    given = samples.splits
    splits = given.copy()
    groups = group_numbers(samples)
    rng = np.random.default_rng(seed)
    warnings: list[str] = []
    if (given == NO_SPLIT).all():
        fractions = {VAL: val_fraction, TEST: test_fraction}
        pool = np.arange(len(samples))
    elif not (given == VAL).any():
        fractions = {VAL: val_fraction}
        pool = np.flatnonzero(given == TRAIN)
    else:
        fractions, pool = {}, np.array([], dtype=int)
    if fractions:
        splits[pool], warnings = draw_splits(samples, pool, groups, fractions, rng)
    if not (splits == VAL).any():
        raise CnncliError(
            "--data: no image is left for validation: every class has fewer than three images "
            "(or groups)"
        )
    return splits, [*warnings, *check_splits(samples, groups, splits)]


def group_numbers(samples: Samples) -> Array | None:
    """Return (N,) the number of each image's group, or None; a million texts cost a second."""
    if samples.groups is None:
        return None
    return np.unique(samples.groups, return_inverse=True)[1]


def draw_splits(
    samples: Samples,
    pool: Array,
    groups: Array | None,
    fractions: dict[int, float],
    rng: np.random.Generator,
) -> tuple[Array, list[str]]:
    """Draw whole groups class by class until each split has its share of images.

    Args:
        samples: With targets in class order.
        pool: (M,) the images to draw from.
        groups: (N,) from `group_numbers`.
        fractions: Of the pool's images, by split; the rest is for train.
        rng: Decides.

    Returns:
        (M,) indices into SPLITS, and warnings.
    """
    targets = samples.targets[pool]
    if groups is None:
        group_of, sizes, group_class = np.arange(len(pool)), np.ones(len(pool), int), targets
    else:
        _, group_of = np.unique(groups[pool], return_inverse=True)
        sizes = np.bincount(group_of)
        group_class = _majority_class(group_of, targets, len(sizes), len(samples.class_names))
    group_split = np.full(len(sizes), TRAIN, dtype=np.int8)
    pinned = _pin(group_of, group_class, targets)
    small = []
    by_class = np.argsort(group_class, kind="stable")
    bounds = np.searchsorted(group_class[by_class], np.arange(len(samples.class_names) + 1))
    for target in range(len(samples.class_names)):
        members = rng.permutation(by_class[bounds[target] : bounds[target + 1]])
        if len(members) < _FEWEST:
            small += [samples.class_names[target]] * bool(len(members))
            continue
        images = int(sizes[members].sum())
        trained = bool(pinned[members].any())
        members = members[~pinned[members]]
        for number, (split, fraction) in enumerate(fractions.items()):
            if fraction == 0 or not len(members):
                continue
            # The splits after this one, and train where it has no group yet.
            still_to_serve = len(fractions) - number - trained
            most = len(members) - still_to_serve
            chosen = _choose(sizes[members], fraction * images, most)
            group_split[members[chosen]] = split
            members = np.delete(members, chosen)
    told = f"too few images (or groups) to split, all of them go to train: {shorten(small)}"
    return group_split[group_of], [told] if small else []


def _choose(sizes: Array, wanted: float, most: int) -> list[int]:
    """Choose up to ``most`` groups, in their order, whose sizes come near ``wanted`` in sum.

    A group that would take the sum further away is passed over: one patient with a thousand
    images stays in train. At least one is chosen, the smallest if none fits.
    """
    chosen: list[int] = []
    total = 0
    for number, size in enumerate(sizes.tolist()):
        if len(chosen) == most or total >= wanted:
            break
        if abs(total + size - wanted) < abs(total - wanted):
            chosen.append(number)
            total += size
    return chosen or [int(np.argmin(sizes))]


def _pin(group_of: Array, group_class: Array, targets: Array) -> Array:
    """Return (G,) which groups must train: one of each class that is the majority of none.

    Of every other class some group trains anyway: three are split, fewer stay there.
    """
    pinned = np.zeros(len(group_class), dtype=bool)
    for target in np.setdiff1d(targets, group_class):
        pinned[group_of[targets == target].min()] = True
    return pinned


def _majority_class(group_of: Array, targets: Array, groups: int, classes: int) -> Array:
    """Return each group's most frequent class, the lower index on a tie."""
    pairs, counts = np.unique(group_of * classes + targets, return_counts=True)
    order = np.lexsort((pairs % classes, -counts, pairs // classes))
    owner = pairs[order] // classes
    _, first = np.unique(owner, return_index=True)
    return np.asarray((pairs[order] % classes)[first][:groups])


def check_splits(samples: Samples, groups: Array | None, splits: Array) -> list[str]:
    """Return warnings on classes and groups that a split treats badly."""
    warnings = []
    for split, name in ((VAL, "val"), (TEST, "test")):
        chosen = splits == split
        missing = np.setdiff1d(np.arange(len(samples.class_names)), samples.targets[chosen])
        if chosen.any() and len(missing):
            names: Sequence[str] = [samples.class_names[c] for c in missing]
            warnings.append(f"no image of {shorten(names)} in {name}")
    if groups is not None:
        pairs = np.unique(groups * 4 + splits.astype(int)) // 4
        torn = int((np.bincount(pairs) > 1).sum())
        if torn:
            warnings.append(
                f"{torn} groups have images in more than one split, as the data fix them: what "
                "is measured there is too good"
            )
    return warnings
