"""Numbers of layers on stdout: for a person as aligned grids, for a program as CSV or NumPy."""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from cnncli.convolving.notation import format_number
from cnncli.convolving.values import Values, as_list
from cnncli.errors import CnncliError
from cnncli.shell.terminal import print_line

_MOST_ROWS = 40  # of a grid that is shown to a person
_DIGITS = 4  # of numbers that are not whole
_FEWER_DIGITS = 3  # where a line would be too long


def print_values(
    title: str, values: Values, *, missing: Callable[[int], bool] | None = None
) -> None:
    """Print maps or a vector for a person, each map as a grid; where it does not fit, its range.

    Args:
        title: What the numbers are.
        values: The numbers.
        missing: Whether a dot stands in place of the number of an index; None for no dots.
    """
    width = shutil.get_terminal_size((160, 40)).columns
    rows, columns = values.shape[-2:] if len(values.shape) == 3 else (1, values.shape[0])
    print_line(f"{title}, {values.describe()}")
    size = rows * columns
    for channel, start in enumerate(range(0, len(values.numbers), size)):
        numbers = values.numbers[start : start + size]
        lines: list[str] = []
        if rows <= _MOST_ROWS and 2 * columns <= width:
            lines = _align(as_list(numbers), columns, start, missing, _DIGITS)
            if len(lines[0]) > width:
                lines = _align(as_list(numbers), columns, start, missing, _FEWER_DIGITS)
        if not lines or len(lines[0]) > width:
            lines = [f" {_summarize(numbers)}"]
        if len(values.numbers) > size:
            print_line(f" [{channel}]")
        for line in lines:
            print_line(line)


def _align(
    numbers: list[float],
    columns: int,
    start: int,
    missing: Callable[[int], bool] | None,
    digits: int,
) -> list[str]:
    """Return a grid as lines; ``start`` is the index of its first number among all."""
    cells = [
        "." if missing and missing(start + place) else format_number(number, digits)
        for place, number in enumerate(numbers)
    ]
    wide = max(map(len, cells))
    rows = [cells[first : first + columns] for first in range(0, len(cells), columns)]
    return [" " + " ".join(cell.rjust(wide) for cell in row) for row in rows]


def _summarize(numbers: Sequence[float]) -> str:
    of_numpy: Any = numbers if hasattr(numbers, "mean") else None  # there may be millions of them
    if of_numpy is not None:
        low, high, mean = map(float, (of_numpy.min(), of_numpy.max(), of_numpy.mean()))
    else:
        low, high, mean = min(numbers), max(numbers), sum(numbers) / len(numbers)
    return (
        f"from {format_number(low, _DIGITS)} to {format_number(high, _DIGITS)}, mean "
        f"{format_number(mean, _DIGITS)}; --output draws it, --format csv prints it"
    )


def print_csv(parts: Iterable[Values]) -> None:
    """Print numbers alone, a row a line, with an empty line between maps."""
    before: tuple[int, int] | None = None
    for part, values in enumerate(parts):
        for channel, row in values.rows():
            if before not in (None, (part, channel)):
                print_line("")
            before = part, channel
            sys.stdout.write(",".join(format_number(value, None) for value in row) + "\n")
    sys.stdout.flush()


def check_npy() -> None:
    """Refuse ``--format npy`` on a terminal.

    Raises:
        CnncliError: If stdout is a terminal.
    """
    if sys.stdout.isatty():
        raise CnncliError("--format npy: is no text; write it to a file: … --format npy > out.npy")


def print_npy(values: Values) -> None:
    """Write a NumPy file of float64 to stdout, (C, H, W) or (values,)."""
    import numpy as np

    file = io.BytesIO()
    np.save(file, np.asarray(values.numbers, np.float64).reshape(values.shape))
    sys.stdout.flush()
    sys.stdout.buffer.write(file.getvalue())
    sys.stdout.buffer.flush()
