"""The cheap part of the check, for ``train``: contents by hash, headers of some files."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cnncli.arrays import Array
from cnncli.audit.check_classes import check_imbalance
from cnncli.audit.check_copies import check_copies
from cnncli.audit.check_shortcuts import look_for_shortcuts
from cnncli.audit.duplicates import DuplicateGroup, group_equal
from cnncli.audit.file_facts import FileFacts, describe
from cnncli.audit.findings import Finding
from cnncli.audit.shortcuts import FAMILIES
from cnncli.data.samples import NO_SPLIT, FileSource, Samples
from cnncli.data.store import map_in_threads
from cnncli.images.formats import read_header
from cnncli.images.header import ImageError

# So many files, evenly spread, have their headers read: 0.2 ms each.
_MOST_HEADERS = 1000


def check_quickly(
    samples: Samples, splits: Array, hashes: Array, *, threads: int
) -> Iterator[Finding]:
    """Yield what spoils a run and is found without decoding.

    Args:
        samples: With targets in class order.
        splits: (N,) of the run; images without one do not count.
        hashes: (N,) texts that name the files' contents, empty where they are not known.
        threads: To read with.
    """
    known = np.where(splits == NO_SPLIT, "", hashes.astype(object))
    groups = [DuplicateGroup(members, exact=True) for members in group_equal(known.tolist())]
    areas = [0] * len(samples)
    yield from (f for f in check_copies(samples, splits, groups, areas) if f.kind != "duplicates")
    yield from check_imbalance(samples, splits)
    if isinstance(samples.source, FileSource):  # arrays have no files of their own
        yield from _check_headers(samples, splits, threads)


def _check_headers(samples: Samples, splits: Array, threads: int) -> Iterator[Finding]:
    used = np.flatnonzero(splits != NO_SPLIT)
    count = min(_MOST_HEADERS, len(used))
    chosen = used[np.unique(np.linspace(0, len(used) - 1, count).astype(int))]
    looks = [FileFacts(problem="not looked at")] * len(samples)
    seen = map_in_threads(lambda index: _read_look(samples, index), chosen.tolist(), threads)
    for index, look in zip(chosen.tolist(), seen, strict=True):
        looks[index] = look
    families = [name for name in FAMILIES if name != "frame"]  # that needs the pixels
    _, findings = look_for_shortcuts(samples, looks, families=families)
    yield from (finding for finding in findings if finding.severity == "spoils")


def _read_look(samples: Samples, index: int) -> FileFacts:
    try:
        data = samples.source.read(index)[0]
        return FileFacts(**describe(read_header(data), data))
    except (ImageError, OSError) as error:
        return FileFacts(problem=str(error))
