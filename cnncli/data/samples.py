"""Labelled images before they are read: what every source of images returns.

A sample is what gets one label: usually one file, or several files that are its channels.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from cnncli.arrays import Array
from cnncli.choices import SPLITS
from cnncli.files import MOST_OF_IMAGE, read_file

# In the place of an index into SPLITS, for an image without a split.
NO_SPLIT = -1
# What images in a folder without class folders are called where no classes are needed.
NO_CLASS = "(no class)"
# Joins the paths of the files of a sample that has several.
SEPARATOR = "|"
# `TextColumn` puts so many texts into an array at a time.
_CHUNK = 1 << 16


def text_array(values: Sequence[str]) -> Array:
    """Return (N,) texts in one array.

    Worker processes share the memory of an array. A list of a million texts would be copied into
    each of them, since Python writes a reference count into every text that is used.
    """
    return np.array(values, dtype=np.dtypes.StringDType())


class TextColumn:
    """Collects texts one by one into an array, which takes a third of the memory of a list."""

    def __init__(self) -> None:
        self._full: list[Array] = []
        self._open: list[str] = []

    def append(self, text: str) -> None:
        """Add a text at the end."""
        self._open.append(text)
        if len(self._open) == _CHUNK:
            self._full.append(text_array(self._open))
            self._open.clear()

    def array(self) -> Array:
        """Return (N,) all texts; nothing can be added after that."""
        parts, self._full = [*self._full, text_array(self._open)], []
        return np.concatenate(parts) if len(parts) > 1 else parts[0]


class ImageSource(Protocol):
    """Gives the content of the image files of samples by number."""

    def read(self, index: int) -> tuple[bytes, ...]:
        """Return the content of each file of a sample; raises OSError."""

    def size(self, index: int) -> int:
        """Return the size of all files of a sample together in bytes; raises OSError."""


@dataclass(frozen=True)
class FileSource:
    """A source for images that are files on disk.

    Attributes:
        root: The folder that relative paths start from.
        paths: (N,) paths, relative or absolute. The paths of several files of a sample are joined
            by ``SEPARATOR``.
        files: Number of files per sample. If it is 1, ``SEPARATOR`` may be part of a file name.
    """

    root: Path
    paths: Array
    files: int = 1

    def read(self, index: int) -> tuple[bytes, ...]:
        """Return the content of each file of a sample; raises OSError."""
        return tuple(read_file(path, most=MOST_OF_IMAGE) for path in self.file_paths(index))

    def size(self, index: int) -> int:
        """Return the size of all files of a sample together in bytes; raises OSError."""
        return sum(os.stat(path).st_size for path in self.file_paths(index))

    def file_paths(self, index: int) -> list[str]:
        """Return the path of each file of a sample, with the root in front of relative ones."""
        path = str(self.paths[index])
        names = [path] if self.files == 1 else path.split(SEPARATOR)
        return [os.path.join(self.root, name) for name in names]


@dataclass(frozen=True)
class Samples:
    """Labelled images before they are read: N samples of K classes.

    Attributes:
        source: Gives the content of the image files.
        paths: (N,) paths relative to the root of the data set, with ``/``, as ``splits.csv`` has
            them. The paths of several files of a sample are joined by ``SEPARATOR``.
        targets: (N,) indices into ``class_names``.
        class_names: The K labels that occur, in class order.
        splits: (N,) indices into ``SPLITS``; ``NO_SPLIT`` for an image whose split is not given.
        groups: (N,) names of the groups (patients, series); images of one group must stay in one
            split. None if there are no groups.
        skipped: Number of files that were found but are not images.
        ordered: Whether the order of the classes means something, as that of grades does.
        notes: Sentences on what may be a mistake in the layout of the data set.
        remarks: Sentences on how the layout was understood.
        group_hint: A warning that some images seem to belong together, if ``groups`` is None.
        files: Number of files per sample.
        excluded: Images that were left out by ``--exclude``: sizes of their files in bytes, by
            their paths.
        extra: (N,) texts of the columns that ``CsvColumns.extra`` names, by their names.
    """

    source: ImageSource
    paths: Array
    targets: Array
    class_names: tuple[str, ...]
    splits: Array
    groups: Array | None = None
    skipped: int = 0
    ordered: bool = False
    notes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    group_hint: str | None = None
    files: int = 1
    excluded: Mapping[str, int] = field(default_factory=dict)
    extra: Mapping[str, Array] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.paths)


@dataclass(frozen=True)
class CsvColumns:
    """Names of the columns of a CSV, as the user gives them; None looks for the usual names.

    Attributes:
        image: Name of the column of paths or ids. Several names, separated by commas, are the
            files of one sample: its channels.
        label: Name of the column of labels.
        split: Name of the column of splits.
        group: Name of the column of groups; there is no usual name, so None means no groups.
        extra: Names of further columns to read. Those that are properties of files may be missing.
    """

    image: str | None = None
    label: str | None = None
    split: str | None = None
    group: str | None = None
    extra: tuple[str, ...] = ()


def plain_path(path: str) -> str:
    """Return a path with composed accents, slashes and no ``.`` in it."""
    files = unicodedata.normalize("NFC", str(path)).replace("\\", "/").split(SEPARATOR)
    return SEPARATOR.join("/".join(p for p in f.split("/") if p not in ("", ".")) for f in files)


def top_folders(paths: Array) -> set[str]:
    """Return the set of the first parts of the paths: the folders (or files) at the root."""
    return {path.split("/", 1)[0] for path in paths}


def split_counts(splits: Array) -> dict[str, int]:
    """Return the number of images in each split that has any, by the name of the split."""
    counts = {name: int((splits == number).sum()) for number, name in enumerate(SPLITS)}
    return {name: count for name, count in counts.items() if count}


def select_samples(samples: Samples, chosen: Array) -> Samples:
    """Return some of the samples.

    Args:
        samples: N samples.
        chosen: (M,) indices of those to return, in their new order.
    """
    return replace(
        samples,
        source=_Subset(samples, chosen),
        paths=samples.paths[chosen],
        targets=samples.targets[chosen],
        splits=samples.splits[chosen],
        groups=None if samples.groups is None else samples.groups[chosen],
        extra={name: texts[chosen] for name, texts in samples.extra.items()},
    )


def find_files(source: ImageSource, index: int) -> list[str]:
    """Return the path of each file of a sample as it opens from the working folder.

    Args:
        source: The source of the samples.
        index: The sample's number in it.

    Returns:
        The paths; empty for an image that is a part of an array.
    """
    if isinstance(source, _Subset):
        return find_files(source.samples.source, int(source.chosen[index]))
    return source.file_paths(index) if isinstance(source, FileSource) else []


@dataclass(frozen=True)
class _Subset:
    """A source that gives some of the samples of another one, under new numbers.

    Attributes:
        samples: The N samples.
        chosen: (M,) the old number of each chosen sample.
    """

    samples: Samples
    chosen: Array

    def read(self, index: int) -> tuple[bytes, ...]:
        """Return the content of each file of a sample; raises OSError."""
        return self.samples.source.read(int(self.chosen[index]))

    def size(self, index: int) -> int:
        """Return the size of all files of a sample together in bytes; raises OSError."""
        return self.samples.source.size(int(self.chosen[index]))


def spread_over_classes(targets: Array) -> Array:
    """Return the order in which the classes take turns.

    Args:
        targets: (N,) class numbers.

    Returns:
        (N,) indices of the samples: the first of each class, then the second of each, and so on.
    """
    turn = np.zeros(len(targets), np.int64)
    for target in np.unique(targets):
        mine = np.flatnonzero(targets == target)
        turn[mine] = np.arange(len(mine))
    return np.lexsort((targets, turn))
