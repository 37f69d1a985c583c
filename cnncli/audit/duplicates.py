"""Groups of samples that show the same picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from cnncli.audit.facts import Facts
from cnncli.audit.similarity import find_near_pairs


@dataclass(frozen=True)
class DuplicateGroup:
    """Samples that show the same.

    Attributes:
        members: Indices, ascending; two or more.
        exact: Whether all have the same pixels; else some are near copies.
        score: The lowest correlation that ties them together; 1 where exact.
    """

    members: tuple[int, ...]
    exact: bool
    score: float = 1.0


@dataclass(frozen=True)
class Duplicates:
    """All groups of a data set, and how many likely pairs were too many to be looked at."""

    groups: tuple[DuplicateGroup, ...]
    left_out: int = 0


def find_duplicates(
    facts: Facts, *, threads: int, advance: Callable[[int], None] = lambda count: None
) -> Duplicates:
    """Find exact and near duplicates among what can be read; constant pictures do not count."""
    shows = [bool(not look.problem and not look.constant) for look in facts.looks]
    hashes = [
        look.pixel_hash if show else "" for look, show in zip(facts.looks, shows, strict=True)
    ]
    exact = group_equal(hashes)
    copies = {index for members in exact for index in members[1:]}
    # Of the same pixels one stands for all: a placeholder may be there a thousand times.
    chosen = np.array([i for i, h in enumerate(hashes) if h and i not in copies], dtype=int)
    sides = np.array([(look.height, look.width) for look in facts.looks]).reshape(-1, 2)
    near = find_near_pairs(facts.thumbnails, sides, chosen, threads=threads, advance=advance)
    ties = [(int(a), int(b), float(s)) for (a, b), s in zip(near.pairs, near.scores, strict=True)]
    ties += [(members[0], other, 1.0) for members in exact for other in members[1:]]
    scores: dict[int, float] = {}
    members_of = connect((a, b) for a, b, _ in ties)
    root_of = {index: members[0] for members in members_of for index in members}
    for a, _, score in ties:
        scores[root_of[a]] = min(score, scores.get(root_of[a], 1.0))
    groups = [
        DuplicateGroup(
            members,
            exact=len({hashes[index] for index in members}) == 1,
            score=round(scores[members[0]], 4),
        )
        for members in members_of
    ]
    return Duplicates(tuple(groups), near.left_out)


def group_equal(keys: Sequence[str]) -> list[tuple[int, ...]]:
    """Return the indices of each key that stands twice or more, an empty key never."""
    places: dict[str, list[int]] = {}
    for index, key in enumerate(keys):
        if key:
            places.setdefault(key, []).append(index)
    return [tuple(members) for members in places.values() if len(members) > 1]


def connect(pairs: Iterable[tuple[int, int]]) -> list[tuple[int, ...]]:
    """Return what pairs tie together, each group and the list of them ascending."""
    parent: dict[int, int] = {}

    def find(index: int) -> int:
        while parent.setdefault(index, index) != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for one, other in pairs:
        low, high = sorted((find(one), find(other)))
        parent[high] = low
    groups: dict[int, list[int]] = {}
    for index in sorted(parent):
        groups.setdefault(find(index), []).append(index)
    return [tuple(members) for members in groups.values()]
