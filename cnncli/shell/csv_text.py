"""Rows as the text of a CSV from which each cell reads back as it was."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

from cnncli.files import protect_cell, protect_column
from cnncli.shell.columns import Row


def list_csv(
    batches: Iterable[Sequence[Row]], columns: Sequence[str], *, csv_safe: bool
) -> Iterator[str]:
    """Yield the lines of a CSV, those of a batch together; the header is before the first.

    Args:
        batches: Rows: mappings with the ``columns`` as keys; ``None`` is an empty field.
        columns: The header, in order.
        csv_safe: Whether no cell may be a formula for a spreadsheet.
    """
    head = [[protect_column(name) if csv_safe else name for name in columns]]
    is_first = True
    for batch in batches:
        cells = [[row.get(name) for name in columns] for row in batch]
        if csv_safe:
            cells = [list(map(protect_cell, row)) for row in cells]
        yield _format([*head, *cells] if is_first else cells)
        is_first = False
    if is_first:
        yield _format(head)


def _format(rows: Sequence[Sequence[object]]) -> str:
    """Return rows as lines of a CSV; None is an empty field.

    Python's writer puts no quotes around a carriage return, but its reader ends the row there: a
    row with one has quotes around all its fields.
    """
    text = _write(rows, quote=False)
    if "\r" not in text:
        return text
    return "".join(_write([row], quote=any(map(_has_return, row))) for row in rows)


def _has_return(cell: object) -> bool:
    return isinstance(cell, str) and "\r" in cell


def _write(rows: Sequence[Sequence[object]], *, quote: bool) -> str:
    text = io.StringIO(newline="")
    csv.writer(
        text, lineterminator="\n", quoting=csv.QUOTE_ALL if quote else csv.QUOTE_MINIMAL
    ).writerows(rows)
    return text.getvalue()
