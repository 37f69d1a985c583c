"""The images to predict, as they are given: files, folders, glob patterns, or paths on stdin."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TextIO, TypeVar

from cnncli.data.walk import is_hidden, looks_like_image, walk_files
from cnncli.errors import CnncliError

T = TypeVar("T")


def expand_inputs(inputs: Sequence[str], stdin: TextIO) -> Iterator[str]:
    """Yield the paths of images in the order given, without reading the images.

    The images of a folder come sorted by path, and those of stdin as their lines arrive. A line of
    stdin is a single path, never a pattern or a folder. A path without a file is yielded too: the
    error is reported when it is read.

    Args:
        inputs: Paths, folders, glob patterns, and ``-`` for stdin.
        stdin: Where ``-`` reads from.

    Raises:
        CnncliError: If a folder holds no image, or a pattern matches no file.
    """
    for given in inputs:
        if given == "-":
            for line in stdin:
                path = line.rstrip("\r\n")
                if path:
                    yield path
        else:
            yield from _expand(given)


def group_files(paths: Iterable[str], count: int) -> Iterator[tuple[str, ...]]:
    """Yield the paths of the files that make up each sample.

    Args:
        paths: Paths of single files. A line of stdin may also hold the paths of one whole sample,
            separated by tabs.
        count: Number of files per sample: so many paths in a row are one sample.

    Raises:
        CnncliError: If the last sample has too few files.
    """
    if count == 1:
        yield from ((path,) for path in paths)
        return
    waiting: list[str] = []
    for path in paths:
        if "\t" in path and not waiting:
            yield tuple(path.split("\t"))
            continue
        waiting.append(path)
        if len(waiting) == count:
            yield tuple(waiting)
            waiting = []
    if waiting:
        raise CnncliError(
            f"{waiting[-1]}: a sample of this checkpoint is {count} files, one behind the other, "
            f"and this one lacks {count - len(waiting)}"
        )


def select_shard(items: Iterable[T], shard: tuple[int, int]) -> Iterator[T]:
    """Yield every N-th item, starting with the I-th: the N shards together hold all items.

    Args:
        items: The items.
        shard: ``(I, N)``: the number of the shard, from 1, and the number of shards.
    """
    number, of = shard
    return islice(items, number - 1, None, of)


def _expand(given: str) -> Iterator[str]:
    """Yield the paths that one argument stands for."""
    if os.path.isdir(given):
        found = False
        for name in walk_files(Path(given)):
            path = os.path.join(given, name)
            if looks_like_image(path):
                found = True
                yield path
        if not found:
            raise CnncliError(f"{given}: no images in this folder")
    elif glob.has_magic(given) and not os.path.lexists(given):
        matches = sorted(m for m in glob.glob(given, recursive=True) if not _is_system(m, given))
        if not matches:
            raise CnncliError(f"{given}: matches no file")
        for match in matches:
            yield from _expand(match)
    else:
        yield given


def _is_system(path: str, pattern: str) -> bool:
    """Return whether a match of a pattern is in a folder of the system that it does not name."""
    return any(is_hidden(part) for part in set(Path(path).parts) - set(Path(pattern).parts))
