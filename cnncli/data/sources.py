"""Where samples come from: folders, a CSV, the embedded digits, or one of torchvision's sets."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from cnncli.choices import SPLITS, Split
from cnncli.data import EMBEDDED, TORCHVISION
from cnncli.errors import CnncliError, did_you_mean

Array = np.ndarray[Any, np.dtype[Any]]

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
        return tuple(_read(path) for path in self.find_paths(index))

    def size(self, index: int) -> int:
        return sum(os.stat(path).st_size for path in self.find_paths(index))

    def find_paths(self, index: int) -> list[str]:
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


def find_samples(data: str, columns: CsvColumns | None = None) -> Samples:
    """Find the labelled images that ``--data`` names.

    Args:
        data: A folder of class folders, a folder of split folders, a CSV or a folder with one,
            ``digits``, or ``torchvision:NAME``.
        columns: Names of a CSV's columns.

    Raises:
        CnncliError: If there is no such place, or nothing usable in it.
    """
    if not data.strip():  # a shell's empty variable would be the working folder
        raise CnncliError("--data: is empty; name a folder, a CSV or a data set")
    columns = columns or CsvColumns()
    if not is_named_set(data) or Path(data).exists():
        return _find_on_disk(data, columns)
    _refuse_columns(data, columns)
    if data in EMBEDDED:
        from cnncli.data.digits import load_digits_samples

        return load_digits_samples()
    from cnncli.data.torchvision_sets import load_torchvision_samples

    return load_torchvision_samples(data)


def is_named_set(data: str) -> bool:
    """Tell whether ``--data`` names a data set, not a place."""
    return data in EMBEDDED or data.startswith(TORCHVISION)


def _find_on_disk(data: str, columns: CsvColumns) -> Samples:
    from cnncli.data.choose_table import choose_table  # these need what the others do not
    from cnncli.data.table import read_table
    from cnncli.data.walk import find_in_folders

    try:
        path = Path(data).expanduser()
        siblings = [] if path.exists() else _siblings(path)
    except (OSError, RuntimeError) as error:  # a folder above is closed; ~nobody
        raise CnncliError(f"--data {data}: cannot be read ({error})") from None
    if not path.exists():
        near = did_you_mean(path.name, [*siblings, *EMBEDDED], count=1)
        raise CnncliError(f"--data {data}: no such file or folder{near}")
    if path.is_dir() and not os.access(path, os.R_OK | os.X_OK):
        raise CnncliError(f"--data {data}: the folder cannot be read (permission denied)")
    choice = choose_table(path, columns)
    if choice.table is not None:
        samples = read_table(choice.table, columns)
        return replace(samples, remarks=(*choice.remarks(samples.paths), *samples.remarks))
    if not path.is_dir():
        raise CnncliError(
            f"--data {data}: neither a folder nor a CSV; give a folder with one folder per class"
        )
    _refuse_columns(data, columns)
    samples = find_in_folders(path)
    return replace(samples, remarks=choice.remarks(samples.paths))


def _siblings(path: Path) -> list[str]:
    return [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []


def _refuse_columns(data: str, columns: CsvColumns) -> None:
    """Only a CSV has columns; a --group-col that does nothing would let groups leak unseen."""
    for name in ("image", "label", "split", "group"):
        if getattr(columns, name) is not None:
            raise CnncliError(
                f"--{name}-col {getattr(columns, name)}: --data {data} is no CSV and has no columns"
            )


def sort_class_names(names: Sequence[str]) -> tuple[list[str], bool]:
    """Sort names as integers if all are, else as text.

    Returns:
        The names in order, and whether that order means something (it does for integers).
    """
    integers = all(name.removeprefix("-").isdecimal() for name in names)
    return sorted(names, key=int if integers else None), integers


def order_classes(samples: Samples, class_order: Sequence[str] | None) -> Samples:
    """Fix the classes: those of the training split, sorted or in the order given.

    Raises:
        CnncliError: If an order names other classes than there are, or a label occurs only
            outside the training split.
    """
    order, ordered = sort_class_names(samples.class_names)
    if class_order is not None:
        order, ordered = list(class_order), True
        _check_order(order, samples.class_names)
    in_train = np.unique(samples.targets[np.isin(samples.splits, (NO_SPLIT, 0))])
    known = {samples.class_names[target] for target in in_train}
    unknown = [name for name in order if name not in known]
    if unknown:
        raise CnncliError(
            f"--data: class {unknown[0]!r} has no image in the training split, only in val or "
            "test; a class must be trained on to be recognised"
        )
    return replace(
        samples,
        targets=_renumber(samples, order),
        class_names=tuple(order),
        ordered=ordered,
    )


def _renumber(samples: Samples, class_names: Sequence[str]) -> Array:
    position = {name: number for number, name in enumerate(class_names)}
    return np.array([position[name] for name in samples.class_names])[samples.targets]


def match_classes(samples: Samples, class_names: Sequence[str]) -> Samples:
    """Renumber the targets by name, to the classes a checkpoint knows.

    Raises:
        CnncliError: If a label is not among them.
    """
    known = set(class_names)
    unknown = [name for name in samples.class_names if name not in known]
    if unknown:
        raise CnncliError(
            f"--data: class {unknown[0]!r} is unknown to the checkpoint, which knows "
            f"{shorten(class_names)}{did_you_mean(unknown[0], class_names)}"
        )
    return replace(samples, targets=_renumber(samples, class_names), class_names=tuple(class_names))


def shorten(names: Sequence[str], most: int = 5) -> str:
    """Join names with commas, the rest as a count."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def _check_order(order: list[str], names: Sequence[str]) -> None:
    repeated = [name for name, count in Counter(order).items() if count > 1]
    given, known = set(order), set(names)
    missing = [name for name in names if name not in given]
    extra = [name for name in order if name not in known]
    if repeated or missing or extra:
        wrong = (
            f"{repeated[0]!r} is named twice"
            if repeated
            else f"class {missing[0]!r} is missing"
            if missing
            else f"there is no class {extra[0]!r}{did_you_mean(extra[0], names)}"
        )
        raise CnncliError(f"--class-order: {wrong}; name each of {shorten(names)} once")


def top_folders(paths: Array) -> set[str]:
    """Return the first part of every path."""
    return {path.split("/", 1)[0] for path in paths}


def split_counts(splits: Array) -> dict[str, int]:
    """Return the number of images in each split that has any."""
    counts = {name: int((splits == number).sum()) for number, name in enumerate(SPLITS)}
    return {name: count for name, count in counts.items() if count}
