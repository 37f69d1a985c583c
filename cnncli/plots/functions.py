"""The picture of activation functions and their slopes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from cnncli.arrays import Array
from cnncli.plots.figure import DPI, save_figure

_COLUMNS = 4
# Okabe and Ito.
_FUNCTION, _SLOPE = "#0072B2", "#D55E00"


def save_functions(path: Path, names: Sequence[str], inputs: Array, values: Array) -> None:
    """Draw a panel for each function: its value and, broken, its slope.

    Args:
        path: PNG or JPEG file to write, in a folder that exists.
        names: F names.
        inputs: (N,) inputs, rising.
        values: (2, F, N) the values and the slopes at the inputs.

    Raises:
        OSError: If the file cannot be written.
    """
    from matplotlib.figure import Figure

    columns = min(_COLUMNS, len(names))
    rows = math.ceil(len(names) / columns)
    figure = Figure(figsize=(1.9 * columns + 0.4, 2 * rows + 0.5), dpi=DPI, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for place, axes in enumerate(grid.flat):
        if place >= len(names):
            axes.set_axis_off()
            continue
        axes.plot(inputs, values[0, place], color=_FUNCTION, linewidth=2, label="value")
        axes.plot(inputs, values[1, place], "--", color=_SLOPE, linewidth=2, label="slope")
        axes.set_title(names[place], fontsize=11)
        axes.set_ylim(-1.5, 3)
        axes.axhline(0, color="0.6", linewidth=0.8)
        axes.axvline(0, color="0.6", linewidth=0.8)
        axes.grid(color="0.92")
        axes.set_axisbelow(True)
    grid.flat[0].legend(loc="upper left", fontsize=9)
    save_figure(figure, path)
