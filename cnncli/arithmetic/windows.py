"""Every window of a layer: the cells that each output value is computed from; light.

A window slides over a plane of cells: the pixels of the input and what the layer puts around them.
For a transposed convolution this is the picture of Dumoulin and Visin: stride - 1 zeros between two
pixels, zeros around them, and a window that moves by 1. It gives the same output as adding the
kernel to the output once for each pixel, if the kernel is turned by 180°.

Source: V. Dumoulin, F. Visin (2016), A guide to convolution arithmetic for deep learning,
arXiv:1603.07285.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from cnncli.arithmetic.convolution import Axis, Size, SlidingWindow
from cnncli.choices import format_size
from cnncli.errors import CnncliError

# What a person can still watch and tell apart: the first layer of a network on 28 x 28 pixels.
MOST_CELLS = 40  # in each direction, of the plane and of the output
MOST_STEPS = 784
_EASY_CELLS = 16  # of an input that is proposed in place of a larger one

CellKind = Literal["input", "padding", "zero", "output padding", "outside"]
# Where a cell is of one kind by its row and of another by its column, the first of these counts.
_RANKS: tuple[CellKind, ...] = ("outside", "output padding", "padding", "zero", "input")


@dataclass(frozen=True)
class Line:
    """The cells of a plane along one direction, and the windows over them.

    Attributes:
        axis: The window along this direction.
        size: Size of the input in pixels.
    """

    axis: Axis
    size: int

    @property
    def pads(self) -> tuple[int, int]:
        """Cells of padding (before, after); below 0 where pixels are left out instead."""
        before, after = self.axis.pads(self.size)
        if self.axis.kind == "transposed":
            return self.axis.extent - 1 - before, self.axis.extent - 1 - after
        return before, after

    @property
    def pace(self) -> int:
        """Cells from one pixel of the input to the next: 1 where no zeros are put between them."""
        return self.axis.stride if self.axis.kind == "transposed" else 1

    @property
    def step(self) -> int:
        """Cells from one window to the next."""
        return 1 if self.axis.kind == "transposed" else self.axis.stride

    @property
    def first(self) -> int:
        """The cell of the input's first pixel."""
        return max(self.pads[0], 0)

    @property
    def stretched(self) -> int:
        """Cells from the input's first pixel to its last, both included."""
        return (self.size - 1) * self.pace + 1

    @property
    def start(self) -> int:
        """The first cell of the first window."""
        return self.first - self.pads[0]

    @cached_property
    def outputs(self) -> int:
        """Number of windows."""
        return self.axis.output(self.size)

    @property
    def length(self) -> int:
        """Number of cells.

        In ceil mode, cells outside of the padded input count too if the last window reaches them.
        """
        padded = self.stretched + max(self.pads[1] + self.axis.output_padding, 0)
        last = self.start + (self.outputs - 1) * self.step + self.axis.extent
        return max(self.first + padded, last)

    def kind(self, cell: int) -> CellKind:
        """Return what stands in a cell."""
        place, after = cell - self.first, max(self.pads[1], 0)
        if 0 <= place < self.stretched:
            return "zero" if place % self.pace else "input"
        if place < self.stretched + after:
            return "padding"
        return "output padding" if self.axis.kind == "transposed" else "outside"

    def window(self, output: int) -> tuple[int, ...]:
        """Return the cells that the output of this index is computed from, one for each tap."""
        start, dilation = self.start + output * self.step, self.axis.dilation
        return tuple(start + tap * dilation for tap in range(self.axis.kernel))

    def pixels(self, output: int) -> tuple[int, ...]:
        """Return the indices of the input's pixels that the output of this index depends on."""
        inside = [cell for cell in self.window(output) if self.kind(cell) == "input"]
        return tuple((cell - self.first) // self.pace for cell in inside)

    @cached_property
    def unseen(self) -> tuple[int, ...]:
        """The cells that no window reaches, in order."""
        seen = {cell for output in range(self.outputs) for cell in self.window(output)}
        return tuple(cell for cell in range(self.length) if cell not in seen)

    @property
    def unseen_pixels(self) -> tuple[int, ...]:
        """The indices of the input's pixels that no window reaches, in order."""
        inside = [cell for cell in self.unseen if self.kind(cell) == "input"]
        return tuple((cell - self.first) // self.pace for cell in inside)


@dataclass(frozen=True)
class Frame:
    """One position of the window.

    Attributes:
        number: Number of the position, from 1.
        output: The output value that is computed there, (row, column) from 0.
        rows: Rows of the plane that the window touches, one for each row of the kernel.
        columns: Columns of the plane that it touches.
    """

    number: int
    output: tuple[int, int]
    rows: tuple[int, ...]
    columns: tuple[int, ...]


@dataclass(frozen=True)
class Plane:
    """The plane that a window slides over.

    Attributes:
        rows: Its cells from top to bottom.
        columns: Its cells from left to right.
    """

    rows: Line
    columns: Line

    @property
    def output(self) -> Size:
        """Size of the output, (height, width) in pixels."""
        return self.rows.outputs, self.columns.outputs

    def kind(self, row: int, column: int) -> CellKind:
        """Return what stands in a cell."""
        return min(self.rows.kind(row), self.columns.kind(column), key=_RANKS.index)

    def is_unseen(self, row: int, column: int) -> bool:
        """Return whether no window reaches a cell."""
        return row in self.rows.unseen or column in self.columns.unseen

    def frames(self) -> Iterator[Frame]:
        """Yield all positions of the window, row by row."""
        height, width = self.output
        for number in range(height * width):
            row, column = divmod(number, width)
            yield Frame(
                number + 1, (row, column), self.rows.window(row), self.columns.window(column)
            )


def lay_out(window: SlidingWindow, size: Size) -> Plane:
    """Return the plane that a window slides over.

    Args:
        window: The window.
        size: Size of the input, (height, width) in pixels.

    Raises:
        CnncliError: If torch would refuse this window on this input.
    """
    window.output(size)
    rows, columns = window.axes
    return Plane(Line(rows, size[0]), Line(columns, size[1]))


def check_drawable(window: SlidingWindow, size: Size) -> None:
    """Refuse a window whose positions are too many to be drawn one by one.

    Args:
        window: The window.
        size: Size of the input, (height, width) in pixels.

    Raises:
        CnncliError: With a smaller input that shows the same, if there is one; or if torch would
            refuse this window on this input.
    """
    plane = lay_out(window, size)
    cells = max(plane.rows.length, plane.columns.length, *plane.output)
    steps = plane.output[0] * plane.output[1]
    if cells <= MOST_CELLS and steps <= MOST_STEPS:
        return
    fault = (
        f"--animate: {cells} cells in a row are too many to draw, at most {MOST_CELLS}"
        if cells > MOST_CELLS
        else f"--animate: {steps} steps are too many to watch, at most {MOST_STEPS}"
    )
    height, width = (_shrink(line) for line in (plane.rows, plane.columns))
    if height is None or width is None:
        raise CnncliError(f"{fault}; use smaller numbers")
    smaller = format_size((height, width))
    raise CnncliError(f"{fault}; use a smaller input: {smaller} shows the same kernel and stride")


def _shrink(line: Line) -> int | None:
    """Return a smaller input on which the windows end in the same way; None if there is none."""
    for most in (_EASY_CELLS, MOST_CELLS):
        # With the same remainder by the stride, a rounding drops as many pixels.
        first = min(line.size, most)
        first -= (first - line.size) % line.step
        for size in range(first, 0, -line.step):
            small = Line(line.axis, size)
            if not line.axis.why_refused(size) and max(small.length, small.outputs) <= most:
                return size
    return None
