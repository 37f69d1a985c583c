"""The picture of receptive fields: what a unit can see, and what moves it."""

from __future__ import annotations

import math
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

# Top, left, height and width in pixels of the image.
Rectangle = tuple[float, float, float, float]

# Okabe and Ito: vermillion and sky blue.
_THEORY, _EFFECTIVE = "#D55E00", "#56B4E9"
_COLUMNS, _WIDTH = 3, 8.0  # panels in a row; width of the picture in inches


@dataclass(frozen=True)
class FieldPanel:
    """The fields of one unit.

    Attributes:
        title: Lines above the panel.
        gradient: (h, w) at least 0, over the part of the image that the network sees; None for
            none.
        theory: What the unit can see; None where it is not known.
        effective: What holds most of the gradient; None where there is no gradient.
    """

    title: Sequence[str]
    gradient: Array | None
    theory: Rectangle | None
    effective: Rectangle | None


def save_fields(
    path: Path, picture: Array, seen: Rectangle, panels: Sequence[FieldPanel], note: str
) -> None:
    """Draw a panel for each unit: the image in grey, the gradient in colour, two rectangles.

    Args:
        path: PNG or JPEG file to write, in a folder that exists.
        picture: (H, W, C) uint8, or float32 from 0 to 1.
        seen: The part of the picture that the network sees.
        panels: At least one.
        note: Lines under the picture.

    Raises:
        OSError: If the file cannot be written.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    columns = 2 if len(panels) == 4 else min(_COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    # With padding, what the network sees is larger than the image.
    tall, wide = max(picture.shape[0], seen[2]), max(picture.shape[1], seen[3])
    high = _WIDTH / max(columns, 2) * tall / wide
    size = (_WIDTH, rows * (min(high, _WIDTH) + 0.62) + 0.7)
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    for place, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        axes.set_axis_off()
        if place < len(panels):
            _draw_panel(axes, picture, seen, panels[place])
    lines = [
        Line2D([], [], color=_THEORY, linewidth=2, label="theoretical field"),
        Line2D([], [], color=_EFFECTIVE, linewidth=2, linestyle="--", label="effective field"),
    ]
    figure.legend(handles=lines, loc="outside upper center", ncols=2, fontsize=10, frameon=False)
    figure.supxlabel(note, fontsize=8.5)
    save_figure(figure, path)


def _draw_panel(axes: Axes, picture: Array, seen: Rectangle, panel: FieldPanel) -> None:
    height, width = picture.shape[:2]
    # Pixel 0 goes from 0 to 1, so that rectangles in pixels need no shift by a half.
    full = 255.0 if picture.dtype == np.uint8 else 1.0
    grey = 0.15 + 0.85 * picture.astype(np.float32).mean(axis=2) / full
    way = "nearest" if max(height, width) < 128 else "antialiased"
    axes.imshow(grey, cmap="gray", vmin=0, vmax=1, extent=(0, width, height, 0), interpolation=way)
    top, left, tall, wide = seen
    if panel.gradient is not None:
        extent = (left, left + wide, top + tall, top)
        colours = _colour(panel.gradient)
        axes.imshow(colours, extent=extent, interpolation="nearest")
    for rectangle, colour, style in (
        (panel.theory, _THEORY, "-"),
        (panel.effective, _EFFECTIVE, "--"),
    ):
        if rectangle is not None:
            _frame(axes, rectangle, colour, style)
    # Padding may let the seen part be larger than the image.
    margin = 0.02 * max(height, width)
    axes.set_xlim(min(0, left) - margin, max(width, left + wide) + margin)
    axes.set_ylim(max(height, top + tall) + margin, min(0, top) - margin)
    axes.set_title(
        "\n".join(drawable_text(line, 60) for line in panel.title), fontsize=9, loc="left"
    )


def _colour(gradient: Array) -> Array:
    """Return (h, w, 4) colours: the square root makes the faint rim of the field visible."""
    from matplotlib import colormaps

    strength = np.sqrt(gradient / (gradient.max() or 1.0))
    colours: Array = colormaps["plasma"](0.15 + 0.85 * strength)
    colours[..., 3] = np.clip(1.6 * strength, 0, 0.9)
    return colours


def _frame(axes: Axes, rectangle: Rectangle, colour: str, style: Any) -> None:
    from matplotlib.patches import Rectangle as Patch

    top, left, height, width = rectangle
    for wide, ink, dashes in ((3.6, "white", "-"), (2.0, colour, style)):
        axes.add_patch(
            Patch(
                (left, top), width, height,
                fill=False, edgecolor=ink, linewidth=wide, linestyle=dashes, clip_on=False,
            )
        )  # fmt: skip
