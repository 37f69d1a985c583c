"""What ``predict`` is given: files, folders, globs, or paths on stdin, as they come."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TextIO, TypeVar

from cnncli.data.folders import looks_like_image, walk_files
from cnncli.errors import CnncliError

T = TypeVar("T")


def expand_inputs(inputs: Sequence[str], stdin: TextIO) -> Iterator[str]:
    """Yield image paths in the order given; a folder's images sorted, stdin's line by line.

    A line of stdin is a path as it stands: no pattern, and no folder, whose images ``find``
    names as well. A path that is no file is yielded too: reading it tells what is wrong with it.

    Raises:
        CnncliError: If a folder holds no image, or a glob matches nothing.
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
    """Yield the files of each sample: of a line their paths between tabs, else ``count`` in a row.

    Raises:
        CnncliError: If the last sample lacks files.
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
    """Yield the I-th of every N items, for ``(I, N)`` counted from 1: N shards are the whole."""
    number, of = shard
    return islice(items, number - 1, None, of)


def _expand(given: str) -> Iterator[str]:
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
        matches = sorted(glob.glob(given, recursive=True))
        if not matches:
            raise CnncliError(f"{given}: matches no file")
        for match in matches:
            yield from _expand(match)
    else:
        yield given
