"""Images named in a CSV: image and label columns, optionally split and group."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from cnncli.arrays import Array
from cnncli.choices import SPLITS
from cnncli.choices.missing import is_missing
from cnncli.data.classes import sort_class_names
from cnncli.data.group_texts import blank_missing, fill_groups
from cnncli.data.label_text import is_blank, whole_number
from cnncli.data.samples import (
    NO_SPLIT,
    SEPARATOR,
    CsvColumns,
    FileSource,
    Samples,
)
from cnncli.data.split_names import parse_split_text, tell_split_words
from cnncli.data.table_columns import (
    LABEL_COLUMNS,
    find_extra_columns,
    find_usual,
)
from cnncli.data.table_files import check_channels, find_files, unify_paths
from cnncli.data.table_roles import choose_roles
from cnncli.data.table_rows import read_header
from cnncli.data.table_texts import TableTexts, read_texts
from cnncli.errors import CnncliError, shorten


def read_table(path: Path, columns: CsvColumns) -> Samples:
    """Read a CSV of images; paths count from its folder, ids may lack the file's ending.

    Raises:
        CnncliError: If a column or a file is missing, a column has two roles, a field is empty or a
            split is unknown.
    """
    header = read_header(path)
    roles = choose_roles(path, header, columns)
    images, label, split, group = roles.images, roles.label, roles.split, roles.group
    extra = find_extra_columns(path, header, columns.extra)
    rows = read_texts(path, header, [*images, label, split, group, roles.maybe_group], extra)
    further = {name: rows.columns[name] for name in extra}
    for name in (*images, label):
        empty = np.flatnonzero(rows.columns[name] == "")
        if len(empty):
            raise CnncliError(f"{path}, line {rows.find_line(empty[0])}: column {name!r} is empty")
    files, moved = _find_paths(path, [rows.columns.pop(name) for name in images], rows.find_line)
    labels, texts = pd.factorize(rows.columns.pop(label).astype(object))
    blank = np.flatnonzero(np.array([is_blank(text) for text in texts])[labels])
    if len(blank):
        raise CnncliError(
            f"{path}, line {rows.find_line(blank[0])}: column {label!r} holds "
            f"{texts[labels[blank[0]]]!a}, of which nothing is to be seen"
        )
    names, _ = sort_class_names(texts.tolist())
    position = {name: number for number, name in enumerate(names)}
    _check_repeats(path, unify_paths(path.parent, files), labels, rows.find_line)
    others = [name for name in find_usual(header, LABEL_COLUMNS) if name != label]
    told = f"labels are column {label!r}; {shorten(others)} could be too: see --label-col"
    splits, split_words = _read_splits(path, rows, split)
    groups, alone = _read_groups(rows, group, files)
    remarks = (*moved, *split_words, *([told] if others and columns.label is None else []))
    return Samples(
        source=FileSource(path.parent, files, len(images)),
        paths=files,
        targets=np.array([position[text] for text in texts])[labels],
        class_names=tuple(names),
        splits=splits,
        groups=groups,
        notes=(*alone, *_doubt_missing(label, texts, labels)),
        remarks=remarks,
        group_hint=_build_group_hint(roles.maybe_group, rows) if roles.maybe_group else None,
        files=len(images),
        extra=further,
    )


def _doubt_missing(column: str, texts: Array, numbers: Array) -> list[str]:
    """Return a sentence if labels read as if there were none, such as ``NaN``, or -1 beside 0.

    Args:
        column: Name of the column.
        texts: The K different labels.
        numbers: (N,) the number of each row's label among them.
    """
    counts = np.bincount(numbers, minlength=len(texts)).tolist()
    whole = [whole_number(str(text)) for text in texts]
    known = [number for number in whole if number is not None]
    words = ["-1"] if len(known) == len(whole) and sorted(known)[:2] == [-1, 0] else []
    found = [
        (str(text), count)
        for text, count in zip(texts, counts, strict=True)
        if is_missing(str(text)) or str(text) in words
    ]
    if not found:
        return []
    named = shorten([f"{number:,} times {text!r}" for text, number in found])
    return [
        f"column {column!r} has {named}, which programs write where a label is missing; here it is "
        "the name of a class: take these rows out if it is none"
    ]


def _find_paths(
    path: Path, columns: list[Array], line_of: Callable[[int], int]
) -> tuple[Array, tuple[str, ...]]:
    """Find each row's file; the paths of several columns are joined.

    Args:
        path: The CSV, for messages.
        columns: The fields of each column of images.
        line_of: Returns the line of a row, for messages.

    Returns:
        (N,) the paths, and sentences on files that are not where the table says.

    Raises:
        CnncliError: If a file is not found, if two columns of a row name the same file, or if
            ``SEPARATOR`` is part of a name that is joined.
    """
    found = [find_files(path, column, line_of) for column in columns]
    several = [files for files, _ in found]
    remarks = tuple(dict.fromkeys(remark for _, told in found for remark in told))
    paths = several[0]
    if len(columns) == 1:
        return paths, remarks
    check_channels(path, several, line_of)
    for files in several[1:]:
        paths = paths + SEPARATOR + files
    return paths, remarks


def _read_groups(rows: TableTexts, name: str, files: Array) -> tuple[Array | None, tuple[str, ...]]:
    """Return (N,) the group of each image, None if there are none, and what is to be told."""
    return fill_groups(rows.columns[name], files, f"column {name!r}") if name else (None, ())


def _build_group_hint(name: str, rows: TableTexts) -> str | None:
    """Return a warning if the values of a column look like groups of several images, else None."""
    texts = blank_missing(rows.columns[name])
    known = texts[texts != ""]
    several = len(np.unique(known))
    if several in (0, 1, len(known)):
        return None
    return (
        f"column {name!r} has {several:,} values for {len(texts):,} images: if images of one "
        f"belong together, keep them in one split with --group-col {name}"
    )


def _read_splits(path: Path, rows: TableTexts, column: str) -> tuple[Array, tuple[str, ...]]:
    """Return (N,) the split of each image, and a sentence on words that are read as splits."""
    if not column:
        return np.full(len(rows.numbers), NO_SPLIT, dtype=np.int8), ()
    numbers, texts = pd.factorize(rows.columns[column].astype(object))
    known = {str(text): parse_split_text(text) for text in texts}
    splits = np.array([NO_SPLIT if s is None else SPLITS.index(s) for s in known.values()], np.int8)
    unknown = np.flatnonzero(splits[numbers] == NO_SPLIT)
    if len(unknown):
        raise CnncliError(
            f"{path}, line {rows.find_line(unknown[0])}: split "
            f"{str(rows.columns[column][unknown[0]])!r} is none of train, val (valid, "
            "validation), test"
        )
    words = {text: split for text, split in known.items() if split is not None}
    return splits[numbers], tell_split_words(words, f"in column {column!r} ")


def _check_repeats(path: Path, files: Array, labels: Array, line_of: Callable[[int], int]) -> None:
    """Refuse the same image twice: it would leak from one split into another."""
    repeats = np.flatnonzero(pd.Series(files.astype(object)).duplicated())
    if not len(repeats):
        return
    row = repeats[0]
    other = np.flatnonzero(files == files[row])[0]
    labelled = "" if labels[other] == labels[row] else ", with another label"
    raise CnncliError(
        f"{path}, line {line_of(row)}: {str(files[row])!r} stands in line {line_of(other)} already"
        f"{labelled}; keep one of them"
    )
