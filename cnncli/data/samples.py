"""Where samples come from: folders, a CSV, the embedded digits, or one of torchvision's sets."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from cnncli.arrays import Array
from cnncli.choices import SPLITS, Split

SPLIT_NAMES: dict[str, Split] = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}
NO_SPLIT = -1
# Joins the paths of a sample of several files.
SEPARATOR = "|"
_CHUNK = 1 << 16


def text_array(values: Sequence[str]) -> Array:
    """Return texts in one array: a list of a million of them is copied into every worker."""
    return np.array(values, dtype=np.dtypes.StringDType())


class TextColumn:
    """Collects texts one by one into one array, a third of a list's size."""

    def __init__(self) -> None:
        self._full: list[Array] = []
        self._open: list[str] = []

    def append(self, text: str) -> None:
        self._open.append(text)
        if len(self._open) == _CHUNK:
            self._full.append(text_array(self._open))
            self._open.clear()

    def array(self) -> Array:
        """Return the (N,) texts; nothing can be added after that."""
        parts, self._full = [*self._full, text_array(self._open)], []
        return np.concatenate(parts) if len(parts) > 1 else parts[0]


class ImageSource(Protocol):
    """Gives the bytes of image files by number."""

    def read(self, index: int) -> tuple[bytes, ...]:
        """Return a sample's whole files, one or several; raises OSError."""

    def size(self, index: int) -> int:
        """Return the files' size in bytes, all together; raises OSError."""


@dataclass(frozen=True)
class FileSource:
    """Files by path, relative to a root or absolute.

    Attributes:
        root: What relative paths count from.
        paths: (N,) texts; several of them joined by ``SEPARATOR``.
        files: Per sample; 1 leaves the separator a letter like any other.
    """

    root: Path
    paths: Array
    files: int = 1

    def read(self, index: int) -> tuple[bytes, ...]:
        return tuple(_read(path) for path in self.file_paths(index))

    def size(self, index: int) -> int:
        return sum(os.stat(path).st_size for path in self.file_paths(index))

    def file_paths(self, index: int) -> list[str]:
        """Return where a sample's files lie."""
        path = str(self.paths[index])
        names = [path] if self.files == 1 else path.split(SEPARATOR)
        return [os.path.join(self.root, name) for name in names]


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


@dataclass(frozen=True)
class Samples:
    """Labelled images before they are read.

    Attributes:
        source: Gives their bytes.
        paths: (N,) texts, relative to the data's root, with ``/``; what ``splits.csv`` names.
            The paths of several files are joined by ``SEPARATOR``.
        targets: (N,) indices into ``class_names``.
        class_names: Every label that occurs, in class order.
        splits: (N,) indices into ``SPLITS``, ``NO_SPLIT`` where the data fix none.
        groups: (N,) texts, or None; images with the same text belong together.
        skipped: Files found that are not images.
        ordered: Whether the order of the classes means something.
        notes: What may be a mistake in the data's layout.
        remarks: How the layout was understood.
        group_hint: A warning that images seem to belong together, where ``groups`` is None.
        files: Per sample.
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

    def __len__(self) -> int:
        return len(self.paths)


@dataclass(frozen=True)
class CsvColumns:
    """Names of a CSV's columns; None looks for the usual ones.

    Attributes:
        image: One column, or several separated by commas: the channels of a sample.
        label: Of the labels.
        split: Of the splits.
        group: Of the groups.
    """

    image: str | None = None
    label: str | None = None
    split: str | None = None
    group: str | None = None


def top_folders(paths: Array) -> set[str]:
    """Return the first part of every path."""
    return {path.split("/", 1)[0] for path in paths}


def split_counts(splits: Array) -> dict[str, int]:
    """Return the number of images in each split that has any."""
    counts = {name: int((splits == number).sum()) for number, name in enumerate(SPLITS)}
    return {name: count for name, count in counts.items() if count}


def select_samples(samples: Samples, chosen: Array) -> Samples:
    return replace(
        samples,
        source=_Subset(samples, chosen),
        paths=samples.paths[chosen],
        targets=samples.targets[chosen],
        splits=samples.splits[chosen],
        groups=None if samples.groups is None else samples.groups[chosen],
    )


@dataclass(frozen=True)
class _Subset:
    """Some of the images of other samples, numbered anew."""

    samples: Samples
    chosen: Array

    def read(self, index: int) -> tuple[bytes, ...]:
        return self.samples.source.read(int(self.chosen[index]))

    def size(self, index: int) -> int:
        return self.samples.source.size(int(self.chosen[index]))
