"""Tables that fit the terminal: every number whole, and what is left out told below them.

A table that is too wide first gets its texts wrapped and its paths cut. Then columns go, the least
valuable first, until the rest fits. The last line names them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

from cnncli.reporting import TableLayout
from cnncli.shell.cells import (
    CUT,
    cell_width,
    cut_apart,
    cut_middle,
    format_cell,
    pad,
    shorten_number,
    show_in_line,
    wrap_words,
)

Row = Mapping[str, object]

_GAP = "  "
_LEAST_WIDTH = 20  # of a terminal: below it nothing can be laid out
_LEAST_PATH = 20  # cells of a path, where there is no room for more
_LEAST_HEADER = 17
_LEAST_NAME = 24
_LEAST_TEXT = 24  # cells of a text that may wrap
_MOST_TOLD = 8  # columns named in the last line


def find_width(stream: TextIO) -> int | None:
    """Return the cells of a line: of ``COLUMNS``, else of the terminal; None if there is no end."""
    told = os.environ.get("COLUMNS", "")
    if told.isdecimal() and int(told) > 0:
        return max(_LEAST_WIDTH, int(told))
    if not stream.isatty():
        return None
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):  # a stream that is no file
        columns = 0
    return max(_LEAST_WIDTH, columns or 80)


@dataclass(frozen=True, eq=False)
class _Column:
    """A column of a table: its texts, and from how many cells on it can be shown.

    Attributes:
        name: The key of its values in the rows.
        header: The name as it is shown.
        values: A value for each row.
        texts: The same as they are shown.
        kind: ``number``, ``name``, ``path`` or ``text``; a text may wrap at spaces.
        natural: Cells of the widest text, or of the header.
        least: Cells that the column needs.
    """

    name: str
    header: str
    values: list[object]
    texts: list[str]
    kind: str
    natural: int
    least: int

    @property
    def longest_word(self) -> int:
        """Cells of the longest word in the column."""
        return max((cell_width(word) for t in self.texts for word in t.split(" ")), default=0)

    @property
    def same(self) -> str | None:
        """The text that all rows share, if they do."""
        return self.texts[0] if self.texts and len(set(self.texts)) == 1 else None


def draw_table(
    rows: Iterable[Row],
    columns: Sequence[str],
    *,
    width: int | None,
    layout: TableLayout | None = None,
    title: str = "",
    mark: str = CUT,
    line: str = "─",
) -> list[str]:
    """Return the lines of a table; none is wider than ``width``, and none ends with a space.

    Args:
        rows: Mappings with the ``columns`` as keys; a key that is missing is an empty cell.
        columns: Keys in their order. The first one tells the rows apart and always stays.
        width: Cells of a line, from 20 on; None for no limit.
        layout: What may be cut, wrapped or left out.
        title: Stands above the table.
        mark: What stands for a piece that was cut out.
        line: The letter of the line below the header.

    Returns:
        Title, header, line, rows, and what was left out. The header is the line with the index
        ``len(lines of the title)``.
    """
    layout = layout or TableLayout()
    rows = list(rows)
    every = [_read_column(name, rows, layout, width) for name in columns]
    shown = every if width is None else _choose(every, layout, width)
    widths = _share(shown, width)
    drawn = [] if not title else wrap_words(show_in_line(title), width or 10_000)
    if width is not None:
        drawn = [cut_middle(text, width, mark) for text in drawn]
    # Runs in the columns of a table mostly begin alike.
    headers = cut_apart([column.header for column in shown], widths, mark, ends=True)
    drawn.append(
        _GAP.join(
            pad(header, w, right=c.kind == "number")
            for header, c, w in zip(headers, shown, widths, strict=True)
        )
    )
    drawn.append(line * sum(widths) + line * len(_GAP) * (len(widths) - 1))
    fitted = [_fit(column, w, mark) for column, w in zip(shown, widths, strict=True)]
    for cells in zip(*fitted, strict=True):
        for part in range(max(map(len, cells))):
            pieces = [
                pad(cell[part] if part < len(cell) else "", w, right=c.kind == "number")
                for cell, c, w in zip(cells, shown, widths, strict=True)
            ]
            drawn.append(_GAP.join(pieces))
    if width is not None:
        told = _tell(every, shown, widths, layout, mark)
        drawn += [cut_middle(text, width, mark) for text in wrap_words(told, width) if text]
    return [text.rstrip() for text in drawn]


def _read_column(name: str, rows: list[Row], layout: TableLayout, width: int | None) -> _Column:
    """Return a column, with the cells that it needs where a line has ``width``."""
    values = [row.get(name) for row in rows]
    show = shorten_number if name in layout.short else format_cell
    texts = [show_in_line(show(value)) for value in values]
    header = show_in_line(name)
    widest = max(map(cell_width, texts), default=0)
    if any(v is not None for v in values) and all(
        isinstance(v, int | float | None) for v in values
    ):
        kind, least = "number", widest
    elif name in layout.paths:
        kind, least = "path", min(widest, _LEAST_PATH)
    elif name in layout.words:
        words = [cell_width(word) for text in texts for word in text.split(" ")]
        longest = min(max(words, default=0), _LEAST_TEXT)
        kind, least = "text", max(longest, min(widest, _LEAST_TEXT))
    else:
        kind, least = "name", min(widest, max(_LEAST_NAME, int(0.3 * (width or 0))))
    natural = max(widest, cell_width(header))
    least = min(max(least, min(cell_width(header), _LEAST_HEADER)), width or natural)
    return _Column(name, header, values, texts, kind, natural, least)


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _choose(columns: list[_Column], layout: TableLayout, width: int) -> list[_Column]:
    """Return the columns that fit in ``width``; of the others the least valuable went first."""

    def fits(chosen: Iterable[_Column]) -> bool:
        return _total([column.least for column in chosen]) <= width

    chosen = list(columns)
    gone = []
    for column in _rank(columns, layout):
        if fits(chosen):
            break
        chosen.remove(column)
        gone.append(column)
    for column in reversed(gone):  # a narrow one may fit since a wide one went
        if fits([*chosen, column]):
            chosen.append(column)
    return [column for column in columns if column in chosen]


def _rank(columns: list[_Column], layout: TableLayout) -> list[_Column]:
    """Return all columns but the first, the least valuable first."""
    order = [*layout.drop, *(c.name for c in reversed(columns) if c.name not in layout.drop)]

    def value(column: _Column) -> tuple[int, int]:
        if column.name in layout.keep:
            group = 3
        elif column.same == "":
            group = 0
        elif layout.drop_equal and column.same is not None and len(column.texts) > 1:
            group = 1
        else:
            group = 2
        return group, order.index(column.name)

    return sorted(columns[1:], key=value)


def _share(columns: list[_Column], width: int | None) -> list[int]:
    """Return the width of each column: what it needs, and its share of the room that is left."""
    if width is None:
        return [column.natural for column in columns]
    widths = [column.least for column in columns]
    room = width - _total(widths)
    while room > 0 and (open_ := [i for i, c in enumerate(columns) if widths[i] < c.natural]):
        for index in open_[:room]:
            widths[index] += 1
        room -= len(open_[:room])
    return widths


def _fit(column: _Column, width: int, mark: str) -> list[list[str]]:
    """Return the lines of each cell of a column."""
    if column.kind == "text":
        cells = [wrap_words(text, width) for text in column.texts]
        flat = [line for cell in cells for line in cell]
        lines = iter(cut_apart(flat, [width] * len(flat), mark))
        return [[next(lines) for _ in cell] for cell in cells]
    if column.kind == "number":  # too wide only where it stands alone in its line
        pairs = zip(column.texts, column.values, strict=True)
        return [[t if cell_width(t) <= width else f"{v:.3g}"] for t, v in pairs]
    widths = [width] * len(column.texts)
    return [
        [text] for text in cut_apart(column.texts, widths, mark, are_paths=column.kind == "path")
    ]


def _tell(
    every: list[_Column],
    shown: list[_Column],
    widths: list[int],
    layout: TableLayout,
    mark: str,
) -> str:
    """Return what was left out or cut, and what shows it; empty if nothing was."""
    gone = [column for column in every if column not in shown]
    cut = [
        c.header
        for c, width in zip(shown, widths, strict=True)
        if width < (c.longest_word if c.kind == "text" else c.natural)
    ]
    parts = []
    if gone:
        names = [_describe(column) for column in gone[:_MOST_TOLD]]
        more = len(gone) - len(names)
        parts.append("Left out: " + ", ".join([*names, *([f"{more} more"] if more else [])]))
    if cut:
        names = [*cut[:_MOST_TOLD], *([f"{len(cut) - _MOST_TOLD} more"] * (len(cut) > _MOST_TOLD))]
        parts.append(("cut at " if parts else "Cut at ") + f"{mark}: {', '.join(names)}")
    if not parts:
        return ""
    need = f"they need {_total([column.natural for column in every])} columns"
    if layout.whole:
        need += f"; {layout.whole} has all"
    return f"{'; '.join(parts)} ({need})."


def _describe(column: _Column) -> str:
    """Return a column's name, with its value if all rows have the same."""
    if column.same is None or len(column.texts) < 2 or cell_width(column.same) > _LEAST_TEXT:
        return column.header
    return f"{column.header}: {column.same}" if column.same else f"{column.header} (empty)"
