"""Images named in a CSV: image and label columns, optionally split and group."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice
from pathlib import Path

import numpy as np

from cnncli.arrays import Array
from cnncli.choices import SPLITS
from cnncli.data.classes import sort_class_names
from cnncli.data.samples import (
    NO_SPLIT,
    SEPARATOR,
    SPLIT_NAMES,
    CsvColumns,
    FileSource,
    Samples,
    text_array,
)
from cnncli.data.table_columns import (
    LABEL_COLUMNS,
    find_image_columns,
    find_usual,
    split_names,
)
from cnncli.data.table_files import check_channels, find_files, unify_paths
from cnncli.errors import CnncliError, did_you_mean, shorten

_CHUNK = 1 << 16
_BREAK = re.compile(r"\r\n|\r|\n")
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
        columns: (N,) texts by the column's name.
        lines: (N,) the line that each row begins in, from 1.
    """

    columns: dict[str, Array]
    lines: Array


def read_table(path: Path, columns: CsvColumns) -> Samples:
    """Read a CSV of images; paths count from its folder, ids may lack the file's ending.

    Raises:
        CnncliError: If a column or a file is missing, a field is empty or a split is unknown.
    """
    header = _read_header(path)
    images = _image_columns(path, header, columns.image)
    label = _column(path, header, columns.label, "--label-col", LABEL_COLUMNS)
    split = _column(path, header, columns.split, "--split-col", _SPLIT, needed=False)
    group = _column(path, header, columns.group, "--group-col", (), needed=False)
    maybe_group = "" if group else _column(path, header, None, "", _GROUPS, needed=False)
    rows = _read_rows(path, header, [*images, label, split, group, maybe_group])
    for name in (*images, label):
        empty = np.flatnonzero(rows.columns[name] == "")
        if len(empty):
            raise CnncliError(f"{path}, line {rows.lines[empty[0]]}: column {name!r} is empty")
    files, moved = _find_paths(path, [rows.columns.pop(name) for name in images], rows.lines)
    texts, labels = np.unique(rows.columns.pop(label), return_inverse=True)
    names, _ = sort_class_names(texts.tolist())
    position = {name: number for number, name in enumerate(names)}
    _check_repeats(path, unify_paths(path.parent, files), labels, rows.lines)
    others = [name for name in find_usual(header, LABEL_COLUMNS) if name != label]
    told = f"labels are column {label!r}; {shorten(others)} could be too: see --label-col"
    return Samples(
        source=FileSource(path.parent, files, len(images)),
        paths=files,
        targets=np.array([position[text] for text in texts])[labels],
        class_names=tuple(names),
        splits=_read_splits(path, rows, split),
        groups=_read_groups(rows.columns[group], files) if group else None,
        remarks=(*moved, told) if others and columns.label is None else moved,
        group_hint=_hint(maybe_group, rows) if maybe_group else None,
        files=len(images),
    )


def read_records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield each record with the line it begins in, counted from 1; blank lines are left out.

    Raises:
        CnncliError: If the file cannot be read or is no CSV.
    """
    for lines, rows in _read_chunks(path):
        yield from zip(lines, rows, strict=True)


def _read_chunks(path: Path) -> Iterator[tuple[Sequence[int], list[list[str]]]]:
    """Yield many records at a time, which takes a third of the time that single ones do."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)  # else an open quote swallows the rest
            first = 1
            while rows := list(islice(reader, _CHUNK)):
                lines: Sequence[int] = range(first, reader.line_num + 1)
                first = reader.line_num + 1
                if len(lines) > len(rows):  # fields with line breaks in them
                    breaks = [sum(len(_BREAK.findall(field)) for field in row) for row in rows]
                    lines = [lines[0] + n + k for n, k in enumerate(accumulate([0, *breaks[:-1]]))]
                blank = {
                    n for n, row in enumerate(rows) if len(row) < 2 and not "".join(row).strip()
                }
                if blank:
                    lines = [line for n, line in enumerate(lines) if n not in blank]
                    rows = [row for n, row in enumerate(rows) if n not in blank]
                yield lines, rows
    except OSError as error:
        raise CnncliError(f"{path}: cannot be read ({error.strerror})") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise CnncliError(f"{path}: not a CSV in UTF-8: {error}") from None


def _read_header(path: Path) -> list[str]:
    for _, row in read_records(path):
        return row
    raise CnncliError(f"{path}: not a CSV in UTF-8: it is empty")


def _read_rows(path: Path, header: list[str], wanted: Sequence[str]) -> _Rows:
    """Read the columns named, each once; empty names are none."""
    names = [name for name in dict.fromkeys(wanted) if name]
    for name in names:
        if header.count(name) > 1:
            raise CnncliError(f"{path}: column {name!r} is there twice; rename one of them")
    parts: dict[str, list[Array]] = {name: [] for name in names}
    all_lines = []
    for lines, rows in _read_chunks(path):
        if any(len(row) != len(header) for row in rows):
            rows = [_fit(path, line, row, header) for line, row in zip(lines, rows, strict=True)]
        for name in names:
            number = header.index(name)
            parts[name].append(text_array([row[number].strip() for row in rows]))
        all_lines.append(np.asarray(lines, dtype=np.int64))
    lines_of = np.concatenate(all_lines)[1:]
    if not len(lines_of):
        raise CnncliError(f"{path}: no rows below the header")
    return _Rows({name: np.concatenate(parts.pop(name))[1:] for name in names}, lines_of)


def _fit(path: Path, line: int, row: list[str], header: list[str]) -> list[str]:
    """Return a row as long as the header; commas at its end are nothing, or empty fields."""
    if any(row[len(header) :]):
        raise CnncliError(
            f"{path}: not a CSV in UTF-8: line {line} has {len(row)} fields, the header "
            f"{len(header)}"
        )
    return row[: len(header)] + [""] * (len(header) - len(row))


def _image_columns(path: Path, header: list[str], chosen: str | None) -> list[str]:
    if chosen is None:
        found = find_image_columns(header)
        if not found:
            raise _nameless(path, header, "--image-col")
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
        raise _nameless(path, header, flag)
    return found[0] if found else ""


def _nameless(path: Path, header: list[str], flag: str) -> CnncliError:
    return CnncliError(f"{path}: name the column with {flag}; it has {shorten(header, 12)}")


def _find_paths(path: Path, columns: list[Array], lines: Array) -> tuple[Array, tuple[str, ...]]:
    """Find each row's file; the paths of several columns are joined.

    Args:
        path: The CSV, for messages.
        columns: The fields of each column of images.
        lines: (N,) line of each row.

    Returns:
        (N,) the paths, and sentences on files that are not where the table says.

    Raises:
        CnncliError: If a file is not found, if two columns of a row name the same file, or if
            ``SEPARATOR`` is part of a name that is joined.
    """
    found = [find_files(path, column, lines) for column in columns]
    several = [files for files, _ in found]
    remarks = tuple(dict.fromkeys(remark for _, told in found for remark in told))
    paths = several[0]
    if len(columns) == 1:
        return paths, remarks
    check_channels(path, several, lines)
    for files in several[1:]:
        paths = paths + SEPARATOR + files
    return paths, remarks


def _read_groups(groups: Array, files: Array) -> Array:
    """Return (N,) the group of each image; an image without one is a group by itself."""
    return np.where(groups == "", files, groups)


def _hint(name: str, rows: _Rows) -> str | None:
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


def _read_splits(path: Path, rows: _Rows, column: str) -> Array:
    if not column:
        return np.full(len(rows.lines), NO_SPLIT, dtype=np.int8)
    texts, inverse = np.unique(rows.columns[column], return_inverse=True)
    known = [SPLIT_NAMES.get(text.lower()) for text in texts]
    numbers = np.array([NO_SPLIT if s is None else SPLITS.index(s) for s in known], dtype=np.int8)
    splits = numbers[inverse]
    unknown = np.flatnonzero(splits == NO_SPLIT)
    if len(unknown):
        raise CnncliError(
            f"{path}, line {rows.lines[unknown[0]]}: split "
            f"{str(rows.columns[column][unknown[0]])!r} is none of train, val (valid, "
            "validation), test"
        )
    return splits


def _check_repeats(path: Path, files: Array, labels: Array, lines: Array) -> None:
    """Refuse a CSV that names an image twice: it could get into two splits.

    Raises:
        CnncliError: With the lines of the first such image.
    """
    if len(np.unique(files)) == len(files):
        return
    first: dict[str, int] = {}
    for number, file in enumerate(files):
        other = first.setdefault(file, number)
        if other != number:
            labelled = "" if labels[other] == labels[number] else ", with another label"
            raise CnncliError(
                f"{path}, line {lines[number]}: {file!r} stands in line {lines[other]} already"
                f"{labelled}; keep one of them"
            )
