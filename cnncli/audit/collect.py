"""Collects facts on the files of all images, in threads, or from the cache where it has them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from cnncli.arrays import Array
from cnncli.audit.cache import FactsCache, FileKey, make_key
from cnncli.audit.file_facts import THUMBNAIL, FileFacts, read_file_facts
from cnncli.data.samples import FileSource, Samples
from cnncli.data.store import describe_failure, map_in_threads

# So many images are looked up in the cache at a time.
_CHUNK = 256


@dataclass(frozen=True)
class CollectedFacts:
    """What is known of the images of a data set, in the order of the samples.

    Attributes:
        files: Facts on the files of each of the N images.
        thumbnails: (N, 64, 64) uint8, mapped from a temporary file: a million of them take 4 GB.
        from_cache: Number of images that were not decoded, since the cache knew them.
    """

    files: tuple[FileFacts, ...]
    thumbnails: Array
    from_cache: int = 0

    @property
    def readable(self) -> Array:
        """(N,) bool: whether each image can be read."""
        return np.array([not file.problem for file in self.files], dtype=bool)


def collect_facts(
    samples: Samples,
    *,
    threads: int,
    cache_folder: Path | None,
    advance: Callable[[int], None] = lambda count: None,
) -> CollectedFacts:
    """Decode every image that the cache does not know, and return what is known of all of them.

    Args:
        samples: The labelled images.
        threads: Number of threads that read and decode.
        cache_folder: Folder of the cache. None decodes every image, and keeps nothing.
        advance: Called with 1 after each image.
    """
    with tempfile.TemporaryFile() as temporary:
        shape = (len(samples), THUMBNAIL, THUMBNAIL)
        thumbnails = np.memmap(temporary, np.uint8, "w+", shape=shape)  # outlives the closed file
    cache = FactsCache(cache_folder)
    files: list[FileFacts] = []
    hits = 0

    def read(index: int) -> tuple[FileFacts, Array]:
        try:
            return read_file_facts(samples.source.read(index))
        except OSError as error:
            black = np.zeros((THUMBNAIL, THUMBNAIL), np.uint8)
            return FileFacts(problem=describe_failure(error)), black

    try:
        for chunk in _chunks(len(samples)):
            keys = {index: _make_key(samples, index) for index in chunk}
            known = cache.load(key for key in keys.values() if key is not None)
            unknown = [i for i, key in keys.items() if key is None or key.path not in known]
            fresh = {}
            for index, result in zip(unknown, map_in_threads(read, unknown, threads), strict=True):
                fresh[index] = result
                advance(1)
            for index, key in keys.items():
                if index in fresh:
                    facts, thumbnail = fresh[index]
                    if key is not None:
                        cache.save(key, facts, thumbnail)
                else:
                    assert key is not None
                    facts, thumbnail = known[key.path]
                    hits += 1
                    advance(1)
                files.append(facts)
                thumbnails[index] = thumbnail
    finally:
        cache.close()
    return CollectedFacts(tuple(files), thumbnails, hits)


def _chunks(count: int) -> Iterator[list[int]]:
    indices = iter(range(count))
    while chunk := list(islice(indices, _CHUNK)):
        yield chunk


def _make_key(samples: Samples, index: int) -> FileKey | None:
    """Return the key of an image's files in the cache.

    It is None for an image that lies in an array instead of files, and for one whose files are
    gone.
    """
    source = samples.source
    if not isinstance(source, FileSource):
        return None
    try:
        return make_key(source.file_paths(index))
    except OSError:
        return None
