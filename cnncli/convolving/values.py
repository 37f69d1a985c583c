"""Numbers with a shape: the maps or the vector that one layer hands to the next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cnncli.arithmetic.layers import format_shape


@dataclass(frozen=True)
class Values:
    """The values between two layers.

    Attributes:
        shape: (C, H, W) for maps, (values,) for a vector.
        numbers: C·H·W numbers row by row, channel by channel. A list of int and float, which stay
            exact as long as all are whole; or a flat NumPy array of float64 where there are many.
    """

    shape: tuple[int, ...]
    numbers: Sequence[float]

    def grids(self) -> list[list[list[float]]]:
        """Return a list of rows for each channel; a vector is one row."""
        rows, columns = self.shape[-2:] if len(self.shape) == 3 else (1, self.shape[0])
        numbers = as_list(self.numbers)
        cut = [numbers[start : start + columns] for start in range(0, len(numbers), columns)]
        return [cut[start : start + rows] for start in range(0, len(cut), rows)]

    def rows(self) -> Iterator[tuple[int, list[float]]]:
        """Yield each row with the number of its channel; a vector is one row."""
        rows, columns = self.shape[-2:] if len(self.shape) == 3 else (1, self.shape[0])
        for number, start in enumerate(range(0, len(self.numbers), columns)):
            yield number // rows, as_list(self.numbers[start : start + columns])

    def place(self, index: int) -> str:
        """Return where a number stands as NumPy writes it, ``[row,column]`` or ``[value]``.

        The channel stands in front where there are several. All are counted from 0.
        """
        if len(self.shape) == 1:
            return f"[{index}]"
        channels, height, width = self.shape
        channel, pixel = divmod(index, height * width)
        row, column = divmod(pixel, width)
        return f"[{channel},{row},{column}]" if channels > 1 else f"[{row},{column}]"

    def describe(self) -> str:
        """Return the shape for a person: ``5x5``, ``3x5x5`` or ``12 values``."""
        if len(self.shape) == 1:
            return f"{self.shape[0]} values" if self.shape[0] != 1 else "1 value"
        return format_shape(self.shape[1:] if self.shape[0] == 1 else self.shape)


def as_list(numbers: Sequence[float]) -> list[float]:
    """Return numbers as a list of Python's int and float."""
    if isinstance(numbers, list):
        return numbers
    convert = getattr(numbers, "tolist", None)
    return convert() if convert else list(numbers)


def nest(values: Values) -> list[object]:
    """Return values as nested lists of their shape."""
    return list(as_list(values.numbers)) if len(values.shape) == 1 else list(values.grids())


def stack(grids: Sequence[Sequence[Sequence[float]]]) -> Values:
    """Return grids of one size, a list of rows for each channel, as values (C, H, W)."""
    shape = len(grids), len(grids[0]), len(grids[0][0])
    return Values(shape, [number for grid in grids for row in grid for number in row])
