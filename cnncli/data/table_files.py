"""Finds the files that the image column of a CSV names, by path or by id."""

from __future__ import annotations

import os
import posixpath
import sys
from array import array
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path

import numpy as np

from cnncli.arrays import Array
from cnncli.data.moved_files import find_moved, is_absolute
from cnncli.data.samples import SEPARATOR, text_array
from cnncli.data.table_ids import _last, look_up_ids
from cnncli.errors import CnncliError

# With fewer names in a folder than this, each is looked for by itself; else the folder is listed.
_LISTED_FROM = 10
# So many rows are turned into texts of one array at a time.
_CHUNK = 1 << 16


def find_files(
    table: Path, names: Array, line_of: Callable[[int], int], *, keep_lost: bool = False
) -> tuple[Array, tuple[str, ...]]:
    """Find the file of each row.

    A name without folders that is not the path of a file is an id. It is looked up anywhere below
    the folder of the CSV, as the name of a file with or without its ending. A name with folders is
    found elsewhere only if the whole of it is the end of a file's path. An absolute path is looked
    up by `find_moved`.

    Args:
        table: Path of the CSV.
        names: (N,) fields of the image column, none of them empty.
        line_of: Returns the line of a row, for messages.
        keep_lost: Whether a name for which there is no file stays as it is, in place of an error.

    Returns:
        (N,) the paths, relative to the folder of the CSV or absolute; and sentences on files that
        are not where the table says.

    Raises:
        CnncliError: If a file is not found, if a name may mean several files, or if it is a URL.
    """
    urls = np.flatnonzero(np.strings.find(names, "://") >= 0)
    if len(urls):
        raise CnncliError(
            f"{table}, line {line_of(urls[0])}: image {str(names[urls[0]])!r} is an address (URL), "
            "and nothing is downloaded; give the path of a file"
        )
    parts = []
    folders: dict[str, int] = {}
    folder_of = array("i")
    for start in range(0, len(names), _CHUNK):
        paths = [_tidy(name) for name in names[start : start + _CHUNK].tolist()]
        parts.append(text_array(paths))
        folder_of.extend(
            [folders.setdefault(path.rpartition("/")[0], len(folders)) for path in paths]
        )
    files = np.concatenate(parts)
    missing = _find_missing(str(table.parent), files, np.asarray(folder_of), list(folders))
    remarks: tuple[str, ...] = ()
    moved = np.fromiter((is_absolute(path) for path in files[missing]), bool, len(missing))
    if moved.any():
        there = np.delete(files, missing)
        rows = missing[moved]
        with suppress(CnncliError) if keep_lost else nullcontext():
            files[rows], remarks = find_moved(
                table, files[rows], lambda row: line_of(rows[row]), there
            )
        missing = missing[~moved]
    if len(missing):
        files[missing] = look_up_ids(
            table, files[missing], lambda row: line_of(missing[row]), keep_lost=keep_lost
        )
    return files, remarks


def unify_paths(root: Path, files: Array) -> Array:
    """Return (N,) paths in which a file below the root has one path only, the relative one.

    Args:
        root: Folder of the CSV.
        files: (N,) paths, relative to it or absolute.
    """
    start = f"{root.absolute().as_posix()}/"
    below = np.flatnonzero(np.strings.startswith(files, start))
    if len(below):
        files = files.copy()
        files[below] = text_array([path[len(start) :] for path in files[below]])
    return files


def check_channels(table: Path, columns: Sequence[Array], line_of: Callable[[int], int]) -> None:
    """Check the files of samples that have several, one per channel.

    Args:
        table: Path of the CSV, for messages.
        columns: (N,) paths of each channel's files.
        line_of: Returns the line of a row, for messages.

    Raises:
        CnncliError: If a sample has the same file twice, or if ``SEPARATOR`` is part of a name.
    """
    unified = [unify_paths(table.parent, files) for files in columns]
    for number, files in enumerate(columns):
        torn = np.flatnonzero(np.strings.find(files, SEPARATOR) >= 0)
        if len(torn):
            raise CnncliError(
                f"{table}, line {line_of(torn[0])}: {str(files[torn[0]])!r} has a {SEPARATOR!r} in "
                "its name, which separates the files of a sample; rename it"
            )
        for others in unified[:number]:
            twice = np.flatnonzero(unified[number] == others)
            if len(twice):
                raise CnncliError(
                    f"{table}, line {line_of(twice[0])}: {str(files[twice[0]])!r} is the file of "
                    "two channels of this sample; each channel needs a file of its own"
                )


def _tidy(path: str) -> str:
    """Return a path with ``/``, without ``.`` and ``..`` where they can be resolved."""
    if "\\" in path:
        path = path.replace("\\", "/")
    tidy = "./" not in path and "//" not in path and path[-1] not in "./"
    return path if tidy else posixpath.normpath(path)


def _find_missing(root: str, files: Array, folder_of: Array, folders: list[str]) -> Array:
    """Return the numbers of the rows whose file does not exist, ascending.

    Folders are listed, which takes a quarter of the time of looking for each file.

    Args:
        root: Folder of the CSV.
        files: (N,) paths.
        folder_of: (N,) number of each path's folder.
        folders: The folders by number, relative to the root.
    """
    order = np.argsort(folder_of, kind="stable")
    starts = np.searchsorted(folder_of[order], np.arange(len(folders) + 1))
    missing: list[int] = []
    for number, folder in enumerate(folders):
        rows = order[starts[number] : starts[number + 1]].tolist()
        place = os.path.join(root, folder)
        names = [_last(path) for path in files[rows]]
        found, complete = _list_files(place, set(names))
        # These file systems find files under other names than they list: "a.png" for "A.PNG", and
        # "Ü" in its other Unicode form.
        look = not complete or sys.platform in ("darwin", "win32")
        missing += [
            row
            for row, name in zip(rows, names, strict=True)
            if name not in found and not (look and os.path.isfile(os.path.join(place, name)))
        ]
    return np.array(sorted(missing), dtype=np.int64)


def _list_files(folder: str, wanted: set[str]) -> tuple[set[str], bool]:
    """List a folder, unless it holds far more files than are wanted.

    Args:
        folder: The folder.
        wanted: Names of files.

    Returns:
        The wanted names that are files in the folder, and whether the list is complete. If it is
        not, the other names are to be looked for one by one.
    """
    found: set[str] = set()
    if len(wanted) < _LISTED_FROM:
        return found, False
    most = 20 * len(wanted)
    try:
        with os.scandir(folder) as entries:
            for number, entry in enumerate(entries):
                if number == most:
                    return found, False
                if entry.name in wanted and entry.is_file():
                    found.add(entry.name)
    except OSError:  # there is no such folder, or it may not be read: look for each file
        return found, False
    return found, True
