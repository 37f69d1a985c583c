"""Who trains, who chooses, who judges: seeded, stratified splits that keep groups together."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from cnncli.data.sources import NO_SPLIT, Array, Samples, shorten, text_array
from cnncli.errors import CnncliError

TRAIN, VAL, TEST = 0, 1, 2

# An id has a digit: a class name in front of a number would put a whole class into one group.
_LEADING_ID = r"^([A-Za-z]*\d[A-Za-z0-9]*)[_-]"
# Fewer images (or groups) of a class than this are not split.
_FEWEST = 3


def read_groups(paths: Array, pattern: str) -> Array:
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
    groups, matched = [], 0
    for path in paths:
        match = regex.search(path.rsplit("/", 1)[-1])
        matched += match is not None
        found = (match[1] if regex.groups else match[0]) if match else None
        groups.append(found or path)  # an empty match would make one group of all such images
    if not matched:
        example = str(paths[0]).rsplit("/", 1)[-1]
        raise CnncliError(f"--group-regex {pattern!r}: matches no file name, such as {example!r}")
    return text_array(groups)


def propose_group_regex(paths: Array, targets: Array) -> str | None:
    """Return a warning if file names repeat a leading id within a class, else None.

    ``00000061_012.png`` and ``00000061_015.png`` look like one patient. A class name in front
    (``crazing_73.jpg``) has no digit before the separator and is no id; nor is a prefix that
    the whole class shares.
    """
    leading = re.compile(_LEADING_ID)
    ids: dict[tuple[int, str], int] = {}
    for path, target in zip(paths, targets, strict=True):
        match = leading.match(path.rsplit("/", 1)[-1])
        if match:
            key = (int(target), match[1])
            ids[key] = ids.get(key, 0) + 1
    per_class = np.bincount([target for target, _ in ids], minlength=1)
    repeated = [name for (target, name), n in ids.items() if n > 1 and per_class[target] > 1]
    if not repeated:
        return None
    return (
        f"{len(repeated)} leading ids stand in several file names of a class (such as "
        f"{repeated[0]!r}): if they are patients or series, keep each in one split with "
        f"--group-regex '{_LEADING_ID}'"
    )


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
        splits[pool], small = _draw(samples, pool, fractions, rng)
        if small:
            warnings.append(
                "too few images (or groups) to split, all of them go to train: "
                + shorten([samples.class_names[c] for c in small])
            )
    if not (splits == VAL).any():
        raise CnncliError(
            "--data: no image is left for validation: every class has fewer than three images "
            "(or groups)"
        )
    warnings += _check(samples, splits)
    return splits, warnings


def _draw(
    samples: Samples, pool: Array, fractions: dict[int, float], rng: np.random.Generator
) -> tuple[Array, list[int]]:
    """Draw whole groups class by class until each split has its share of images."""
    targets = samples.targets[pool]
    if samples.groups is None:
        group_of, sizes, group_class = np.arange(len(pool)), np.ones(len(pool), int), targets
    else:
        _, group_of = np.unique(samples.groups[pool], return_inverse=True)
        sizes = np.bincount(group_of)
        group_class = _majority_class(group_of, targets, len(sizes), len(samples.class_names))
    group_split = np.full(len(sizes), TRAIN, dtype=np.int8)
    small = []
    for target in range(len(samples.class_names)):
        members = rng.permutation(np.flatnonzero(group_class == target))
        if len(members) < _FEWEST:
            small += [target] * bool(len(members))
            continue
        images = int(sizes[members].sum())
        for number, (split, fraction) in enumerate(fractions.items()):
            if fraction == 0:
                continue
            still_to_serve = len(fractions) - number  # train and the splits after this one
            most = len(members) - still_to_serve
            chosen = _choose(sizes[members], fraction * images, most)
            group_split[members[chosen]] = split
            members = np.delete(members, chosen)
    _give_train_every_class(group_split, group_of, targets)
    return group_split[group_of], small


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


def _give_train_every_class(group_split: Array, group_of: Array, targets: Array) -> None:
    """Move a group of each class that train lacks to train (where groups hold several classes)."""
    missing = set(targets.tolist()) - set(targets[group_split[group_of] == TRAIN].tolist())
    for target in sorted(missing):
        group_split[group_of[targets == target].min()] = TRAIN


def _majority_class(group_of: Array, targets: Array, groups: int, classes: int) -> Array:
    """Return each group's most frequent class, the lower index on a tie."""
    pairs, counts = np.unique(group_of * classes + targets, return_counts=True)
    order = np.lexsort((pairs % classes, -counts, pairs // classes))
    owner = pairs[order] // classes
    _, first = np.unique(owner, return_index=True)
    return np.asarray((pairs[order] % classes)[first][:groups])


def _check(samples: Samples, splits: Array) -> list[str]:
    """Return warnings on classes and groups that a split treats badly."""
    warnings = []
    for split, name in ((VAL, "val"), (TEST, "test")):
        chosen = splits == split
        missing = set(range(len(samples.class_names))) - set(samples.targets[chosen].tolist())
        if chosen.any() and missing:
            names: Sequence[str] = [samples.class_names[c] for c in sorted(missing)]
            warnings.append(f"no image of {shorten(names)} in {name}")
    if samples.groups is not None:
        _, group_of = np.unique(samples.groups, return_inverse=True)
        pairs = np.unique(group_of * 4 + splits.astype(int)) // 4
        torn = int((np.bincount(pairs) > 1).sum())
        if torn:
            warnings.append(
                f"{torn} groups have images in more than one split, as the data fix them: what "
                "is measured there is too good"
            )
    return warnings
