"""Looks up the ids of a table: names without a path, among the files below its folder."""

from __future__ import annotations

import filecmp
import os
from array import array
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path

import numpy as np

from cnncli.arrays import Array
from cnncli.data.samples import TextColumn
from cnncli.data.walk import check_names, has_image_suffix, looks_like_image, walk_files
from cnncli.errors import CnncliError, shorten

# The column was chosen by its name, where none was given.
_HINT = "; if another column names the images, give it by --image-col"
# A table with such a word in its name means the files in folders with that word in theirs.
_FOLDERS = {"train": "train", "test": "test", "submission": "test"}


def look_up_ids(
    table: Path, names: Array, line_of: Callable[[int], int], *, keep_lost: bool = False
) -> Array:
    """Return (M,) the file that each id means, from one walk through the folder of the CSV.

    Args:
        table: Path of the CSV.
        names: (M,) ids.
        line_of: Returns the line of a name, for messages.
        keep_lost: Whether an id for which there is no file stays as it is, in place of an error.

    Raises:
        CnncliError: If there is no file for an id, or more than one.
    """
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
    # Nearly every id has a single file with the ending of an image: then there is no choice.
    plain = (count == 1) & (np.strings.find(names, "/") < 0)
    plain &= np.fromiter(map(has_image_suffix, found), bool, len(found))
    above = root.absolute().as_posix()
    is_folder = cache(lambda top: os.path.isdir(os.path.join(root, top)))
    for row in np.flatnonzero(~plain).tolist():
        start, stop = starts[slot_of[row]], starts[slot_of[row] + 1]
        name = str(names[row])
        matching = namesakes = candidates[start:stop].tolist()
        if "/" in name:
            matching = _with_folders(name, namesakes, above, is_folder)
        if namesakes and not matching and not keep_lost:
            raise CnncliError(
                f"{table}, line {line_of(row)}: image {name!r} not found below {root} (there is "
                f"{shorten(namesakes, 1)}, in another folder)"
            )
        chosen = _choose(table, name, matching, partial(line_of, row))
        if chosen is None and not keep_lost:
            where = f"{table}, line {line_of(row)}: image {name!r}"
            raise CnncliError(f"{where} not found below {root}{_find_hint(str(root), name)}")
        found[row] = chosen or name
    return found


def _last(path: str) -> str:
    """Return the last part of a path, the name of the file."""
    return path.rpartition("/")[2]


def _with_folders(
    name: str, files: Sequence[str], above: str, is_folder: Callable[[str], bool]
) -> list[str]:
    """Return the files whose paths end in a whole name, folders included.

    Args:
        name: The name, with folders in it and with or without the ending of the file.
        files: Paths relative to the folder of the CSV.
        above: Path of that folder; the name may begin in the middle of it.
        is_folder: Returns whether that folder has a folder of this name.
    """
    ends = f"/{name}"
    found = [
        file
        for file in files
        if f"{above}/{file}".endswith(ends) or f"{above}/{file}".rpartition(".")[0].endswith(ends)
    ]
    top = name.partition("/")[0]
    if top and is_folder(top):
        # Its folder exists without it: a file of this name elsewhere is another image.
        found = [file for file in found if file.startswith(f"{top}/")]
    return found


def _choose(
    table: Path, name: str, files: Sequence[str], find_line: Callable[[], int]
) -> str | None:
    """Return the file that an id means, of those whose names or paths are the id's; None for none.

    Only images count.

    Args:
        table: Path of the CSV.
        name: The id.
        files: Paths relative to the folder of the CSV.
        find_line: Returns the line of the id, for messages.

    Raises:
        CnncliError: If several differ in content.
    """
    root = str(table.parent)
    found = [f for f in files if looks_like_image(os.path.join(root, f))]
    if len(found) > 1:
        # Some of Kaggle's data sets come as DICOM and as JPEG, and some use the same ids in train/
        # and in test/.
        found = [f for f in found if not f.lower().endswith((".dcm", ".dicom"))] or found
    for word, folder in _FOLDERS.items():
        if len(found) > 1 and word in table.stem.lower():
            found = [f for f in found if folder in f.rpartition("/")[0].lower()] or found
    if len(found) > 1 and not _same(root, found):
        where = f"{table}, line {find_line()}: image {name!r}"
        raise CnncliError(f"{where} is ambiguous: {shorten(found)}")
    return found[0] if found else None


def _find_hint(root: str, name: str) -> str:
    """Return what may be the matter with an id that is no file's, for the end of a message."""
    number = name.partition(".")[0]
    if number.isdecimal():
        for file in walk_files(Path(root)):
            stem = _last(file).partition(".")[0]
            if stem != number and stem.isdecimal() and int(stem) == int(number):
                return (
                    f"; there is {file}: leading zeros differ, which Excel takes away; write the "
                    "ids as the files are called"
                )
    return _HINT


def _same(root: str, files: Sequence[str]) -> bool:
    """Return whether all files have the same content."""
    first, *others = (os.path.join(root, file) for file in files)
    return all(filecmp.cmp(first, other, shallow=False) for other in others)
