"""A table whose rows come one at a time, such as the epochs of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cnncli.shell.cells import pad

_GAP = "  "


def choose_columns(cells: Mapping[str, str], drop: Sequence[str], width: int) -> dict[str, int]:
    """Return the columns that fit in a line, with their widths.

    Args:
        cells: The first row's texts by their columns; later ones are to be no wider.
        drop: Columns that may go, the least valuable first.
        width: Cells of a line.
    """
    widths = {name: max(len(name), len(cell), 4) for name, cell in cells.items()}
    for name in drop:
        if sum(widths.values()) + len(_GAP) * (len(widths) - 1) < width:
            break
        widths.pop(name, None)
    return widths


def head_of_rows(widths: Mapping[str, int], line: str) -> list[str]:
    """Return the header of a table and the line below it, of a letter such as ``"─"``."""
    names = [pad(name, width, right=True) for name, width in widths.items()]
    whole = sum(widths.values()) + len(_GAP) * (len(widths) - 1)
    return [_GAP.join(names).rstrip(), line * whole]


def line_of_row(cells: Mapping[str, str], widths: Mapping[str, int]) -> str:
    """Return the line of a row; a column that it lacks stays empty."""
    texts = [pad(cells.get(name, ""), wide, right=True) for name, wide in widths.items()]
    return _GAP.join(texts).rstrip()
