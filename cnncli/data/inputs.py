"""The images to predict, as they are given: files, folders, globs, tables, or paths on stdin."""

from __future__ import annotations

import codecs
import glob
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TextIO, TypeVar

from cnncli.data.given_run import refuse_run
from cnncli.data.walk import is_hidden, looks_like_image, walk_files
from cnncli.errors import CnncliError

T = TypeVar("T")

_LINE_END = re.compile(r"\r\n|\r|\n")
_MARK = "\ufeff"  # a byte order mark as text
# Bytes of a line of stdin, and of a whole list in UTF-16.
_MOST_OF_LINE = 2**20
_MOST_OF_WIDE = 2**28


def expand_inputs(
    inputs: Sequence[str],
    stdin: TextIO,
    list_table: Callable[[Path], Iterable[str]] = lambda path: [str(path)],
) -> Iterator[str]:
    """Yield the paths of images in the order given, without reading the images.

    The images of a folder come sorted by path, and those of stdin as their lines arrive. A line of
    stdin is a single path, never a pattern or a folder. A path without a file is yielded too: the
    error is reported when it is read.

    Args:
        inputs: Paths, folders, glob patterns, tables (``.csv``, ``.tsv``) of images, and ``-`` for
            stdin. A table is named by itself: those that a pattern matches are not read.
        stdin: Where ``-`` reads from.
        list_table: Returns the paths of the images that a table names.

    Raises:
        CnncliError: If a folder holds no image, a pattern matches no file, stdin holds no text, a
            table cannot be read, or a run is given in place of images.
    """
    for given in inputs:
        refuse_run(Path(given), given)
    for given in inputs:
        if given == "-":
            yield from filter(None, read_lines(stdin))
        elif given.lower().endswith((".csv", ".tsv")) and os.path.isfile(given):
            yield from list_table(Path(given))
        else:
            yield from _expand(given)


def read_lines(stdin: TextIO) -> Iterator[str]:
    """Yield the lines of stdin as they arrive, without their ends.

    A list in UTF-16, as PowerShell writes it, is read to its end first; it is recognised by its
    byte order mark, or by line ends of two bytes. A byte order mark does not count as text.

    Raises:
        CnncliError: If a line is too long for a path, or the text is not what its mark says.
    """
    buffer = getattr(stdin, "buffer", None)
    if buffer is None:  # a text in memory
        yield from _LINE_END.split(stdin.read())
        return
    encoding, errors = stdin.encoding, "surrogateescape"
    line = buffer.readline(_MOST_OF_LINE)
    wide = _find_wide_encoding(line)
    if wide:
        try:
            text = (line + buffer.read(_MOST_OF_WIDE)).decode(wide)
        except UnicodeDecodeError:
            raise CnncliError(
                "-: the list begins as UTF-16, but is not; save it as UTF-8"
            ) from None
        yield from _LINE_END.split(text.removeprefix(_MARK))
        return
    if line.startswith(codecs.BOM_UTF8):
        encoding = "utf-8"
    while line:
        if len(line) == _MOST_OF_LINE:
            raise CnncliError("-: a line is too long for a path; write one path a line")
        text = line.decode(encoding, errors).rstrip("\r\n").removeprefix(_MARK)
        yield from _LINE_END.split(text)
        line = buffer.readline(_MOST_OF_LINE)


def _find_wide_encoding(line: bytes) -> str | None:
    """Return the name of UTF-16 or UTF-32 if a text's first bytes, to a line end, are in it."""
    if line.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if line.endswith(b"\0\n"):
        return "utf-16-be" if line.startswith(b"\0") else "utf-16-le"
    return None


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
        found, folder = False, os.path.join(given, "")
        for name in walk_files(Path(given)):
            path = folder + name
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
