"""Images named in a CSV: image and label columns, optionally split and group."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd

from cnncli.arrays import Array
from cnncli.choices import SPLITS
from cnncli.data.classes import sort_class_names
from cnncli.data.label_text import is_blank
from cnncli.data.samples import (
    NO_SPLIT,
    SEPARATOR,
    CsvColumns,
    FileSource,
    Samples,
    text_array,
)
from cnncli.data.split_names import parse_split_text, tell_split_words
from cnncli.data.table_columns import (
    LABEL_COLUMNS,
    find_image_columns,
    find_usual,
    split_names,
)
from cnncli.data.table_files import check_channels, find_files, unify_paths
from cnncli.data.table_rows import find_line, open_table, read_header
from cnncli.errors import CnncliError, did_you_mean, shorten

_CHUNK = 1 << 16  # records
_SPLIT = ("split", "subset", "set")
# Usual names of columns of groups. Such a column is not used unless --group-col names it, but the
# user is warned of it.
_GROUPS = (
    *("patient_id", "patientid", "patient", "subject_id", "subjectid", "subject"),
    *("lesion_id", "case_id", "participant_id", "person_id", "specimen_id"),
)


@dataclass(frozen=True)
class _Rows:
    """Columns of a CSV, as texts without spaces around them.

    Attributes:
        path: Path of the CSV.
        columns: (N,) texts by the column's name.
        numbers: (N,) number of each row's record in the file, from 0, for `find_line`.
    """

    path: Path
    columns: dict[str, Array]
    numbers: Array

    def find_line(self, row: int) -> int:
        """Return the line that a row begins in, counted from 1; for messages, as it takes long."""
        return find_line(self.path, int(self.numbers[row]))


def read_table(path: Path, columns: CsvColumns) -> Samples:
    """Read a CSV of images; paths count from its folder, ids may lack the file's ending.

    Raises:
        CnncliError: If a column or a file is missing, a field is empty or a split is unknown.
    """
    header = read_header(path)
    images = _image_columns(path, header, columns.image)
    label = _column(path, header, columns.label, "--label-col", LABEL_COLUMNS)
    split = _column(path, header, columns.split, "--split-col", _SPLIT, needed=False)
    group = _column(path, header, columns.group, "--group-col", (), needed=False)
    maybe_group = "" if group else _column(path, header, None, "", _GROUPS, needed=False)
    rows = _read_rows(path, header, [*images, label, split, group, maybe_group])
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
    remarks = (*moved, *split_words, *([told] if others and columns.label is None else []))
    return Samples(
        source=FileSource(path.parent, files, len(images)),
        paths=files,
        targets=np.array([position[text] for text in texts])[labels],
        class_names=tuple(names),
        splits=splits,
        groups=_read_groups(rows.columns[group], files) if group else None,
        remarks=remarks,
        group_hint=_build_group_hint(maybe_group, rows) if maybe_group else None,
        files=len(images),
    )


def _read_rows(path: Path, header: list[str], wanted: Sequence[str]) -> _Rows:
    """Read the columns named, each once; empty names are none."""
    names = [name for name in dict.fromkeys(wanted) if name]
    for name in names:
        if header.count(name) > 1:
            raise CnncliError(f"{path}: column {name!r} is there twice; rename one of them")
    places = [header.index(name) for name in names]
    parts: list[list[Array]] = [[] for _ in names]
    for records in _read_chunks(path, len(header)):
        for part, place in zip(parts, places, strict=True):
            part.append(text_array([fields[place].strip() for fields in records]))
    texts = [np.concatenate(part) for part in parts]
    # Blank lines, and the rows of separators alone that Excel writes below a table, say nothing.
    filled = np.flatnonzero(np.logical_or.reduce([column != "" for column in texts]))
    numbers = filled[1:]  # without the header
    if not len(numbers):
        raise CnncliError(f"{path}: no rows below the header")
    columns = {name: column[numbers] for name, column in zip(names, texts, strict=True)}
    return _Rows(path, columns, numbers)


def _read_chunks(path: Path, width: int) -> Iterator[list[list[str]]]:
    """Yield many records at a time, each as long as the header; blank lines are records too.

    A record that is too short has empty fields at its end. In one that is too long, the fields
    behind the last column must be empty: otherwise a comma may have torn a text apart.
    """
    with open_table(path) as (file, delimiter, _):
        # Strict, since otherwise a quote that is never closed takes in the rest of the file.
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        first = 0
        while records := list(islice(reader, _CHUNK)):
            for number, fields in enumerate(records):
                if len(fields) == width:
                    continue
                if any(fields[width:]):
                    raise CnncliError(
                        f"{path}: not a CSV in UTF-8: line {find_line(path, first + number)} has "
                        f"{len(fields)} fields, the header {width}"
                    )
                records[number] = fields[:width] + [""] * (width - len(fields))
            yield records
            first += len(records)


def _image_columns(path: Path, header: list[str], chosen: str | None) -> list[str]:
    if chosen is None:
        found = find_image_columns(header)
        if not found:
            raise _unnamed_column_error(path, header, "--image-col")
        return found
    names = split_names(chosen, header)
    if len(set(names)) < len(names):
        raise CnncliError(f"--image-col {chosen}: a column is named twice")
    return [_column(path, header, name, "--image-col", ()) for name in names]


def _column(
    path: Path,
    header: list[str],
    chosen: str | None,
    flag: str,
    usual: Sequence[str],
    *,
    needed: bool = True,
) -> str:
    """Return the column's name, or an empty text where there is none and none is needed."""
    if chosen is not None:
        if chosen not in header:
            raise CnncliError(
                f"{flag} {chosen}: {path} has no such column; it has {shorten(header, 12)}"
                f"{did_you_mean(chosen, header)}"
            )
        return chosen
    found = find_usual(header, usual)
    if needed and not found:
        raise _unnamed_column_error(path, header, flag)
    return found[0] if found else ""


def _unnamed_column_error(path: Path, header: list[str], flag: str) -> CnncliError:
    return CnncliError(f"{path}: name the column with {flag}; it has {shorten(header, 12)}")


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


def _read_groups(groups: Array, files: Array) -> Array:
    """Return (N,) the group of each image; an image without one is a group by itself."""
    return np.where(groups == "", files, groups)


def _build_group_hint(name: str, rows: _Rows) -> str | None:
    """Return a warning if the values of a column look like groups of several images, else None."""
    texts = rows.columns[name]
    known = texts[texts != ""]
    several = len(np.unique(known))
    if several in (0, 1, len(known)):
        return None
    return (
        f"column {name!r} has {several:,} values for {len(texts):,} images: if images of one "
        f"belong together, keep them in one split with --group-col {name}"
    )


def _read_splits(path: Path, rows: _Rows, column: str) -> tuple[Array, tuple[str, ...]]:
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
