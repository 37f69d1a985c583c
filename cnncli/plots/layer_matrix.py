"""The picture of a convolution as a matrix: equal weights have equal colours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cnncli.arrays import Array
from cnncli.plots.convolution import write_number
from cnncli.plots.figure import DPI, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SIDE = 6.6  # of the matrix in inches
_KERNEL = 1.5  # width of a kernel
_MOST_CELLS = 40  # in a row or column whose numbers are written and whose cells have lines


def save_layer_matrix(
    path: Path,
    weights: Array,
    numbers: Array,
    kernels: Sequence[tuple[str, Array]],
    lines: Sequence[str],
) -> None:
    """Draw the kernels and the matrix that they become into a PNG or JPEG.

    Each weight has a colour, which it keeps wherever it stands in the matrix. White is where an
    input and an output are not connected.

    Args:
        path: File to write, in a folder that exists.
        weights: (R, C) number of the weight of each entry, counted from 0 through all kernels; -1
            for none.
        numbers: (R, C) numbers of the matrix.
        kernels: Title and (C, h, w) weights of each kernel.
        lines: Sentences under the picture.

    Raises:
        OSError: If the file cannot be written.
    """
    from matplotlib.figure import Figure

    rows, columns = weights.shape
    scale = _SIDE / max(rows, columns)
    wide, high = max(columns * scale, 0.4), max(rows * scale, 0.4)
    left = _KERNEL + 0.75
    size = left + wide, max(high, 1.8 * len(kernels))
    figure = Figure(figsize=size, dpi=DPI)
    count = max(int(weights.max()) + 1, 1)
    axes = figure.add_axes((left / size[0], 1 - high / size[1], wide / size[0], high / size[1]))
    _draw(axes, weights, numbers, count, wide / columns)
    axes.set_xlabel(f"input, {columns} values", fontsize=11)
    axes.set_ylabel(f"output, {rows} values", fontsize=11)
    top, start = size[1], 0
    for title, kernel in kernels[:4]:
        flat = kernel.reshape(-1, kernel.shape[2])
        tall = _KERNEL * len(flat) / flat.shape[1]
        tall, broad = min(tall, 3.0), _KERNEL
        box = 0.0, (top - tall - 0.3) / size[1], broad / size[0], tall / size[1]
        ids = start + np.arange(flat.size).reshape(flat.shape)
        axes = figure.add_axes(box)
        _draw(axes, ids, flat, count, broad / flat.shape[1])
        axes.set_title(title, fontsize=11, pad=5)
        top -= tall + 0.65
        start += flat.size
    bottom = 1 - high / size[1] - 0.5 / size[1]
    figure.text(0, min(bottom, top / size[1]), "\n".join(lines), ha="left", va="top", fontsize=10)
    save_figure(figure, path)


def _draw(chart: Axes, weights: Array, numbers: Array, count: int, cell: float) -> None:
    """Draw entries in the colours of their weights, and their numbers where there is room."""
    from matplotlib import colormaps

    # From dark violet to yellow, but for the palest, which would look like no connection.
    colours = colormaps["viridis"](0.95 * np.arange(count) / max(count - 1, 1))
    drawn = np.ones((*weights.shape, 3))
    connected = weights >= 0
    drawn[connected] = colours[weights[connected], :3]
    chart.imshow(drawn, interpolation="nearest", aspect="auto")
    chart.set_xticks([])
    chart.set_yticks([])
    rows, columns = weights.shape
    if max(rows, columns) > _MOST_CELLS:
        return
    words = {
        place: write_number(float(numbers[place]), 2)
        for place in zip(*np.nonzero(connected), strict=True)
    }
    longest = max(map(len, words.values()), default=1)
    size = min(12.0, 0.85 * cell * 72 / (0.64 * max(longest, 2)))
    for (row, column), word in words.items():
        light = float(drawn[row, column] @ (0.299, 0.587, 0.114)) > 0.5
        text = chart.text(
            column,
            row,
            word,
            ha="center",
            va="center",
            fontsize=size,
            color="black" if light else "white",
        )
        text.set_in_layout(False)
    chart.set_xticks(np.arange(columns + 1) - 0.5, minor=True)
    chart.set_yticks(np.arange(rows + 1) - 0.5, minor=True)
    chart.grid(which="minor", color="0.85", linewidth=0.5)
    chart.tick_params(which="minor", length=0)
