"""A column of a table: its texts, and the cells that they need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cnncli.reporting import TableLayout
from cnncli.shell.cells import cell_width, format_cells, shorten_number, show_in_line

Row = Mapping[str, object]

_LEAST_PATH = 20  # cells of a path, where there is no room for more
_LEAST_HEADER = 17
_LEAST_NAME = 24
_GOOD_TEXT = 24  # cells in which a text that wraps reads well


@dataclass(frozen=True, eq=False)
class Column:
    """A column of a table: its texts, and from how many cells on it can be shown.

    Attributes:
        name: The key of its values in the rows.
        header: The name as it is shown.
        values: A value for each row.
        texts: The same as they are shown.
        kind: ``number``, ``name``, ``path`` or ``text``; a text may wrap at spaces.
        natural: Cells of the widest text, or of the header.
        need: Cells in which all can be read well; fewer than ``natural`` where a text wraps.
        whole: Cells below which something is cut.
        least: Cells in which the column can still be read.
    """

    name: str
    header: str
    values: list[object]
    texts: list[str]
    kind: str
    natural: int
    need: int
    whole: int
    least: int

    @property
    def is_empty(self) -> bool:
        """Whether no row has anything in the column."""
        return not any(self.texts)

    @property
    def same(self) -> str | None:
        """The text that all rows share, if they do."""
        return self.texts[0] if self.texts and len(set(self.texts)) == 1 else None

    @property
    def is_told_once(self) -> bool:
        """Whether one short text stands for all rows."""
        return len(self.texts) > 1 and self.same is not None and cell_width(self.same) <= _GOOD_TEXT


def read_column(name: str, rows: list[Row], layout: TableLayout, width: int | None) -> Column:
    """Return a column, with the cells that it needs where a line has ``width``."""
    values = [row.get(name) for row in rows]
    is_short = name in layout.short
    shown = (
        map(shorten_number, values) if is_short else format_cells(values, rounded=layout.rounded)
    )
    texts = [show_in_line(text) for text in shown]
    header = show_in_line(layout.headers.get(name, name))
    widest = max(map(cell_width, texts), default=0)
    natural = need = whole = max(widest, cell_width(header))
    if any(v is not None for v in values) and all(
        isinstance(v, int | float | None) for v in values
    ):
        kind, least = "number", widest
    elif name in layout.paths:
        kind, least = "path", min(widest, _LEAST_PATH, (width or natural) // 2 - 2)
    elif name in layout.words:
        longest = max((cell_width(word) for text in texts for word in text.split(" ")), default=0)
        whole = max(longest, cell_width(header))
        need = max(whole, min(widest, _GOOD_TEXT))
        narrow = max(longest, min(widest, (width or natural) // 5))
        kind, least = "text", min(narrow, _GOOD_TEXT, (width or natural) // 3)
    else:
        kind, least = "name", min(widest, max(_LEAST_NAME, int(0.3 * (width or 0))))
    least = max(least, min(cell_width(header), _LEAST_HEADER))
    least = min(least, width or natural)
    return Column(name, header, values, texts, kind, natural, need, whole, least)
