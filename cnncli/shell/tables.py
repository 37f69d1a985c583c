"""Tables that fit the terminal: every number whole, and what is left out told below them.

A table that is too wide first loses the columns that are empty; then its texts are wrapped and its
paths cut. Then columns go, the least valuable first, until the rest fits. The last line names them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TextIO

from cnncli.errors import shorten
from cnncli.reporting import TableLayout
from cnncli.shell.cells import CUT, cell_width, cut_apart, cut_middle, pad, show_in_line, wrap_words
from cnncli.shell.columns import Column, Row, read_column

_GAP = "  "
_LEAST_WIDTH = 20  # of a terminal: below it nothing can be laid out
_MOST_TOLD = 8  # columns named in the last line
_MOST_WIDTH = 300  # of a terminal that somebody may have


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
    every = [read_column(name, rows, layout, width) for name in columns]
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
        told = _tell(every, shown, widths, layout)
        drawn += [cut_middle(text, width, mark) for text in wrap_words(told, width) if text]
    return [text.rstrip() for text in drawn]


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _choose(columns: list[Column], layout: TableLayout, width: int) -> list[Column]:
    """Return the columns that fit in ``width``; of the others the least valuable went first."""

    def fits(chosen: Iterable[Column]) -> bool:
        return _total([column.least for column in chosen]) <= width

    chosen = list(columns)
    if _total([column.need for column in columns]) > width:  # before any text is cut
        chosen = [column for column in columns if not column.is_empty or column is columns[0]]
    order = _rank(chosen, layout)
    gone: list[list[Column]] = []
    for column in order:
        if fits(chosen):
            break
        if column in chosen:
            mates = next((names for names in layout.together if column.name in names), ())
            gone.append([c for c in order if c is column or c.name in mates])
            chosen = [c for c in chosen if c not in gone[-1]]
    for group in reversed(gone):  # a narrow one may fit since a wide one went
        if fits([*chosen, *group]):
            chosen += group
    return [column for column in columns if column in chosen]


def _rank(columns: list[Column], layout: TableLayout) -> list[Column]:
    """Return all columns but the first, the least valuable first."""
    order = [*layout.drop, *(c.name for c in reversed(columns) if c.name not in layout.drop)]

    def value(column: Column) -> tuple[int, int]:
        if column.name in layout.keep:
            group = 2
        elif layout.drop_equal and column.same is not None and len(column.texts) > 1:
            group = 0
        else:
            group = 1
        return group, order.index(column.name)

    return sorted(columns[1:], key=value)


def _share(columns: list[Column], width: int | None) -> list[int]:
    """Return the width of each column: what it needs, and its share of the room that is left."""
    if width is None:
        return [column.natural for column in columns]
    widths = [column.need for column in columns]
    if _total(widths) > width:
        widths = [column.least for column in columns]
    room = width - _total(widths)
    while room > 0 and (open_ := [i for i, c in enumerate(columns) if widths[i] < c.natural]):
        for index in open_[:room]:
            widths[index] += 1
        room -= len(open_[:room])
    return widths


def _fit(column: Column, width: int, mark: str) -> list[list[str]]:
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


def _tell(every: list[Column], shown: list[Column], widths: list[int], layout: TableLayout) -> str:
    """Return what was left out or shortened, and what shows it; empty if nothing was."""
    empty, same, gone = [], [], []
    for column in every:
        if column in shown:
            continue
        if column.is_empty:
            empty.append(column.header)
        elif column.is_told_once:
            same.append(f"{column.header} {column.same}")
        else:
            gone.append(column.header)
    cut = [c.header for c, width in zip(shown, widths, strict=True) if width < c.whole]
    told = {
        "The same in all": same,
        "Empty, so not shown": empty,
        "Not shown": gone,
        "Shortened": cut,
    }
    sentences = [f"{what}: {shorten(names, _MOST_TOLD)}." for what, names in told.items() if names]
    need = _total([column.need for column in every])
    if not gone and not cut and not same:
        pass
    elif layout.whole and need > _MOST_WIDTH:
        sentences.append(f"All is in {layout.whole}.")
    else:
        also = f", and so does {layout.whole}" if layout.whole else ""
        sentences.append(f"A terminal of {need} columns shows all{also}.")
    return " ".join(sentences)
