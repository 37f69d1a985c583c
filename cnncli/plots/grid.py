"""A labelled grid of pictures, such as an image and what augmentation makes of it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnncli.arrays import Array
from cnncli.plots.figure import DPI, save_figure
from cnncli.plots.lettering import drawable_names

_CELL = 1.35  # height of a picture, inches
_GAP = 0.06
_LABEL = 1.75  # width of the labels, inches
_LETTERS = 24  # of a line of a label
_LINES = 8
_MOST_PANELS = 6


@dataclass(frozen=True)
class GridRow:
    """One row: its label and its images.

    Attributes:
        label: What stands at its left, in lines.
        images: Each (H, W, C), uint8, or float32 in [0, 1]; all of one shape.
    """

    label: Sequence[str]
    images: Sequence[Array]


def save_grid(path: Path, rows: Sequence[GridRow], titles: Sequence[str], note: str = "") -> None:
    """Draw a row of pictures for each row, with its label at the left, into a PNG or JPEG.

    Args:
        path: File to write, in a folder that exists.
        rows: With as many images each as there are titles.
        titles: Of the columns.
        note: A line under the grid.

    Raises:
        OSError: The file cannot be written.
    """
    from matplotlib.figure import Figure

    pictures = [[to_picture(image) for image in row.images] for row in rows]
    widest = max(p.shape[1] / p.shape[0] for line in pictures for p in line)
    wide, high = _CELL * widest + _GAP, _CELL + _GAP
    size = _LABEL + len(titles) * wide, len(rows) * high
    figure = Figure(figsize=size, dpi=DPI)
    for number, (row, line) in enumerate(zip(rows, pictures, strict=True)):
        bottom = 1 - (number + 1) * high / size[1]
        for place, picture in enumerate(line):
            left = (_LABEL + place * wide) / size[0]
            # The gap between the pictures lies at their right and below.
            box = (left, bottom + _GAP / size[1], (wide - _GAP) / size[0], _CELL / size[1])
            axes = figure.add_axes(box)
            small = picture.shape[0] < _CELL * DPI
            axes.imshow(picture, interpolation="nearest" if small else "antialiased")
            axes.set_axis_off()
            if number == 0:
                axes.set_title(titles[place], fontsize=9, pad=4)
        middle = bottom + (_GAP + _CELL / 2) / size[1]
        text, x = _wrap(row.label), (_LABEL - 0.12) / size[0]
        figure.text(x, middle, text, ha="right", va="center", fontsize=8, linespacing=1.25)
    if note:
        figure.text(_LABEL / size[0], -0.08 / size[1], note, ha="left", va="top", fontsize=8)
    save_figure(figure, path)


def _wrap(label: Sequence[str]) -> str:
    lines = [
        piece
        for line in label
        for piece in textwrap.wrap(drawable_names([line], 400)[0][0], _LETTERS) or [""]
    ]
    return "\n".join(lines if len(lines) <= _LINES else [*lines[: _LINES - 1], "…"])


def to_picture(image: Array) -> Array:
    """Return an image of any number of channels as (H, W, 3) uint8 to look at.

    One channel is grey and three are RGB; of four, RGB and the fourth in grey beside it; of any
    other number, each in grey, side by side, six at most.
    """
    levels = np.asarray(image if image.dtype == np.uint8 else np.rint(255 * image), np.uint8)
    channels = levels.shape[2]
    if channels == 3:
        return levels
    first = 3 if channels == 4 else 0
    panels = [levels[..., :3]] if channels == 4 else []
    panels += [np.dstack([levels[..., n]] * 3) for n in range(first, min(channels, _MOST_PANELS))]
    gap = np.full((levels.shape[0], max(1, levels.shape[1] // 40), 3), 255, np.uint8)
    parts = [part for panel in panels for part in (gap, panel)][1:]
    return np.concatenate(parts, axis=1)


def describe_channels(channels: int) -> str:
    """Return how :func:`to_picture` shows that many channels; empty where it is plain."""
    if channels in (1, 3):
        return ""
    if channels == 4:
        return "4 channels: the first three as red, green and blue, the fourth in grey beside them"
    shown = f"the first {_MOST_PANELS}" if channels > _MOST_PANELS else "each"
    return f"{channels} channels: {shown} in grey, side by side"
