"""Findings on copies of a picture: in two classes, in two splits, or merely twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from cnncli.arrays import Array
from cnncli.audit.duplicates import DuplicateGroup
from cnncli.audit.findings import Finding, count_of
from cnncli.choices import SPLITS
from cnncli.data.samples import NO_SPLIT, Samples

# The same pixels so often are no picture of anything: "no image available".
_PLACEHOLDER = 5


def check_copies(
    samples: Samples, splits: Array, groups: Sequence[DuplicateGroup], areas: Sequence[int]
) -> Iterator[Finding]:
    """Yield what copies spoil.

    Args:
        samples: All of them.
        splits: (N,) indices into SPLITS, ``NO_SPLIT`` where there is none.
        groups: Copies of each other.
        areas: Pixels of each sample's picture: of copies in one split the largest is kept.
    """
    targets = samples.targets
    by_kind: dict[str, list[DuplicateGroup]] = {}
    for group in groups:
        by_kind.setdefault(_kind(group, targets, splits), []).append(group)
    for kind in ("contradiction", "leak", "placeholder", "duplicates"):
        found = by_kind.get(kind, [])
        if not found:
            continue
        drop = [i for group in found for i in choose_drops(group, targets, splits, areas)]
        spoils = kind in ("contradiction", "leak")
        text = _TEXTS[kind](samples, splits, found)
        members = tuple(group.members for group in found)
        yield Finding(kind, "spoils" if spoils else "note", text, members, tuple(sorted(drop)))


def _kind(group: DuplicateGroup, targets: Array, splits: Array) -> str:
    members = list(group.members)
    if len(set(targets[members].tolist())) > 1:
        return "contradiction"
    if len(set(splits[members].tolist())) > 1:
        return "leak"
    return "placeholder" if group.exact and len(members) >= _PLACEHOLDER else "duplicates"


def choose_drops(
    group: DuplicateGroup, targets: Array, splits: Array, areas: Sequence[int]
) -> list[int]:
    """Return which copies to leave out.

    Of contradicting labels nobody knows the right one, and a placeholder shows nothing: all go.
    Else one stays, where it judges (test before val before train), and there the largest, the
    first by path of equal ones.
    """
    members = list(group.members)
    if _kind(group, targets, splits) in ("contradiction", "placeholder"):
        return members
    keep = min(members, key=lambda index: (-int(splits[index]), -areas[index], index))
    return [index for index in members if index != keep]


def _say_copies(groups: Sequence[DuplicateGroup]) -> str:
    """Say how sure it is that they are copies."""
    near = sum(not group.exact for group in groups)
    if not near:
        return "the same pixels"
    if near == len(groups):
        return "near copies"
    return f"{len(groups) - near} the same pixels, {near} near copies"


def _say_contradiction(samples: Samples, splits: Array, groups: Sequence[DuplicateGroup]) -> str:
    pairs: Counter[str] = Counter()
    for group in groups:
        names = sorted({samples.class_names[samples.targets[i]] for i in group.members})
        pairs[" and ".join(names)] += 1
    where = ", ".join(f"{n} in {names}" for names, n in pairs.most_common(3))
    return (
        f"{count_of(len(groups), 'picture')} with contradicting labels ({_say_copies(groups)}): "
        f"{where}"
    )


def _say_leak(samples: Samples, splits: Array, groups: Sequence[DuplicateGroup]) -> str:
    sets: Counter[tuple[int, ...]] = Counter()
    for group in groups:
        sets[tuple(sorted({int(splits[i]) for i in group.members} - {NO_SPLIT}))] += 1
    where = ", ".join(
        f"{n} in {' and '.join(SPLITS[s] for s in names)}" for names, n in sets.most_common(3)
    )
    return f"{count_of(len(groups), 'picture')} in several splits ({_say_copies(groups)}): {where}"


def _say_placeholder(samples: Samples, splits: Array, groups: Sequence[DuplicateGroup]) -> str:
    times = [len(group.members) for group in groups]
    return (
        f"{count_of(len(groups), 'picture')} {max(times)} times over: a placeholder, such as "
        "'no image available'"
    )


def _say_duplicates(samples: Samples, splits: Array, groups: Sequence[DuplicateGroup]) -> str:
    danger = ""
    if any(splits[index] == NO_SPLIT for group in groups for index in group.members):
        danger = "; drawn at random, splits would tear them apart"
    return (
        f"{count_of(len(groups), 'picture')} more than once in a class "
        f"({_say_copies(groups)}){danger}"
    )


_TEXTS = {
    "contradiction": _say_contradiction,
    "leak": _say_leak,
    "placeholder": _say_placeholder,
    "duplicates": _say_duplicates,
}
