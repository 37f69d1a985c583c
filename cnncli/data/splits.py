"""Splits into train, val and test: seeded, stratified by class, with each group in one split."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence

import numpy as np

from cnncli.arrays import Array
from cnncli.data.samples import NO_SPLIT, Samples, TextColumn
from cnncli.errors import CnncliError, count_of, shorten

# Indices into SPLITS.
TRAIN, VAL, TEST = 0, 1, 2

# A class with fewer images (or groups) than this is not split.
_FEWEST = 3


def parse_groups(paths: Array, pattern: str) -> Array:
    """Return (N,) the group of each image, taken from its file name.

    Args:
        paths: (N,) paths with ``/``.
        pattern: Regular expression that is searched in the file name. The group is what its first
            parenthesis matches, or the whole match if it has no parenthesis. An image whose name
            does not match is a group by itself.

    Raises:
        CnncliError: If the pattern is not a regular expression, matches no file name, or takes too
            long.
    """
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise CnncliError(f"--group-regex {pattern!r}: not a regular expression: {error}") from None
    groups, matched = TextColumn(), 0
    for path, found in zip(paths, _search_names(paths, pattern), strict=True):
        matched += found is not None
        groups.append(found or path)  # otherwise all images with an empty match were one group
    if not matched:
        example = str(paths[0]).rsplit("/", 1)[-1]
        raise CnncliError(f"--group-regex {pattern!r}: matches no file name, such as {example!r}")
    return groups.array()


# Run in a process of its own: a search that is under way cannot be stopped on every system.
_SEARCH = """
import json, re, sys
pattern, names = json.load(sys.stdin)
regex = re.compile(pattern)
place = 1 if regex.groups else 0
found = (regex.search(name) for name in names)
json.dump([match and (match[place] or "") for match in found], sys.stdout)
"""
# Seconds for a search in all file names, and for each of them in addition; one takes 1 µs.
_SEARCH_TIME = (10.0, 1e-4)


def _search_names(paths: Array, pattern: str) -> list[str | None]:
    """Return what a pattern finds in each file name; None where it does not match.

    A pattern such as ``(a+)+$`` takes a time that doubles with every letter of a name.

    Raises:
        CnncliError: If the search takes too long.
    """
    names = [path.rsplit("/", 1)[-1] for path in paths]
    limit = _SEARCH_TIME[0] + _SEARCH_TIME[1] * len(names)
    try:
        done = subprocess.run(
            [sys.executable, "-ISWignore", "-c", _SEARCH],
            input=json.dumps([pattern, names]),
            stdout=subprocess.PIPE,
            encoding="ascii",
            timeout=limit,
            check=True,
        )
    except subprocess.TimeoutExpired:
        raise CnncliError(
            f"--group-regex {pattern!r}: the search takes longer than {limit:.0f} seconds; do not "
            "repeat a group that repeats itself, such as (a+)+"
        ) from None
    found: list[str | None] = json.loads(done.stdout)
    return found


def split_samples(
    samples: Samples, *, val_fraction: float, test_fraction: float, seed: int
) -> tuple[Array, list[str]]:
    """Return a split for every image.

    Splits that the data set has are kept, and only missing ones are drawn: val and test if it has
    none at all, and val from the training images if it has no val. The classes keep their
    proportions, and the images of a group stay together.

    Args:
        samples: The labelled images, their targets in class order.
        val_fraction: Fraction of the images to draw for val, 0 < f < 1.
        test_fraction: Fraction of the images to draw for test, 0 ≤ f < 1.
        seed: Seed of the random numbers; the same seed gives the same split.

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
        few = "every class has fewer than three images (or groups)"
        why = few if groups is None or groups.any() else "all images are of one group"
        raise CnncliError(f"--data: no image is left for validation: {why}")
    return splits, [*warnings, *check_splits(samples, groups, splits)]


def group_numbers(samples: Samples) -> Array | None:
    """Return (N,) the number of each image's group, or None if there are no groups.

    Numbers are compared much faster than names.
    """
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
    """Draw whole groups, class by class, until each split has its fraction of the images.

    Args:
        samples: N labelled images, their targets in class order.
        pool: (M,) indices of the images to draw from.
        groups: (N,) numbers of the groups, from `group_numbers`; None if there are none.
        fractions: For each split to draw: the fraction of the images of each class in the pool.
            The rest becomes train.
        rng: Generator of the random numbers.

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
            small.append(target)
            continue
        images = int(sizes[members].sum())
        trained = bool(pinned[members].any())
        members = members[~pinned[members]]
        for number, (split, fraction) in enumerate(fractions.items()):
            if fraction == 0 or not len(members):
                continue
            # Leave one group for each split after this one, and for train if it has none yet.
            still_to_serve = len(fractions) - number - trained
            most = len(members) - still_to_serve
            chosen = _choose(sizes[members], fraction * images, most)
            group_split[members[chosen]] = split
            members = np.delete(members, chosen)
    drawn = group_split[group_of]
    names = [
        samples.class_names[target]
        for target in small
        if _is_kept_whole(group_of[targets == target], drawn[targets == target])
    ]
    warning = f"too few images (or groups) to split, all of them go to train: {shorten(names)}"
    return drawn, [warning] if names else []


def _is_kept_whole(groups: Array, drawn: Array) -> bool:
    """Return whether a class with few groups of its own has no others, and is all in train.

    It may have more images, in groups that count for another class.

    Args:
        groups: (M,) group of each image of the class.
        drawn: (M,) split of each of them.
    """
    few = 0 < len(np.unique(groups)) < _FEWEST
    return few and bool((drawn == TRAIN).all())


def _choose(sizes: Array, wanted: float, most: int) -> list[int]:
    """Choose groups, in their order, whose sizes together come close to a wanted number.

    A group that would take the sum further away from it is not chosen: one patient with a thousand
    images stays in train. At least one group is chosen, the smallest if no other fits.

    Args:
        sizes: (G,) number of images in each group.
        wanted: Number of images to come close to.
        most: Largest number of groups to choose.

    Returns:
        The positions of the chosen groups.
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
    """Return (G,) bool: which groups must stay in train so that each class has images there.

    This concerns classes that are in no group the most frequent one: the first group with an image
    of such a class stays. Every other class keeps a group in train anyway.

    Args:
        group_of: (M,) group of each image.
        group_class: (G,) most frequent class of each group.
        targets: (M,) class of each image.
    """
    pinned = np.zeros(len(group_class), dtype=bool)
    for target in np.setdiff1d(targets, group_class):
        pinned[group_of[targets == target].min()] = True
    return pinned


def _majority_class(group_of: Array, targets: Array, groups: int, classes: int) -> Array:
    """Return (G,) the most frequent class of each group; of equally frequent ones the first.

    Args:
        group_of: (M,) group of each image.
        targets: (M,) class of each image.
        groups: Number of groups, G.
        classes: Number of classes.
    """
    pairs, counts = np.unique(group_of * classes + targets, return_counts=True)
    order = np.lexsort((pairs % classes, -counts, pairs // classes))
    owner = pairs[order] // classes
    _, first = np.unique(owner, return_index=True)
    return np.asarray((pairs[order] % classes)[first][:groups])


def check_splits(samples: Samples, groups: Array | None, splits: Array) -> list[str]:
    """Return warnings on classes that are missing in a split, and on groups in several splits.

    Args:
        samples: N labelled images.
        groups: (N,) numbers of the groups; None if there are none.
        splits: (N,) indices into SPLITS.
    """
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
                f"{count_of(torn, 'group has', 'groups have')} images in more than one split, as "
                "the data fix them: what "
                "is measured there is too good"
            )
    return warnings
