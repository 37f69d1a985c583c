"""Runs side by side: a column for each, or a row, in as many tables as the terminal needs."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence

from cnncli.reporting import TableLayout
from cnncli.shell.cells import CUT, cell_width, show_in_line
from cnncli.shell.tables import find_width
from cnncli.shell.terminal import can_print, print_rows, print_sentence

_GAP = 2  # cells between columns
_LINES = 3  # of a table that are no rows


def print_sides(
    rows: Mapping[str, Sequence[str]], names: Sequence[str], *, corner: str, below: str
) -> None:
    """Print what tells runs apart, so that every run and every row is seen.

    Names that do not fit lose what all of them share, which is told once. Where the columns need
    several tables, the runs are columns or rows, whichever takes fewer lines.

    Args:
        rows: A text for each run, by the name of a setting or figure.
        names: Of the runs; no two are the same.
        corner: The header above the names of the settings.
        below: The end of a row's name that belongs to the row above it, such as an interval's.
    """
    width = find_width(sys.stdout)
    labels = [corner, *(f"  {below.strip()}" if row.endswith(below) else row for row in rows)]
    head, tail = find_shared(names)
    is_short = bool(head or tail) and len(_pack_runs(rows, names, labels, width)) > 1
    short = [name[len(head) : len(name) - len(tail)] for name in names] if is_short else names
    tables = _pack_runs(rows, short, labels, width)
    turned = _pack_rows(rows, short, below, width)
    lines = len(tables) * (len(rows) + _LINES)
    if len(tables) > 1 and len(turned) * (len(names) + _LINES) < lines:
        _print_rows(rows, short, turned, below)
    else:
        _print_columns(rows, short, tables, labels)
    if is_short:
        mark = CUT if can_print(CUT) else "..."
        print_sentence(f"All runs are {head}{mark}{tail}.")


def find_shared(names: Sequence[str]) -> tuple[str, str]:
    """Return the beginning and the end that all names share, up to a ``_``, ``-`` or ``/``."""
    if len(names) < 2:
        return "", ""
    parts = [re.split(r"(?<=[_/-])", name) for name in names]
    head = _count_shared(parts)
    ends = [re.split(r"(?=[_/-])", "".join(part[head:]))[::-1] for part in parts]
    tail = _count_shared(ends)
    return "".join(parts[0][:head]), "".join(reversed(ends[0][:tail]))


def _count_shared(names: Sequence[Sequence[str]]) -> int:
    """Return how many first parts all names share; one part of each name is left."""
    most = min(map(len, names)) - 1
    return next((i for i in range(most) if len({name[i] for name in names}) > 1), most)


def _pack_runs(
    rows: Mapping[str, Sequence[str]],
    names: Sequence[str],
    labels: Sequence[str],
    width: int | None,
) -> list[list[int]]:
    """Return the runs of each table where every run has a column."""
    first = max(cell_width(show_in_line(label)) for label in labels)
    needs = [
        max(cell_width(show_in_line(text)) for text in [name, *(row[i] for row in rows.values())])
        for i, name in enumerate(names)
    ]
    return _pack(needs, first, width)


def _pack_rows(
    rows: Mapping[str, Sequence[str]], names: Sequence[str], below: str, width: int | None
) -> list[list[str]]:
    """Return the columns of each table where every run has a row."""
    first = max(map(cell_width, map(show_in_line, names)), default=0)
    groups: list[list[str]] = []
    for name in rows:
        if name.endswith(below) and groups:
            groups[-1].append(name)
        else:
            groups.append([name])
    needs = []
    for group in groups:
        cells = [[_head(name, below), *rows[name]] for name in group]
        wide = [max(cell_width(show_in_line(text)) for text in texts) for texts in cells]
        needs.append(sum(wide) + _GAP * (len(wide) - 1))
    return [[name for i in table for name in groups[i]] for table in _pack(needs, first, width)]


def _pack(needs: Sequence[int], first: int, width: int | None) -> list[list[int]]:
    """Return the columns of each table by their indices; ``first`` stands in front in each."""
    tables: list[list[int]] = [[]]
    room = left = None if width is None else width - first
    for index, need in enumerate(needs):
        if left is not None and room is not None:
            if left < need + _GAP and tables[-1]:
                tables.append([])
                left = room
            left -= need + _GAP
        tables[-1].append(index)
    return tables


def _head(name: str, below: str) -> str:
    return below.strip() if name.endswith(below) else name


def _print_columns(
    rows: Mapping[str, Sequence[str]],
    names: Sequence[str],
    tables: Sequence[Sequence[int]],
    labels: Sequence[str],
) -> None:
    """Print tables with a column for each run; the labels stand above and in the first column."""
    corner = labels[0]
    for table in tables:
        print_rows(
            [
                {corner: label, **{names[i]: texts[i] for i in table}}
                for label, texts in zip(labels[1:], rows.values(), strict=True)
            ],
            [corner, *(names[i] for i in table)],
            "table",
            layout=TableLayout(drop_equal=False, whole="--format csv"),
        )


def _print_rows(
    rows: Mapping[str, Sequence[str]],
    names: Sequence[str],
    tables: Sequence[Sequence[str]],
    below: str,
) -> None:
    """Print tables with a row for each run."""
    for table in tables:
        heads = {name: _head(name, below) for name in table}
        print_rows(
            [{"run": name, **{row: rows[row][i] for row in table}} for i, name in enumerate(names)],
            ["run", *table],
            "table",
            layout=TableLayout(headers=heads, drop_equal=False, whole="--format csv"),
        )
