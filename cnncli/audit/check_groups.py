"""Findings on groups: images of one patient, series or object that lie in several splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from cnncli.arrays import Array
from cnncli.audit.duplicates import group_equal
from cnncli.audit.file_facts import FileFacts
from cnncli.audit.findings import Finding
from cnncli.audit.ids import detect_ids
from cnncli.choices import SPLITS
from cnncli.data.dicom_groups import KEEP, find_patients, tell_patients
from cnncli.data.samples import NO_SPLIT, Samples
from cnncli.errors import count_of, shorten


def check_groups(samples: Samples, splits: Array, files: Sequence[FileFacts]) -> Iterator[Finding]:
    """Yield a finding on groups in several splits or, without groups, on patients and ids.

    Groups that the user has named are certain, and torn ones spoil a result. Patients in headers
    of DICOM and ids in file names only suggest that images belong together, so they are merely
    worth knowing.

    Args:
        samples: The labelled images.
        splits: (N,) indices into SPLITS, ``NO_SPLIT`` for an image without a split.
        files: Facts on the files of each of the N images.
    """
    if samples.groups is not None:
        torn = _torn(group_equal([str(group) for group in samples.groups]), splits)
        if torn:
            text = (
                f"{count_of(len(torn), 'group')} in several splits: {_where(torn, splits)} "
                f"({_names(samples.groups, torn)})"
            )
            yield Finding("group-leak", text, tuple(torn))
        return
    if samples.group_hint is not None:  # the CSV has a column that seems to name patients
        yield Finding("shared-ids", samples.group_hint)
        return
    dicom = np.array([i for i, file in enumerate(files) if file.format == "DICOM"], int)
    patients = find_patients(samples, dicom) if len(dicom) else None
    if patients is not None:
        shared = [tuple(dicom[list(group)].tolist()) for group in group_equal(patients)]
        text = f"{tell_patients(patients)}{_across(shared, splits)}; {KEEP}"
        yield Finding("shared-ids", text, tuple(shared))
        return
    ids = detect_ids(samples.paths, samples.targets)
    if ids is None:
        return
    shared = group_equal([str(group) for group in ids.groups])
    most = max(map(len, shared))
    shown = "two files" if most == 2 else f"two to {most} files"
    text = (
        f"{count_of(len(shared), 'id begins', 'ids each begin')} the names of {shown} "
        f"({_names(ids.groups, shared)}){_across(shared, splits)}; if they are "
        f"patients or series, keep each in one split with --group-regex '{ids.pattern}'"
    )
    yield Finding("shared-ids", text, tuple(shared))


def _across(groups: list[tuple[int, ...]], splits: Array) -> str:
    """Return, behind a semicolon, how many groups lie in several splits; or an empty text."""
    torn = _torn(groups, splits)
    return f"; {len(torn)} of them in several splits ({_where(torn, splits)})" if torn else ""


def _torn(groups: list[tuple[int, ...]], splits: Array) -> list[tuple[int, ...]]:
    """Return the groups that have images in more than one split."""
    return [g for g in groups if len(set(splits[list(g)].tolist()) - {NO_SPLIT}) > 1]


def _where(groups: list[tuple[int, ...]], splits: Array) -> str:
    """Return how many groups lie in which splits, such as ``"3 in train and val"``."""
    sets = Counter(tuple(np.unique(splits[list(group)]).tolist()) for group in groups)
    return ", ".join(
        f"{n} in {' and '.join(SPLITS[s] for s in names if s != NO_SPLIT)}"
        for names, n in sets.most_common(3)
    )


def _names(groups: Array, members: list[tuple[int, ...]]) -> str:
    """Return the names of some groups, the first three of them in full."""
    return shorten([str(groups[group[0]]) for group in members], 3)
