"""Finds images whose absolute paths in a CSV are of another machine, or of an earlier place."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path

import numpy as np

from cnncli.arrays import Array
from cnncli.data.samples import text_array
from cnncli.data.walk import walk_files
from cnncli.errors import CnncliError

_ABSOLUTE = re.compile(r"/|[A-Za-z]:/")


def is_absolute(path: str) -> bool:
    """Return whether a path with ``/`` is absolute, on this system or on Windows."""
    return _ABSOLUTE.match(path) is not None


def find_moved(
    table: Path, paths: Array, line_of: Callable[[int], int], there: Array
) -> tuple[Array, tuple[str, ...]]:
    """Find files whose absolute paths do not exist, by the last folders of these paths.

    All of them must have been below one folder, which is no longer there, and must lie below the
    folder of the CSV as they did below that one: ``/home/bob/data/siteA/01.png`` is found as
    ``siteA/01.png``. At least one folder of the path must agree, or else the CSV's folder must have
    the name of the folder that is gone.

    Args:
        table: Path of the CSV.
        paths: (M,) absolute paths of files that do not exist, with ``/``.
        line_of: Returns the line of a path by its number, for messages.
        there: Paths of all other rows, whose files exist.

    Returns:
        (M,) paths relative to the folder of the CSV; and a sentence that says so.

    Raises:
        CnncliError: If a file is not found in this way, or if it may be one of several.
    """
    root = str(table.parent)
    gone = _old_root(table, str(paths[0]))
    start = f"{gone}/"
    # If some of its files are still there, the folder has not moved, and the others are missing.
    moved = gone is not None and not np.strings.startswith(there, start).any()
    found = []
    others: dict[str, list[str]] = {}
    for row, path in enumerate(paths):
        below = path.removeprefix(start)
        if not moved or below == path or not _is_moved(root, start, below):
            raise CnncliError(
                f"{table}, line {line_of(row)}: image {path!r} not found, neither there nor by its "
                f"last folders below {root}{_tell_namesake(root, path)}"
            )
        folder, _, last = below.rpartition("/")
        if folder not in others:
            others[folder] = _shorter_folders(root, folder)
        for other in others[folder]:
            if os.path.isfile(os.path.join(root, other, last)):
                second = f"{other}/{last}" if other else last
                raise CnncliError(
                    f"{table}, line {line_of(row)}: image {path!r} is ambiguous: {below}, {second}"
                )
        found.append(below)
    told = (
        f"{len(found)} paths in {table.name} begin with {start}, where they are not; their files "
        f"are taken from {root}/"
    )
    return text_array(found), (told,)


def _old_root(table: Path, path: str) -> str | None:
    """Return the part of a path in whose place the CSV's folder is now; None if there is none."""
    root = str(table.parent)
    name = table.parent.absolute().name
    parts = path.split("/")
    for count in range(1, len(parts)):
        below = "/".join(parts[count:])
        agrees = "/" in below or parts[count - 1] == name
        if below and agrees and os.path.isfile(os.path.join(root, below)):
            return "/".join(parts[:count])
    return None


def _tell_namesake(root: str, path: str) -> str:
    """Return a hint at the file below a folder whose path has the most last parts of another."""
    parts = path.split("/")

    def count_same(file: str) -> int:
        ends = zip(reversed(file.split("/")), reversed(parts), strict=False)
        return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], ends))

    nearest = max(walk_files(Path(root)), key=count_same, default="")
    same = count_same(nearest)
    if not same:
        return ""
    if same == 1:
        return f" (there is {nearest}, in another folder)"
    return f" (there is {nearest}; if it is the image, write its path from the folder of the CSV)"


def _is_moved(root: str, start: str, below: str) -> bool:
    """Return whether a file is below the CSV's folder, and its old folder is no longer there."""
    first, slash, _ = below.partition("/")
    old_folder = os.path.join(start, first) if slash else start
    return os.path.isfile(os.path.join(root, below)) and not os.path.isdir(old_folder)


def _shorter_folders(root: str, folder: str) -> list[str]:
    """Return the ends of a folder's path that are folders below the root themselves."""
    parts = folder.split("/") if folder else []
    ends = ["/".join(parts[count:]) for count in range(1, len(parts))]
    return [end for end in ends if os.path.isdir(os.path.join(root, end))]
