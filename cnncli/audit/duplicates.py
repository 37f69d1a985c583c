"""Groups of images that show the same picture: exact and near duplicates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from cnncli.audit.collect import CollectedFacts
from cnncli.audit.similarity import find_near_pairs


@dataclass(frozen=True)
class DuplicateGroup:
    """Images that show the same picture.

    Attributes:
        members: Indices of the images, two or more, ascending.
        exact: Whether all of them have the same pixels. If not, some are near copies.
        score: Lowest correlation of the pairs that connect the group, 0–1; 1 if it is exact.
        certain: Whether there is no doubt that they are copies, so that they may be left out.
    """

    members: tuple[int, ...]
    exact: bool
    score: float = 1.0
    certain: bool = True


@dataclass(frozen=True)
class Duplicates:
    """The duplicates of a data set.

    Attributes:
        groups: All groups of images that show the same picture.
        left_out: Number of pairs that were not compared closely, since there were too many.
    """

    groups: tuple[DuplicateGroup, ...]
    left_out: int = 0


def find_duplicates(
    facts: CollectedFacts, *, threads: int, advance: Callable[[int], None] = lambda count: None
) -> Duplicates:
    """Find exact and near duplicates among the images that can be read.

    Pictures of one colour all over are left out: they would all be duplicates of each other.

    Args:
        facts: What is known of all images.
        threads: Number of threads that compare pictures.
        advance: Called with the number of images that are compared.
    """
    shows = [bool(not file.problem and not file.constant) for file in facts.files]
    hashes = [
        file.pixel_hash if show else "" for file, show in zip(facts.files, shows, strict=True)
    ]
    exact = group_equal(hashes)
    copies = {index for members in exact for index in members[1:]}
    # One image of each exact group takes part: a placeholder may be there a thousand times.
    chosen = np.array([i for i, h in enumerate(hashes) if h and i not in copies], dtype=int)
    sides = np.array([(file.height, file.width) for file in facts.files]).reshape(-1, 2)
    near = find_near_pairs(facts.thumbnails, sides, chosen, threads=threads, advance=advance)
    ties = [(int(a), int(b), float(s)) for (a, b), s in zip(near.pairs, near.scores, strict=True)]
    doubtful = {int(index) for index in near.pairs[~near.certain].ravel()}
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
            certain=doubtful.isdisjoint(members),
        )
        for members in members_of
    ]
    return Duplicates(tuple(groups), near.left_out)


def group_equal(keys: Sequence[str]) -> list[tuple[int, ...]]:
    """Return the indices of each key that occurs twice or more; empty keys are left out."""
    places: dict[str, list[int]] = {}
    for index, key in enumerate(keys):
        if key:
            places.setdefault(key, []).append(index)
    return [tuple(members) for members in places.values() if len(members) > 1]


def connect(pairs: Iterable[tuple[int, int]]) -> list[tuple[int, ...]]:
    """Return the groups that pairs connect, directly or over others: the connected components.

    Args:
        pairs: Pairs of indices.

    Returns:
        The indices of each group, ascending, the groups in the order of their first index.

    Source: union-find with path halving (R. Tarjan & J. van Leeuwen 1984).
    """
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
