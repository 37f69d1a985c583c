"""Images in folders: ``root/<class>/…`` and ``root/<split>/<class>/…``."""

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
    """Refuse file names that are no text: neither splits.csv nor a terminal can hold them."""
    for name in names:
        # How Python writes such bytes.
        if not name.isascii() and any("\ud800" <= letter <= "\udfff" for letter in name):
            raise CnncliError(
                f"--data {root}: the file name {os.fsencode(name)!r} is not UTF-8; rename it"
            )


def walk_files(folder: Path) -> Iterator[str]:
    """Yield the visible files below a folder, sorted, as paths relative to it with ``/``.

    Symbolic links are followed; a folder that is already being walked is not entered again.

    Raises:
        CnncliError: If a folder cannot be read.
    """
    yield from _walk(str(folder), "", frozenset())


def _walk(folder: str, prefix: str, above: frozenset[tuple[int, int]]) -> Iterator[str]:
    try:
        status = os.stat(folder)
        identity = (status.st_dev, status.st_ino)
        if identity in above:
            return
        names: list[str] = []
        folders = set()
        with os.scandir(folder) as entries:  # not kept: a million entries are 400 MB
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
    """Tell a folder from a file; a link to nothing that an image is named like is a lost file."""
    try:
        if entry.is_file():
            return "file"
        if entry.is_dir():
            return "folder"
        lost = entry.is_symlink() and not Path(entry.path).exists()
    except OSError:  # a link to itself
        lost = True
    return "file" if lost and has_image_suffix(entry.name) else ""


def has_image_suffix(path: str) -> bool:
    """Tell whether a file is meant to be an image by its name alone."""
    return path[path.rfind(".") :].lower() in IMAGE_SUFFIXES


def looks_like_image(path: str) -> bool:
    """Tell by the name's ending, else by the first bytes, whether a file is meant as an image."""
    if has_image_suffix(path):
        return True
    try:
        with open(path, "rb") as file:
            return is_image(file.read(HEAD_BYTES))
    except OSError:
        return False


def find_in_folders(root: Path) -> Samples:
    """Find images in class folders, or in class folders below split folders.

    Raises:
        CnncliError: If there is no image, only one class, or images lie where no class is named.
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
    """Tell what in a folder's layout may be a mistake."""
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
