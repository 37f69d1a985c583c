"""Findings on copies of a picture: with two labels, in two splits, or twice in a class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from cnncli.arrays import Array
from cnncli.audit.duplicates import DuplicateGroup
from cnncli.audit.findings import Finding, FindingKind
from cnncli.choices import SPLITS
from cnncli.data.samples import NO_CLASS, NO_SPLIT, Samples
from cnncli.errors import count_of

# From this many identical copies on, a picture is a placeholder such as "no image available".
_PLACEHOLDER = 5


def check_copies(
    samples: Samples, splits: Array, groups: Sequence[DuplicateGroup], areas: Sequence[int]
) -> Iterator[Finding]:
    """Yield one finding for each kind of copies that there is.

    Args:
        samples: The labelled images.
        splits: (N,) indices into SPLITS, ``NO_SPLIT`` for an image without a split.
        groups: Groups of images that are copies of each other.
        areas: Height times width of each of the N images in pixels. Of copies in one split, the
            largest is kept.
    """
    targets = samples.targets
    by_kind: dict[FindingKind, list[DuplicateGroup]] = {}
    for group in groups:
        by_kind.setdefault(_kind_of(group, targets, splits), []).append(group)
    for kind, describe in _DESCRIPTIONS.items():
        found = by_kind.get(kind, [])
        if not found:
            continue
        drop = [i for group in found for i in choose_drops(group, targets, splits, areas)]
        text = describe(samples, splits, found)
        members = tuple(group.members for group in found)
        yield Finding(kind, text, members, tuple(sorted(drop)))


def _kind_of(group: DuplicateGroup, targets: Array, splits: Array) -> FindingKind:
    members = list(group.members)
    if len(set(targets[members].tolist())) > 1:
        return "contradiction"
    if len(set(splits[members].tolist())) > 1:
        return "leak"
    return "placeholder" if group.exact and len(members) >= _PLACEHOLDER else "duplicates"


def choose_drops(
    group: DuplicateGroup, targets: Array, splits: Array, areas: Sequence[int]
) -> list[int]:
    """Return the indices of the copies to leave out.

    Where labels contradict each other, nobody knows which is right, and a placeholder shows
    nothing: all copies are left out. Otherwise one copy stays: one in test if there is one, else
    one in val, else one in train, so that the images that are measured on remain. Among these the
    largest stays, and among equally large ones the first. Near copies that leave a doubt all stay:
    somebody has to look at them.

    Args:
        group: Images that are copies of each other.
        targets: (N,) class indices of all images.
        splits: (N,) indices into SPLITS, ``NO_SPLIT`` for an image without a split.
        areas: Height times width of each of the N images in pixels.
    """
    if not group.certain:
        return []
    members = list(group.members)
    if _kind_of(group, targets, splits) in ("contradiction", "placeholder"):
        return members
    keep = min(members, key=lambda index: (-int(splits[index]), -areas[index], index))
    return [index for index in members if index != keep]


def _likeness(groups: Sequence[DuplicateGroup]) -> str:
    """Return how alike the copies are: the same pixels, near copies, or some of both."""
    near = sum(not group.exact for group in groups)
    if not near:
        return "the same pixels"
    if near == len(groups):
        return "near copies"
    return f"{len(groups) - near} the same pixels, {near} near copies"


def _describe_contradiction(
    samples: Samples, splits: Array, groups: Sequence[DuplicateGroup]
) -> str:
    pairs: Counter[str] = Counter()
    for group in groups:
        names = sorted({samples.class_names[samples.targets[i]] for i in group.members})
        pairs[" and ".join(names)] += 1
    where = ", ".join(f"{n} in {names}" for names, n in pairs.most_common(3))
    return (
        f"{count_of(len(groups), 'picture')} with contradicting labels ({_likeness(groups)}): "
        f"{where}"
    )


def _describe_leak(samples: Samples, splits: Array, groups: Sequence[DuplicateGroup]) -> str:
    sets: Counter[tuple[int, ...]] = Counter()
    for group in groups:
        sets[tuple(sorted({int(splits[i]) for i in group.members} - {NO_SPLIT}))] += 1
    where = ", ".join(
        f"{n} in {' and '.join(SPLITS[s] for s in names)}" for names, n in sets.most_common(3)
    )
    return f"{count_of(len(groups), 'picture')} in several splits ({_likeness(groups)}): {where}"


def _describe_placeholder(samples: Samples, splits: Array, groups: Sequence[DuplicateGroup]) -> str:
    times = [len(group.members) for group in groups]
    return (
        f"{count_of(len(groups), 'picture')} {max(times)} times over: a placeholder, such as "
        "'no image available'"
    )


def _describe_duplicates(samples: Samples, splits: Array, groups: Sequence[DuplicateGroup]) -> str:
    danger = ""
    if any(splits[index] == NO_SPLIT for group in groups for index in group.members):
        danger = "; random splits could put one copy in train and another in test"
    where = "" if samples.class_names == (NO_CLASS,) else " in a class"
    return f"{count_of(len(groups), 'picture')} more than once{where} ({_likeness(groups)}){danger}"


# The kinds of finding that copies can be, in the order in which they are reported.
_DESCRIPTIONS: dict[FindingKind, Callable[[Samples, Array, Sequence[DuplicateGroup]], str]] = {
    "contradiction": _describe_contradiction,
    "leak": _describe_leak,
    "placeholder": _describe_placeholder,
    "duplicates": _describe_duplicates,
}
