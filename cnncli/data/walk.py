"""Images in folders: ``root/<class>/…`` and ``root/<split>/<class>/…``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from cnncli.choices import SPLITS
from cnncli.data.sources import (
    NO_SPLIT,
    SPLIT_NAMES,
    FileSource,
    Samples,
    shorten,
    sort_class_names,
    text_array,
)
from cnncli.errors import CnncliError
from cnncli.images.decode import FORMAT_NAMES, is_image

# A file with such a name is meant to be an image: if it is none, that is told, not skipped.
IMAGE_SUFFIXES = frozenset(
    (
        ".png",
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".webp",
        ".bmp",
        ".dib",
        ".tif",
        ".tiff",
        ".gif",
        ".pbm",
        ".pgm",
        ".ppm",
        ".pnm",
    )
)


def check_names(root: Path, names: Iterable[str]) -> None:
    """Refuse file names that are no text: neither splits.csv nor a terminal can hold them."""
    for name in names:
        if any("\ud800" <= letter <= "\udfff" for letter in name):  # how Python writes such bytes
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
        with os.scandir(folder) as entries:
            visible = sorted(entries, key=lambda e: e.name)
    except OSError as error:
        raise CnncliError(f"{folder}: the folder cannot be read ({error.strerror})") from None
    for entry in visible:
        if entry.name.startswith("."):
            continue
        # Not entry.is_dir(): it raises for a link to itself.
        if os.path.isdir(entry.path):
            yield from _walk(entry.path, f"{prefix}{entry.name}/", above | {identity})
        elif os.path.isfile(entry.path):  # neither a broken link nor a socket
            yield prefix + entry.name


def looks_like_image(path: str) -> bool:
    """Tell by the name's ending, else by the first bytes, whether a file is meant as an image."""
    if os.path.splitext(path)[1].lower() in IMAGE_SUFFIXES:
        return True
    try:
        with open(path, "rb") as file:
            return is_image(file.read(16))
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
    paths: list[str] = []
    labels: list[str] = []
    splits: list[int] = []
    skipped, loose = 0, []
    for path in walk_files(root):
        parts = path.split("/")
        if not looks_like_image(os.path.join(root, path)):
            skipped += 1
        elif len(parts) < depth + 2:
            loose.append(path)
        else:
            paths.append(path)
            labels.append(parts[depth])
            splits.append(SPLITS.index(SPLIT_NAMES[parts[0].lower()]) if by_split else NO_SPLIT)
    layout = "DATA/train/<class>/ and DATA/val/<class>/" if by_split else "DATA/<class>/"
    if not paths:
        found = (
            f"{len(loose)} images lie in no class folder"
            if loose
            else f"no images found ({FORMAT_NAMES})"
        )
        has_table = any(root.glob("*.csv"))
        raise CnncliError(
            f"--data {root}: {found}; put them in {layout}{', or name the CSV' * has_table}"
        )
    check_names(root, paths)
    names, _ = sort_class_names(sorted(set(labels)))
    position = {name: number for number, name in enumerate(names)}
    notes = _notes(folders, by_split, paths)
    if loose:
        notes.append(f"{len(loose)} images in no class folder are left out: {shorten(loose)}")
    return Samples(
        source=FileSource(root, text_array(paths)),
        paths=text_array(paths),
        targets=np.array([position[label] for label in labels]),
        class_names=tuple(names),
        splits=np.array(splits, dtype=np.int8),
        skipped=skipped,
        notes=tuple(notes),
    )


def _notes(folders: list[str], by_split: bool, paths: list[str]) -> list[str]:
    """Tell what in a folder's layout may be a mistake."""
    notes = []
    used = {path.split("/", 1)[0] for path in paths}
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
