"""Labelled images in folders: ``root/<class>/…`` or ``root/<split>/<class>/…``."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from cnncli.choices import SPLITS
from cnncli.data.classes import sort_class_names
from cnncli.data.samples import NO_SPLIT, SPLIT_NAMES, FileSource, Samples, TextColumn, top_folders
from cnncli.errors import CnncliError, shorten
from cnncli.images.formats import FORMAT_NAMES, HEAD_BYTES, IMAGE_SUFFIXES, is_image


def check_names(root: Path, names: Iterable[str]) -> None:
    """Refuse file names that are not valid UTF-8.

    They can be written neither to splits.csv nor to a terminal.

    Args:
        root: The folder that ``--data`` names, for the message.
        names: File names or paths below it.

    Raises:
        CnncliError: If a name is not valid UTF-8.
    """
    for name in names:
        # Python represents bytes that are not UTF-8 by these surrogates.
        if not name.isascii() and any("\ud800" <= letter <= "\udfff" for letter in name):
            raise CnncliError(
                f"--data {root}: the file name {os.fsencode(name)!r} is not UTF-8; rename it"
            )


def walk_files(folder: Path) -> Iterator[str]:
    """Yield the files at any depth below a folder, as sorted relative paths with ``/``.

    Files and folders whose names begin with a dot are left out. Symbolic links are followed,
    except those that lead back to a folder above.

    Raises:
        CnncliError: If a folder cannot be read.
    """
    yield from _walk(str(folder), "", frozenset())


def _walk(folder: str, prefix: str, above: frozenset[tuple[int, int]]) -> Iterator[str]:
    """Yield the files below a folder.

    Args:
        folder: The folder.
        prefix: What is put in front of each path: the folder's own path below the root and ``/``.
        above: Device and inode number of each folder above this one.
    """
    try:
        status = os.stat(folder)
        identity = (status.st_dev, status.st_ino)
        if identity in above:
            return
        names: list[str] = []
        folders = set()
        with os.scandir(folder) as entries:  # only names are kept: a million entries are 400 MB
            for entry in entries:
                name = entry.name
                kind = "" if name[0] == "." else _kind(entry)
                if kind == "folder":
                    folders.add(name)
                if kind:
                    names.append(name)
    except OSError as error:
        raise CnncliError(f"{folder}: the folder cannot be read ({error.strerror})") from None
    names.sort()
    for name in names:
        if name in folders:
            inside = _walk(os.path.join(folder, name), f"{prefix}{name}/", above | {identity})
            yield from inside
        else:
            yield prefix + name


def _kind(entry: os.DirEntry[str]) -> str:
    """Return ``file``, ``folder``, or an empty text for what is neither.

    A symbolic link to nothing counts as a file if its name is that of an image, so that the lost
    image is reported.
    """
    try:
        if entry.is_file():
            return "file"
        if entry.is_dir():
            return "folder"
        lost = entry.is_symlink() and not Path(entry.path).exists()
    except OSError:  # a symbolic link to itself
        lost = True
    return "file" if lost and has_image_suffix(entry.name) else ""


def has_image_suffix(path: str) -> bool:
    """Return whether the name of a file ends like that of an image."""
    return path[path.rfind(".") :].lower() in IMAGE_SUFFIXES


def looks_like_image(path: str) -> bool:
    """Return whether a file is meant to be an image: by its name's ending, or its first bytes."""
    if has_image_suffix(path):
        return True
    if Path(path).name.upper() == "DICOMDIR":  # the table of contents of a DICOM disc
        return False
    try:
        with open(path, "rb") as file:
            return is_image(file.read(HEAD_BYTES))
    except OSError:
        return False


def find_in_folders(root: Path) -> Samples:
    """Find images in class folders, or in class folders below split folders.

    If every folder below ``root`` is named like a split (``train``, ``val``, ``test`` and their
    synonyms), the folders below these are the classes; else the folders below ``root`` are.

    Args:
        root: The folder that ``--data`` names.

    Raises:
        CnncliError: If no class folder holds an image.
    """
    folders = sorted(p.name for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    by_split = bool(folders) and all(name.lower() in SPLIT_NAMES for name in folders)
    depth = 1 if by_split else 0
    paths = TextColumn()
    classes: dict[str, int] = {}
    targets, splits = array("i"), array("b")
    skipped, loose = 0, []
    for path in walk_files(root):
        parts = path.split("/", depth + 1)
        if not looks_like_image(os.path.join(root, path)):
            skipped += 1
        elif len(parts) < depth + 2:
            loose.append(path)
        else:
            check_names(root, (path,))
            paths.append(path)
            targets.append(classes.setdefault(parts[depth], len(classes)))
            splits.append(SPLITS.index(SPLIT_NAMES[parts[0].lower()]) if by_split else NO_SPLIT)
    if not classes:
        raise _nothing_found(root, by_split, loose)
    found = paths.array()
    names, _ = sort_class_names(list(classes))
    position = {name: number for number, name in enumerate(names)}
    renumbered = np.array([position[name] for name in classes])
    notes = _notes(folders, by_split, top_folders(found))
    if loose:
        notes.append(f"{len(loose)} images in no class folder are left out: {shorten(loose)}")
    return Samples(
        source=FileSource(root, found),
        paths=found,
        targets=renumbered[np.asarray(targets)],
        class_names=tuple(names),
        splits=np.asarray(splits, dtype=np.int8),
        skipped=skipped,
        notes=tuple(notes),
    )


def _nothing_found(root: Path, by_split: bool, loose: list[str]) -> CnncliError:
    """Return the error for a folder whose class folders hold no image.

    Args:
        root: The folder.
        by_split: Whether the folders in it are splits.
        loose: Paths of images that are in no class folder.
    """
    layout = "DATA/train/<class>/ and DATA/val/<class>/" if by_split else "DATA/<class>/"
    found = (
        f"{len(loose)} images lie in no class folder"
        if loose
        else f"no images found ({FORMAT_NAMES})"
    )
    has_table = any(root.glob("*.csv"))
    return CnncliError(
        f"--data {root}: {found}; put them in {layout}{', or name the CSV' * has_table}"
    )


def _notes(folders: list[str], by_split: bool, used: set[str]) -> list[str]:
    """Return sentences on what in the layout of the folders may be a mistake.

    Args:
        folders: Names of the folders below the root.
        by_split: Whether they are splits, not classes.
        used: Those of them that hold an image.
    """
    notes = []
    empty = [name for name in folders if name not in used]
    if empty:
        notes.append(f"no image in {shorten(empty)}")
    splits = [name for name in folders if name.lower() in SPLIT_NAMES]
    meant = {SPLIT_NAMES[name.lower()] for name in splits}
    if not by_split and "train" in meant and len(meant) > 1:
        others = [name for name in folders if name not in splits]
        notes.append(
            f"the folders {shorten(splits)} are taken as classes, because {shorten(others)} beside "
            "them is no split"
        )
    return notes
