"""Looks at every sample of a data set, in threads, those that are known from the cache."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from cnncli.arrays import Array
from cnncli.audit.cache import FileKey, LookCache, make_key
from cnncli.audit.file_facts import THUMBNAIL, FileFacts, read_file_facts
from cnncli.data.samples import FileSource, Samples
from cnncli.data.store import map_in_threads

_CHUNK = 256


@dataclass(frozen=True)
class Facts:
    """What is known of every sample, in their order.

    Attributes:
        looks: One per sample.
        thumbnails: (N, 64, 64) uint8, in a file of the system's: a million take 4 GB.
        from_cache: How many were not decoded again.
    """

    looks: tuple[FileFacts, ...]
    thumbnails: Array
    from_cache: int = 0

    @property
    def readable(self) -> Array:
        """(N,) of bool."""
        return np.array([not look.problem for look in self.looks], dtype=bool)

    def column(self, name: str) -> Array:
        """Return one attribute of all looks as an array."""
        return np.array([getattr(look, name) for look in self.looks])


def gather_facts(
    samples: Samples,
    *,
    threads: int,
    cache_folder: Path | None,
    advance: Callable[[int], None] = lambda count: None,
) -> Facts:
    """Decode every sample that the cache does not know.

    Args:
        samples: Whose files are read.
        threads: That decode at the same time.
        cache_folder: None looks at all files anew and keeps nothing.
        advance: Told of each sample done.
    """
    with tempfile.TemporaryFile() as file:
        shape = (len(samples), THUMBNAIL, THUMBNAIL)
        thumbnails = np.memmap(file, np.uint8, "w+", shape=shape)  # outlives the closed file
    cache = LookCache(cache_folder)
    looks: list[FileFacts] = []
    hits = 0
    try:
        for chunk in _chunks(len(samples)):
            keys = {index: _find_key(samples, index) for index in chunk}
            known = cache.load(key for key in keys.values() if key is not None)
            unknown = [i for i, key in keys.items() if key is None or key.path not in known]
            seen = {}
            looked = map_in_threads(_Reader(samples), unknown, threads)
            for index, found in zip(unknown, looked, strict=True):
                seen[index] = found
                advance(1)
            for index, key in keys.items():
                if index in seen:
                    look, thumbnail = seen[index]
                    if key is not None:
                        cache.save(key, look, thumbnail)
                else:
                    assert key is not None
                    look, thumbnail = known[key.path]
                    hits += 1
                    advance(1)
                looks.append(look)
                thumbnails[index] = thumbnail
    finally:
        cache.close()
    return Facts(tuple(looks), thumbnails, hits)


@dataclass(frozen=True)
class _Reader:
    samples: Samples

    def __call__(self, index: int) -> tuple[FileFacts, Array]:
        try:
            return read_file_facts(self.samples.source.read(index))
        except OSError as error:
            problem = f"cannot be read ({error.strerror})"
            return FileFacts(problem=problem), np.zeros((THUMBNAIL, THUMBNAIL), np.uint8)


def _chunks(count: int) -> Iterator[list[int]]:
    indices = iter(range(count))
    while chunk := list(islice(indices, _CHUNK)):
        yield chunk


def _find_key(samples: Samples, index: int) -> FileKey | None:
    """Return by what a sample is known again; None for what lies in no file, or in none now."""
    source = samples.source
    if not isinstance(source, FileSource):
        return None
    try:
        return make_key(source.find_paths(index))
    except OSError:
        return None
