"""Numbers of layers on stdout: for a person as aligned grids, for a program as CSV or NumPy."""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence

from cnncli.convolving.notation import format_number
from cnncli.convolving.values import Values
from cnncli.errors import CnncliError
from cnncli.shell.terminal import print_line

_MOST_ROWS = 40  # of a grid that is shown to a person
_DIGITS = 4  # of numbers that are not whole


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
    print_line(f"{title}, {values.describe()}")
    index = 0
    for number, grid in enumerate(values.grids()):
        several = len(values.shape) == 3 and values.shape[0] > 1
        lines: list[str] = []
        if len(grid) <= _MOST_ROWS and 2 * len(grid[0]) <= width:
            cells = [[format_number(value, _DIGITS) for value in row] for row in grid]
            if missing:
                for row in cells:
                    for column in range(len(row)):
                        row[column] = "." if missing(index) else row[column]
                        index += 1
            wide = max(len(cell) for row in cells for cell in row)
            lines = [" " + " ".join(cell.rjust(wide) for cell in row) for row in cells]
        if not lines or len(lines[0]) > width:
            lines = [f" {_summarize(grid)}"]
        if several:
            print_line(f" [{number}]")
        for line in lines:
            print_line(line)


def _summarize(grid: Sequence[Sequence[float]]) -> str:
    numbers = [number for row in grid for number in row]
    low, high, mean = min(numbers), max(numbers), sum(numbers) / len(numbers)
    return (
        f"from {format_number(low, _DIGITS)} to {format_number(high, _DIGITS)}, mean "
        f"{format_number(mean, _DIGITS)}; --output draws it, --format csv prints it"
    )


def print_csv(parts: Iterable[Values]) -> None:
    """Print numbers alone, a row a line, with an empty line between maps."""
    first = True
    for values in parts:
        for grid in values.grids():
            if not first:
                print_line("")
            first = False
            for row in grid:
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
