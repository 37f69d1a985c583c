"""The picture of a convolution and of the layers behind it: before, kernel, after, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnncli.arrays import Array
from cnncli.plots.figure import DPI, save_figure
from cnncli.plots.lettering import drawable_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_CELLS = 12  # in a row or column of a grid whose numbers are written
# All in inches. A picture is about 9.5 wide, so that its numbers can be read on a page.
_WIDTHS = (3.4, 2.1, 3.4)
_GAP = 0.45
_BAR = 0.75  # beside a map: its colour bar with the numbers
_CELL = 0.5
_HIGHEST = 3.2  # of a panel
_TITLE = 0.34
_BETWEEN = 0.12
_MOST_DOTS = 800  # more than a panel has
_SMALLEST = 6.0  # font size of a number; smaller ones could not be read
# So many of the numbers of a map lie inside the range of colours. A few extreme ones would make
# all others look like 0.
_INSIDE = 99


@dataclass(frozen=True)
class Panel:
    """One grid of numbers or one picture.

    Attributes:
        numbers: (H, W) numbers, or (H, W, 3) colours from 0 to ``white``.
        white: Value that is drawn white, where the numbers are an image's; None for others.
        is_kernel: Whether it is a kernel, which has no bar of colours.
    """

    numbers: Array
    white: float | None = None
    is_kernel: bool = False

    @property
    def has_bar(self) -> bool:
        """Whether a bar of colours stands beside it."""
        return self.white is None and not self.is_kernel and not self.has_cells

    @property
    def has_cells(self) -> bool:
        """Whether the numbers are written."""
        return self.numbers.ndim == 2 and max(self.numbers.shape) <= MOST_CELLS


@dataclass(frozen=True)
class LayerRow:
    """What one layer does to a map.

    Attributes:
        before: What the layer reads, one below the other.
        kernel: The channels of its kernel; empty for a layer without one.
        after: The map that it makes.
        titles: What stands above each of the three.
    """

    before: Sequence[Panel]
    kernel: Sequence[Panel]
    after: Panel
    titles: tuple[str, str, str]


def save_convolution(path: Path, rows: Sequence[LayerRow], note: str = "") -> None:
    """Draw layers, a row each, into a PNG or JPEG.

    Numbers of small grids are written into their cells. A large map with negative numbers is drawn
    in red above 0 and in blue below, with white for 0; one without in grey.

    Args:
        path: File to write, in a folder that exists.
        rows: At least one row.
        note: A line under the picture; empty for none.

    Raises:
        OSError: If the file cannot be written.
    """
    from matplotlib.figure import Figure

    stacks = [(list(row.before), list(row.kernel), [row.after]) for row in rows]
    heights = [_TITLE + max(map(_stack_height, stack, _WIDTHS)) + 0.2 for stack in stacks]
    bars = [any(panel.has_bar for stack in stacks for panel in stack[n]) for n in range(3)]
    widths = [width + _BAR * bar for width, bar in zip(_WIDTHS, bars, strict=True)]
    size = sum(widths) + 2 * _GAP, sum(heights)
    figure = Figure(figsize=size, dpi=DPI)
    top = size[1]
    for row, stack, height in zip(rows, stacks, heights, strict=True):
        left = 0.0
        middle = top - _TITLE - (height - _TITLE - 0.2) / 2
        for place, (panels, width) in enumerate(zip(stack, _WIDTHS, strict=True)):
            centre = left + width / 2
            _draw_stack(figure, panels, (centre, middle), width, row.titles[place])
            left += widths[place] + _GAP
        _write_signs(figure, row, middle, widths[0])
        top -= height
    if note:
        figure.text(0, -0.05 / size[1], _drawable(note), ha="left", va="top", fontsize=10)
    save_figure(figure, path)


def _drawable(text: str) -> str:
    return drawable_text(text, 90)


def _panel_size(panel: Panel, width: float, count: int) -> tuple[float, float]:
    """Return the size of a panel in inches, one of ``count`` in a column of a width."""
    rows, columns = panel.numbers.shape[:2]
    highest = max(_HIGHEST / count, 0.9)
    if panel.has_cells:
        cell = min(_CELL, width / columns, max(highest / rows, 0.3))
        return columns * cell, rows * cell
    if rows == 1:  # a long vector
        return width, 0.35
    scale = min(width / columns, highest / rows)
    return columns * scale, max(rows * scale, 0.1)


def _stack_height(panels: Sequence[Panel], width: float) -> float:
    heights = [_panel_size(panel, width, len(panels))[1] for panel in panels]
    return sum(heights) + _BETWEEN * max(len(panels) - 1, 0)


def _draw_stack(
    figure: Figure, panels: list[Panel], centre: tuple[float, float], width: float, title: str
) -> None:
    """Draw panels below each other around a point, in inches, with a title above."""
    full_width, full_height = figure.get_size_inches()
    x, y = centre
    top = y + _stack_height(panels, width) / 2
    if panels:
        figure.text(
            x / full_width,
            (top + 0.08) / full_height,
            _drawable(title),
            ha="center",
            va="bottom",
            fontsize=11,
        )
    else:
        figure.text(
            x / full_width, y / full_height, _drawable(title), ha="center", va="center", fontsize=13
        )
    for panel in panels:
        wide, high = _panel_size(panel, width, len(panels))
        box = (x - wide / 2) / full_width, (top - high) / full_height
        axes = figure.add_axes((*box, wide / full_width, high / full_height))
        image = _draw_panel(axes, panel, wide)
        if image is not None and panel.has_bar:
            _add_bar(figure, image, _shrink(panel.numbers), (x + wide / 2, top - high, high))
        top -= high + _BETWEEN


def _draw_panel(axes: Axes, panel: Panel, wide: float) -> Any:
    """Draw a panel; return its image if it needs a bar of colours."""
    from matplotlib.colors import Normalize

    numbers = _shrink(panel.numbers)
    axes.set_xticks([])
    axes.set_yticks([])
    if panel.has_cells:
        _draw_cells(axes, numbers, wide)
        return None
    small = max(numbers.shape[:2]) < 2 * DPI
    how: dict[str, Any] = {
        "interpolation": "nearest" if small else "antialiased",
        "aspect": "auto",
    }
    if numbers.ndim == 3:
        axes.imshow(np.clip(numbers / (panel.white or 1), 0, 1), **how)
        return None
    if panel.white is not None:
        axes.imshow(numbers, cmap="gray", norm=Normalize(0, panel.white), **how)
        return None
    low, high = limits(numbers)
    return axes.imshow(
        numbers, cmap="RdBu_r" if low < 0 else "gray", norm=Normalize(low, high), **how
    )


def _shrink(numbers: Array) -> Array:
    """Return averages over blocks where there are many more numbers than dots in the picture."""
    count = max(numbers.shape[:2]) // _MOST_DOTS
    if count < 2 or min(numbers.shape[:2]) < count:
        return numbers
    height, width = (side // count for side in numbers.shape[:2])
    cut = numbers[: height * count, : width * count]
    return np.asarray(cut.reshape(height, count, width, count, *numbers.shape[2:]).mean((1, 3)))


def limits(numbers: Array) -> tuple[float, float]:
    """Return the lowest and the highest number that have a colour of their own.

    With negative numbers they are −m and m, so that 0 lies in the middle; otherwise 0 and m.
    """
    # Padding makes an edge around the image that is stronger than what is in it.
    edges = [side // 20 for side in numbers.shape]
    inner = (slice(edge, side - edge) for edge, side in zip(edges, numbers.shape, strict=True))
    size = np.abs(numbers[tuple(inner)])
    most = float(np.percentile(size, _INSIDE)) or float(np.abs(numbers).max()) or 1.0
    return (-most if numbers.min() < 0 else 0.0), most


def _draw_cells(axes: Axes, numbers: Array, wide: float) -> None:
    from matplotlib import colormaps
    from matplotlib.colors import Normalize

    most = float(np.abs(numbers).max()) or 1.0
    # Pale: the numbers are to be read.
    colours = colormaps["RdBu_r"](0.5 + 0.24 * numbers / most)
    axes.imshow(colours, interpolation="nearest", aspect="auto", norm=Normalize(0, 1))
    rows, columns = numbers.shape
    words = [[write_number(float(x), 3 if columns <= 6 else 2) for x in row] for row in numbers]
    longest = max(len(word) for row in words for word in row)
    # A digit is about 0.64 of the font size wide, an inch has 72 points, and a tenth stays free.
    size = min(14.0, 0.9 * wide / columns * 72 / (0.64 * max(longest, 2)))
    for row, line in enumerate(words if size >= _SMALLEST else []):
        for column, word in enumerate(line):
            text = axes.text(column, row, word, ha="center", va="center", fontsize=size)
            text.set_in_layout(False)
    axes.set_xticks(np.arange(columns + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(rows + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="0.55", linewidth=0.7)
    axes.tick_params(which="minor", length=0)


def write_number(number: float, digits: int = 3) -> str:
    """Return a number for a cell: whole ones in full, others with some significant digits."""
    whole = number.is_integer() and abs(number) < 1e6
    return str(int(number)) if whole else f"{number:.{digits}g}"


def _add_bar(figure: Figure, image: Any, numbers: Array, at: tuple[float, float, float]) -> None:
    """Draw the bar of colours at a panel's right; ``at`` is (left, bottom, height) in inches."""
    wide, high = figure.get_size_inches()
    left, bottom, height = at
    axes = figure.add_axes(((left + 0.08) / wide, bottom / high, 0.11 / wide, height / high))
    low, most = limits(numbers)
    beyond = numbers.max() > most, numbers.min() < low
    extend = {(True, True): "both", (True, False): "max", (False, True): "min"}.get(
        beyond, "neither"
    )
    bar = figure.colorbar(image, cax=axes, extend=extend)
    bar.set_ticks([low, 0.0, most] if low < 0 else [0.0, most])
    bar.ax.set_yticklabels([write_number(float(f"{tick:.3g}")) for tick in bar.get_ticks()])
    bar.ax.tick_params(labelsize=9)


def _write_signs(figure: Figure, row: LayerRow, middle: float, width: float) -> None:
    """Write ∗ and = between the three; the first column is ``width`` inches wide."""
    wide, high = figure.get_size_inches()
    first = width + 0.5 * _GAP
    second = first + _GAP + _WIDTHS[1]
    signs = ("∗", "=") if row.kernel else ("→", "→")
    for x, sign in zip((first, second), signs, strict=True):
        figure.text(x / wide, middle / high, sign, ha="center", va="center", fontsize=18)
