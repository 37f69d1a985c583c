"""The part of the check that decodes no image, for ``train``: hashes of files, and headers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cnncli.arrays import Array
from cnncli.audit.check_classes import check_imbalance
from cnncli.audit.check_copies import check_copies
from cnncli.audit.check_shortcuts import check_shortcuts
from cnncli.audit.duplicates import DuplicateGroup, group_equal
from cnncli.audit.file_facts import FileFacts, header_facts
from cnncli.audit.findings import Finding
from cnncli.audit.shortcuts import FAMILIES
from cnncli.data.samples import NO_SPLIT, Samples, find_files
from cnncli.data.store import describe_failure, map_in_threads
from cnncli.images.formats import read_header
from cnncli.images.header import ImageError

# Headers of at most so many files are read, evenly spread over the data set; each takes 0.2 ms.
_MOST_HEADERS = 1000


def check_quickly(
    samples: Samples, splits: Array, hashes: Array, *, threads: int
) -> Iterator[Finding]:
    """Yield those findings that spoil a run and need no decoded image.

    Args:
        samples: The labelled images, their targets in class order.
        splits: (N,) indices into SPLITS; images with ``NO_SPLIT`` are left out.
        hashes: (N,) hashes of the files' contents, empty where they are not known.
        threads: Number of threads that read files.
    """
    known = np.where(splits == NO_SPLIT, "", hashes.astype(object))
    groups = [DuplicateGroup(members, exact=True) for members in group_equal(known.tolist())]
    areas = [0] * len(samples)
    yield from (f for f in check_copies(samples, splits, groups, areas) if f.kind != "duplicates")
    yield from check_imbalance(samples, splits)
    if find_files(samples.source, 0):  # arrays have no files of their own
        yield from _check_headers(samples, splits, threads)


def _check_headers(samples: Samples, splits: Array, threads: int) -> Iterator[Finding]:
    used = np.flatnonzero(splits != NO_SPLIT)
    count = min(_MOST_HEADERS, len(used))
    chosen = used[np.unique(np.linspace(0, len(used) - 1, count).astype(int))]
    files = [FileFacts(problem="not read")] * len(samples)
    read = map_in_threads(lambda index: _read_header(samples, index), chosen.tolist(), threads)
    for index, file in zip(chosen.tolist(), read, strict=True):
        files[index] = file
    families = [name for name in FAMILIES if name not in ("frame", "bits used")]  # seen in pixels
    _, findings = check_shortcuts(samples, files, families=families)
    yield from (finding for finding in findings if finding.severity == "spoils")


def _read_header(samples: Samples, index: int) -> FileFacts:
    """Return the facts from the header of a sample's first file."""
    try:
        data = samples.source.read(index)[0]
        return FileFacts(**header_facts(read_header(data, 0), data))
    except (ImageError, OSError) as error:
        return FileFacts(problem=describe_failure(error))
