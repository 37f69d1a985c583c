"""Pictures of heat maps over images, beside the curves that test them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnncli.arrays import Array
from cnncli.plots.figure import DPI, save_figure
from cnncli.plots.grid import to_picture
from cnncli.plots.lettering import drawable_text
from cnncli.plots.tiles import POSITIVE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# In inches: an image's width, its height at most and at least, a line of text, and gaps.
_PANEL, _HIGHEST, _LOWEST, _LINE = 2.35, 3.6, 1.75, 0.185
_LEFT, _GAP, _BAR, _CURVES, _BELOW, _TOP = 0.08, 0.15, 0.9, 1.75, 0.55, 0.35
_WIDTH = _LEFT + 2 * _PANEL + _GAP + _BAR + _CURVES + 0.4
_LONGEST = 112  # letters of a line
_OPACITY = 0.6  # of the colours over the image
# Okabe and Ito.
_OWN, _SHIFTED = "#D55E00", "#0072B2"


@dataclass(frozen=True)
class HeatRow:
    """One image with its heat map.

    Attributes:
        lines: What is written above it.
        picture: (H, W, C) uint8, or float32 from 0 to 1.
        heat: (H, W) at least 0; NaN where the network does not see the image.
        scale: What the colour bar measures.
        curve: (S + 1,) a probability after 0, 1/S, … of the pixels were removed; None for none.
        shifted: (n, S + 1) the same for shifted copies of the map; None for none.
    """

    lines: Sequence[str]
    picture: Array
    heat: Array
    scale: str
    curve: Array | None
    shifted: Array | None


def save_heat_maps(path: Path, rows: Sequence[HeatRow], title: str) -> None:
    """Draw a row for each image: the image, the heat over it, and the deletion curves.

    Args:
        path: PNG or JPEG file to write, in a folder that exists.
        rows: At least one.
        title: One line above all.

    Raises:
        OSError: If the file cannot be written.
    """
    from matplotlib.figure import Figure

    heights = [_LINE * len(row.lines) + 0.25 + _plot_height(row) + _BELOW for row in rows]
    total = _TOP + sum(heights)
    figure = Figure(figsize=(_WIDTH, total), dpi=DPI)
    figure.text(_LEFT / _WIDTH, 1, _shorten(title), fontsize=11, va="top", fontweight="bold")
    top = total - _TOP
    for row, height in zip(rows, heights, strict=True):
        text = "\n".join(_shorten(line) for line in row.lines)
        figure.text(_LEFT / _WIDTH, top / total, text, fontsize=9, va="top", linespacing=1.3)
        wide, high = _fit(row)
        upper = top - _LINE * len(row.lines) - 0.25

        def add(left: float, width: float, height: float, upper: float = upper) -> Axes:
            box = (left / _WIDTH, (upper - height) / total, width / _WIDTH, height / total)
            return figure.add_axes(box)

        shown = _draw_images(add(_LEFT, wide, high), add(_LEFT + _PANEL + _GAP, wide, high), row)
        _draw_bar(figure, add(_LEFT + _PANEL + _GAP + wide + 0.08, 0.1, high), shown, row)
        if row.curve is not None and row.shifted is not None:
            left = _WIDTH - _CURVES - 0.05
            _draw_curves(add(left, _CURVES, _plot_height(row, _PANEL)), row.curve, row.shifted)
        top -= height
    save_figure(figure, path)


def _fit(row: HeatRow) -> tuple[float, float]:
    """Return width and height of an image in inches."""
    height, width = to_picture(row.picture).shape[:2]
    scale = min(_PANEL / width, _HIGHEST / height)
    return scale * width, scale * height


def _plot_height(row: HeatRow, most: float = _HIGHEST) -> float:
    """Return the height of the curves, or of a row, in inches: that of the image within bounds."""
    return min(max(_fit(row)[1], _LOWEST), most)


def _shorten(line: str) -> str:
    return drawable_text(line, _LONGEST)


def _interpolation(row: HeatRow) -> str:
    return "nearest" if max(row.heat.shape) < _PANEL * DPI else "antialiased"


def _draw_images(picture: Axes, heat: Axes, row: HeatRow) -> Any:
    """Draw the image, and beside it in grey with the heat over it; hatch what is not seen."""
    way = "nearest" if max(row.heat.shape) < _PANEL * DPI else "antialiased"
    levels = to_picture(row.picture)
    picture.imshow(levels, interpolation=way)
    grey = levels[:, : row.heat.shape[1]].mean(axis=2)
    heat.imshow(grey, cmap="gray", vmin=0, vmax=255, interpolation=way)
    values = np.ma.masked_invalid(row.heat)
    shown = heat.imshow(
        values, cmap=POSITIVE, vmin=0, vmax=_most(row), alpha=_OPACITY, interpolation=way
    )
    unseen = np.isnan(row.heat)
    if unseen.any():
        height, width = unseen.shape
        for top, left, high, wide in _unseen_boxes(unseen):
            heat.add_patch(_hatched((left - 0.5, top - 0.5), wide, high))
        heat.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
        heat.set_title("hatched: not seen", fontsize=8, pad=3)
    for axes in (picture, heat):
        axes.set_axis_off()
    return shown


def _most(row: HeatRow) -> float:
    return float(np.nanmax(row.heat)) or 1.0


def _hatched(corner: tuple[float, float], width: float, height: float) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle(
        corner,
        width,
        height,
        facecolor="#ffffffa0",
        edgecolor="#00000050",
        hatch="///",
        linewidth=0,
    )


def _unseen_boxes(unseen: Array) -> list[tuple[int, int, int, int]]:
    """Return (top, left, height, width) of the parts around the seen rectangle."""
    height, width = unseen.shape
    rows = np.flatnonzero(~unseen.all(axis=1))
    columns = np.flatnonzero(~unseen.all(axis=0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    boxes = [
        (0, 0, top, width),
        (bottom, 0, height - bottom, width),
        (top, 0, bottom - top, left),
        (top, right, bottom - top, width - right),
    ]
    return [box for box in boxes if box[2] and box[3]]


def _draw_bar(figure: Any, axes: Axes, shown: Any, row: HeatRow) -> None:
    bar = figure.colorbar(shown, cax=axes)
    bar.solids.set_alpha(1)
    bar.set_label(row.scale, fontsize=8)
    bar.set_ticks([0, _most(row) / 2, _most(row)])
    axes.tick_params(labelsize=8)
    axes.yaxis.set_major_formatter(lambda value, place: f"{value:.2g}")


def _draw_curves(axes: Axes, curve: Array, shifted: Array) -> None:
    removed = np.linspace(0, 100, len(curve))
    for number, copy in enumerate(shifted):
        label = None if number else "shifted copies"
        axes.plot(removed, copy, color=_SHIFTED, linewidth=0.7, alpha=0.45, label=label)
    axes.plot(removed, curve, color=_OWN, linewidth=2.4, label="this map")
    axes.set_xlabel("hottest pixels removed, %", fontsize=8)
    axes.set_ylabel("probability", fontsize=8)
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 1.08 * max(1e-6, curve.max(), *(copy.max() for copy in shifted)))
    axes.tick_params(labelsize=8)
    axes.grid(color="0.9")
    # Above the curves, since what decides may lie anywhere below.
    axes.legend(
        fontsize=8, loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False,
        borderaxespad=0.1, columnspacing=1,
    )  # fmt: skip
