"""Labelled images in folders: ``root/<class>/…`` or ``root/<split>/<class>/…``."""

from __future__ import annotations

import os
from array import array
from pathlib import Path

import numpy as np

from cnncli.choices import SPLITS
from cnncli.data.classes import sort_class_names
from cnncli.data.layout import Layout, find_layout
from cnncli.data.masks import doubt_masks
from cnncli.data.samples import NO_CLASS, NO_SPLIT, FileSource, Samples, TextColumn, text_array
from cnncli.data.walk import check_names, looks_like_image, walk_files
from cnncli.errors import CnncliError, count_of, shorten
from cnncli.images.formats import FORMAT_NAMES


def find_in_folders(root: Path, *, flat: bool = False) -> Samples:
    """Find images in class folders, or in class folders below split folders.

    `cnncli.data.layout.find_layout` decides which of the folders are splits and which are classes.

    Args:
        root: The folder that ``--data`` names.
        flat: Whether images are taken as one class, ``NO_CLASS``, where all of them lie in no class
            folder.

    Raises:
        CnncliError: If no class folder holds an image, or if the layout may mean several things.
    """
    layout = find_layout(root)
    paths = TextColumn()
    classes: dict[str, int] = {}
    targets, splits = array("i"), array("b")
    skipped = 0
    loose: list[str] = []
    unlabelled: list[str] = []
    for path in walk_files(root):
        if layout.is_aside(path):
            continue
        label = layout.label(path)
        if not looks_like_image(os.path.join(root, path)):
            skipped += 1
        elif label is not None:
            check_names(root, (path,))
            paths.append(path)
            targets.append(classes.setdefault(label[0], len(classes)))
            splits.append(NO_SPLIT if label[1] is None else SPLITS.index(label[1]))
        else:
            is_flat = path[len(layout.base) :].partition("/")[0] in layout.flat
            (unlabelled if is_flat else loose).append(path)
    if not classes:
        if flat and loose and not layout.splits and not _has_table(root, layout):
            return _as_one_class(root, loose, skipped)
        raise _nothing_found(root, layout, loose)
    found = paths.array()
    masks = doubt_masks(root, layout, found.tolist(), list(classes), targets)
    names, _ = sort_class_names(list(classes))
    position = {name: number for number, name in enumerate(names)}
    renumbered = np.array([position[name] for name in classes])
    notes, remarks = [*layout.notes, *masks], list(layout.remarks)
    if loose:
        number = count_of(
            len(loose), "image in no class folder is", "images in no class folder are"
        )
        notes.append(f"{number} left out: {shorten(loose)}")
    if unlabelled:
        words = "image without a class folder is", "images without a class folder are"
        remarks.append(
            f"{count_of(len(unlabelled), *words)} left out; "
            f"cnncli predict {root / layout.base / layout.flat[0]} predicts them"
        )
    return Samples(
        source=FileSource(root, found),
        paths=found,
        targets=renumbered[np.asarray(targets)],
        class_names=tuple(names),
        splits=np.asarray(splits, dtype=np.int8),
        skipped=skipped,
        notes=tuple(notes),
        remarks=tuple(remarks),
    )


def _as_one_class(root: Path, paths: list[str], skipped: int) -> Samples:
    """Return images that lie in no class folder as one class, and remark it."""
    check_names(root, paths)
    column = text_array(paths)
    return Samples(
        source=FileSource(root, column),
        paths=column,
        targets=np.zeros(len(paths), np.int64),
        class_names=(NO_CLASS,),
        splits=np.full(len(paths), NO_SPLIT, dtype=np.int8),
        skipped=skipped,
        remarks=(f"{root} has no class folders: its images are looked at without classes",),
    )


def _has_table(root: Path, layout: Layout) -> bool:
    return any((root / layout.base).glob("*.csv"))


def _nothing_found(root: Path, layout: Layout, loose: list[str]) -> CnncliError:
    """Return the error for a folder whose class folders hold no image.

    Args:
        root: The folder.
        layout: How its images are laid out.
        loose: Paths of images that are in no class folder.
    """
    wanted = "DATA/train/<class>/ and DATA/val/<class>/" if layout.splits else "DATA/<class>/"
    found = (
        f"{count_of(len(loose), 'image lies', 'images lie')} in no class folder"
        if loose
        else f"no images found ({FORMAT_NAMES})"
    )
    has_table = _has_table(root, layout)
    return CnncliError(
        f"--data {root}: {found}; put them in {wanted}{', or name the CSV' * has_table}"
    )
