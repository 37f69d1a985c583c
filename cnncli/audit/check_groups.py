"""Findings on groups: the images of a patient, a series or an object in several splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from cnncli.arrays import Array
from cnncli.audit.duplicates import group_equal
from cnncli.audit.findings import Finding, count_of
from cnncli.audit.ids import find_ids
from cnncli.choices import SPLITS
from cnncli.data.samples import NO_SPLIT, Samples
from cnncli.errors import shorten


def check_groups(samples: Samples, splits: Array) -> Iterator[Finding]:
    """Yield groups in several splits; without groups, ids that file names share.

    Groups that were named are certain. Ids are a guess, so that they are told, and no more.
    """
    if samples.groups is not None:
        torn = _torn(group_equal([str(group) for group in samples.groups]), splits)
        if torn:
            text = (
                f"{count_of(len(torn), 'group')} in several splits: {_where(torn, splits)} "
                f"({_names(samples.groups, torn)})"
            )
            yield Finding("group-leak", "spoils", text, tuple(torn))
        return
    if samples.group_hint is not None:  # a column that names patients
        yield Finding("shared-ids", "note", samples.group_hint)
        return
    ids = find_ids(samples.paths, samples.targets)
    if ids is None:
        return
    shared = group_equal([str(group) for group in ids.groups])
    most = max(map(len, shared))
    each = "two" if most == 2 else f"two to {most}"
    torn = _torn(shared, splits)
    across = f"; {len(torn)} of them in several splits ({_where(torn, splits)})" if torn else ""
    text = (
        f"{count_of(len(shared), 'id')} in front of {each} file names each "
        f"({_names(ids.groups, shared)}){across}; if they are patients or series, keep each in one "
        f"split with --group-regex '{ids.pattern}'"
    )
    yield Finding("shared-ids", "note", text, tuple(shared))


def _torn(groups: list[tuple[int, ...]], splits: Array) -> list[tuple[int, ...]]:
    return [g for g in groups if len(set(splits[list(g)].tolist()) - {NO_SPLIT}) > 1]


def _where(groups: list[tuple[int, ...]], splits: Array) -> str:
    sets = Counter(tuple(np.unique(splits[list(group)]).tolist()) for group in groups)
    return ", ".join(
        f"{n} in {' and '.join(SPLITS[s] for s in names if s != NO_SPLIT)}"
        for names, n in sets.most_common(3)
    )


def _names(groups: Array, members: list[tuple[int, ...]]) -> str:
    return shorten([str(groups[group[0]]) for group in members], 3)
