"""From what a CSV's image column holds to files: paths as they stand, ids looked up below."""

from __future__ import annotations

import filecmp
import os
import posixpath
import sys
from array import array
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cnncli.arrays import Array
from cnncli.data.folders import check_names, has_image_suffix, looks_like_image, walk_files
from cnncli.data.samples import TextColumn, text_array
from cnncli.errors import CnncliError, shorten

# Rows in a folder from which on listing it is quicker.
_LISTED_FROM = 10
_CHUNK = 1 << 16


def find_files(table: Path, names: Array, lines: Array) -> Array:
    """Turn a column into paths relative to the CSV's folder (or absolute ones).

    A name that is no path is an id: it is looked up by the file's name, then by its name without
    ending, anywhere below the folder.

    Args:
        table: Of the CSV.
        names: (N,) texts, none of them empty.
        lines: (N,) the rows' lines, for messages.

    Raises:
        CnncliError: If a file is not there, or several may be meant.
    """
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
    if len(missing):
        files[missing] = _look_up(table, files[missing], lines[missing])
    return files


def _tidy(path: str) -> str:
    if "\\" in path:
        path = path.replace("\\", "/")
    tidy = "./" not in path and "//" not in path and path[-1] not in "./"
    return path if tidy else posixpath.normpath(path)


def _find_missing(root: str, files: Array, folder_of: Array, folders: list[str]) -> Array:
    """Return the rows whose file is not there, in order.

    Folders are listed, which takes a quarter of the time of looking for each file.
    """
    order = np.argsort(folder_of, kind="stable")
    starts = np.searchsorted(folder_of[order], np.arange(len(folders) + 1))
    missing: list[int] = []
    for number, folder in enumerate(folders):
        rows = order[starts[number] : starts[number + 1]].tolist()
        place = os.path.join(root, folder)
        names = [_last(path) for path in files[rows]]
        found, complete = _list_files(place, set(names))
        # Some file systems find more than they list: "Ü" in its other spelling, "A.PNG".
        look = not complete or sys.platform in ("darwin", "win32")
        missing += [
            row
            for row, name in zip(rows, names, strict=True)
            if name not in found and not (look and os.path.isfile(os.path.join(place, name)))
        ]
    return np.array(sorted(missing), dtype=np.int64)


def _list_files(folder: str, wanted: set[str]) -> tuple[set[str], bool]:
    """Return which names are files in a folder, and whether that is all; not if it holds much else.

    A list of a few names from a folder of millions is looked up name by name.
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
    except OSError:  # there is no such folder, or it is closed: each file is looked for
        return found, False
    return found, True


def _look_up(table: Path, names: Array, lines: Array) -> Array:
    """Find each name below the CSV's folder, which is walked once."""
    root = table.parent
    slots: dict[str, int] = {}
    slot_of = np.fromiter(
        (slots.setdefault(_last(name), len(slots)) for name in names), np.int64, len(names)
    )
    owners = array("q")
    files = TextColumn()
    for file in walk_files(root):
        last = file.rpartition("/")[2]
        slot = slots.get(last)
        by_stem = slots.get(last.rpartition(".")[0])
        for owner in (slot, by_stem):
            if owner is not None:
                if not file.isascii():
                    check_names(root, (file,))
                owners.append(owner)
                files.append(file)
    order = np.argsort(np.asarray(owners), kind="stable")
    starts = np.searchsorted(np.asarray(owners)[order], np.arange(len(slots) + 1))
    candidates = files.array()[order]
    count = np.diff(starts)[slot_of]
    if not len(candidates):
        candidates = np.append(candidates, "")
    found = candidates[np.minimum(starts[slot_of], len(candidates) - 1)]
    # Nearly every name means one file, with an image's ending: nothing to choose from.
    plain = (count == 1) & (np.strings.find(names, "/") < 0)
    plain &= np.fromiter(map(has_image_suffix, found), bool, len(found))
    for row in np.flatnonzero(~plain).tolist():
        start, stop = starts[slot_of[row]], starts[slot_of[row] + 1]
        name, line = str(names[row]), int(lines[row])
        found[row] = _choose(table, line, name, candidates[start:stop].tolist())
    return found


def _last(path: str) -> str:
    return path.rpartition("/")[2]


def _choose(table: Path, line: int, name: str, files: Sequence[str]) -> str:
    """Return the file that an id means: by its whole path if that helps, and images only.

    Raises:
        CnncliError: If there is none, or more than one.
    """
    root = str(table.parent)
    ends = f"/{name}"
    exact = [
        f for f in files if f"/{f}".endswith(ends) or f"/{f}".rpartition(".")[0].endswith(ends)
    ]
    if not exact and "/" in name and os.path.isdir(os.path.join(root, name.rpartition("/")[0])):
        files = []  # it is missing where it ought to be: its namesake elsewhere is another image
    found = [f for f in exact or files if looks_like_image(os.path.join(root, f))]
    if len(found) > 1:
        # Kaggle ships some sets as DICOM and as JPEG, and ids that begin anew in test/.
        found = [f for f in found if not f.lower().endswith((".dcm", ".dicom"))] or found
    if len(found) > 1 and "train" in table.stem.lower():
        found = [f for f in found if "train" in f.rpartition("/")[0].lower()] or found
    if not found or (len(found) > 1 and not _same(root, found)):
        what = f"is ambiguous: {shorten(found)}" if found else f"not found below {root}"
        raise CnncliError(f"{table}, line {line}: image {name!r} {what}")
    return found[0]


def _same(root: str, files: Sequence[str]) -> bool:
    """Tell whether files are copies of each other."""
    first, *others = (os.path.join(root, file) for file in files)
    return all(filecmp.cmp(first, other, shallow=False) for other in others)
