"""Whole columns of a CSV as texts."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from cnncli.arrays import Array
from cnncli.data.samples import text_array
from cnncli.data.table_rows import find_line, find_other_mark, open_table
from cnncli.errors import CnncliError

_CHUNK = 1 << 16  # records


@dataclass(frozen=True)
class TableTexts:
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


def read_texts(
    path: Path, header: list[str], wanted: Sequence[str], extra: Sequence[str] = ()
) -> TableTexts:
    """Read the columns named, each once; empty names are none.

    Args:
        path: The CSV.
        header: Its columns.
        wanted: Columns to read. Where all of them are empty, there is no row.
        extra: Further columns to read.

    Raises:
        CnncliError: If a column is there twice, the file is no CSV, or there is no row.
    """
    needed = [name for name in dict.fromkeys(wanted) if name]
    names = list(dict.fromkeys([*needed, *extra]))
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
    fields = [column != "" for column in texts[: len(needed)]]
    filled = np.flatnonzero(np.logical_or.reduce(fields))
    numbers = filled[1:]  # without the header
    if not len(numbers):
        raise CnncliError(f"{path}: no rows below the header")
    columns = {name: column[numbers] for name, column in zip(names, texts, strict=True)}
    return TableTexts(path, columns, numbers)


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
                if mark := find_other_mark(fields, width):
                    raise CnncliError(
                        f"{path}, line {find_line(path, first + number)}: is separated by "
                        f"{mark!r}, and the header is not; separate all rows in one way"
                    )
                records[number] = fields[:width] + [""] * (width - len(fields))
            yield records
            first += len(records)
