"""The picture of a grid of images with labels, such as an image and its augmented versions."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnncli.arrays import Array
from cnncli.plots.figure import DPI, save_figure
from cnncli.plots.lettering import drawable_text

_CELL = 1.35  # height of an image in inches
_GAP = 0.06  # space between two images in inches
_LABEL = 1.75  # width of the labels in inches
_LETTERS = 24  # most letters in a line of a label
_LINES = 8  # most lines in a label
_MOST_PANELS = 6  # most channels of an image that are shown


@dataclass(frozen=True)
class GridRow:
    """One row of the grid.

    Attributes:
        label: Lines of text at the left of the row.
        images: Images (H, W, C) of the same shape, uint8, or float32 from 0 to 1.
    """

    label: Sequence[str]
    images: Sequence[Array]


def save_grid(path: Path, rows: Sequence[GridRow], titles: Sequence[str], note: str = "") -> None:
    """Draw a grid of images, with a label at the left of each row, into a PNG or JPEG.

    Args:
        path: File to write, in a folder that exists.
        rows: Rows of the grid, at least one, each with as many images as there are titles.
        titles: Titles of the columns.
        note: Line of text under the grid; empty for none.

    Raises:
        OSError: If the file cannot be written.
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
            # The gap is at the right of an image and below it.
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
        for piece in textwrap.wrap(drawable_text(line, 400), _LETTERS) or [""]
    ]
    return "\n".join(lines if len(lines) <= _LINES else [*lines[: _LINES - 1], "…"])


def to_picture(image: Array) -> Array:
    """Return an image with any number of channels as a picture (H, W', 3), uint8.

    One channel is shown in grey, and three as RGB. Four are shown as RGB and, beside it, the fourth
    in grey. Any other number is shown as grey images side by side, six at most.

    Args:
        image: (H, W, C), uint8, or float32 from 0 to 1.
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
    """Return a sentence on how `to_picture` shows so many channels; empty for grey and RGB."""
    if channels in (1, 3):
        return ""
    if channels == 4:
        return "4 channels: the first three as red, green and blue, the fourth in grey beside them"
    shown = f"the first {_MOST_PANELS}" if channels > _MOST_PANELS else "each"
    return f"{channels} channels: {shown} in grey, side by side"
