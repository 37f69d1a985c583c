"""The picture of what a shift of the image changes, layer by layer."""

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

_LINE, _OTHER = "#0072B2", "#D55E00"  # Okabe and Ito


@dataclass(frozen=True)
class ShiftRows:
    """What the upper part shows, L layers by S shifts.

    Attributes:
        names: L names.
        jumps: L jumps in pixels; None for a layer without positions.
        values: (L, S) relative differences; NaN where there is none.
        interior: (L, S) whether the border was left out.
    """

    names: Sequence[str]
    jumps: Sequence[int | None]
    values: Array
    interior: Array


def save_shifts(
    path: Path, rows: ShiftRows, probabilities: Array, same: Array, answer: str, note: str
) -> None:
    """Draw the differences of the layers as colours, and the probability of the answer as a line.

    Args:
        path: PNG or JPEG file to write, in a folder that exists.
        rows: The differences for shifts of 1 to S pixels.
        probabilities: (S + 1,) of the class that the image is given, for shifts of 0 to S pixels.
        same: (S + 1,) whether that class is still the answer.
        answer: Name of the class.
        note: Lines under the picture.

    Raises:
        OSError: If the file cannot be written.
    """
    from matplotlib.figure import Figure

    count = len(rows.names)
    heights = [0.24 * count + 0.3, 1.7]
    figure = Figure(figsize=(8, sum(heights) + 1.5), dpi=DPI, layout="constrained")
    if count:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=heights)
        _draw_rows(figure, upper, rows)
    else:
        lower = figure.subplots()
    shifts = np.arange(len(probabilities))
    lower.plot(shifts, probabilities, color=_LINE, linewidth=1.8, marker="o", label="same answer")
    if not same.all():
        lower.plot(
            shifts[~same], probabilities[~same], "X", color=_OTHER, markersize=10,
            label="another answer",
        )  # fmt: skip
    lower.set_ylim(-0.05, 1.05)
    lower.set_xlim(-0.5, len(probabilities) - 0.5)
    lower.set_xticks(shifts)
    lower.set_ylabel("probability", fontsize=10)
    lower.set_xlabel("shift to the right in pixels", fontsize=10)
    lower.set_title(drawable_text(f"answer: {answer}", 60), fontsize=10)
    lower.grid(color="0.9")
    lower.legend(fontsize=9, loc="best")
    figure.supxlabel(note, fontsize=9)
    save_figure(figure, path)


def _draw_rows(figure: Any, axes: Axes, rows: ShiftRows) -> None:
    from matplotlib import colormaps

    count, shifts = rows.values.shape
    most = max(float(np.nanmax(rows.values, initial=0)), 1e-3)
    extent = (0.5, shifts + 0.5, count - 0.5, -0.5)
    colours = colormaps["viridis"].with_extremes(bad="0.85")
    shown = axes.imshow(
        np.ma.masked_invalid(rows.values), cmap=colours, vmin=0, vmax=most, aspect="auto",
        extent=extent, interpolation="nearest",
    )  # fmt: skip
    for layer, shift in np.ndindex(count, shifts):
        jump = rows.jumps[layer]
        if jump is not None and (shift + 1) % jump == 0:
            axes.scatter(shift + 1, layer, s=34, c="white", edgecolors="black", linewidths=1)
        if not rows.interior[layer, shift]:
            axes.plot([shift + 0.55, shift + 0.8], [layer + 0.42, layer + 0.1], color="white", lw=1)
    axes.set_yticks(range(count))
    names = [drawable_text(name, 30) for name in rows.names]
    labels = [
        name if jump is None else f"{name}  (jump {jump})"
        for name, jump in zip(names, rows.jumps, strict=True)
    ]
    axes.set_yticklabels(labels, fontsize=9)
    axes.tick_params(axis="x", labelbottom=False)
    bar = figure.colorbar(shown, ax=axes, pad=0.01, aspect=25)
    bar.set_label("relative difference", fontsize=9)
    bar.ax.tick_params(labelsize=8)
