"""The picture of images that a classifier gets wrong."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cnncli.arrays import Array
from cnncli.plots.figure import DPI, save_figure
from cnncli.plots.lettering import drawable_text

# In inches.
_SIDE = 1.55  # of the square in which an image is shown
_GAP = 0.1
_LINE = 0.15  # a line of text
_TITLE = 0.35
_COLUMNS = 5
_LINES = 4  # true class, predicted class, probability, file
_LETTERS = 24  # most narrow letters in a line


@dataclass(frozen=True)
class MistakePicture:
    """One image that was classified wrongly.

    Attributes:
        image: (H, W, 3) uint8.
        target: Name of its class.
        label: Name of the class that was predicted.
        probability: Probability of the predicted class.
        name: Name of the file.
    """

    image: Array
    target: str
    label: str
    probability: float
    name: str


def save_mistakes(
    path: Path, mistakes: Sequence[MistakePicture], title: str, *, word: str = "true"
) -> None:
    """Draw mistakes in a grid, each with its class, the predicted class and the file's name.

    Args:
        path: PNG or JPEG file to write, in a folder that exists.
        mistakes: At least one.
        title: One line above the grid.
        word: What stands in front of an image's class.

    Raises:
        OSError: If the file cannot be written.
    """
    from matplotlib.figure import Figure

    columns = min(_COLUMNS, len(mistakes))
    rows = math.ceil(len(mistakes) / columns)
    step = _SIDE + _LINES * _LINE + _GAP
    wide, high = columns * (_SIDE + _GAP), _TITLE + rows * step
    figure = Figure(figsize=(wide, high), dpi=DPI)
    figure.text(0, 1, drawable_text(title, 110), fontsize=10, va="top")
    for number, mistake in enumerate(mistakes):
        row, column = divmod(number, columns)
        left, top = column * (_SIDE + _GAP), _TITLE + row * step
        box = left / wide, 1 - (top + _SIDE) / high, _SIDE / wide, _SIDE / high
        axes = figure.add_axes(box)
        small = max(mistake.image.shape[:2]) < _SIDE * DPI
        axes.imshow(mistake.image, interpolation="nearest" if small else "antialiased")
        axes.set_anchor("S")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set(color="0.6", linewidth=0.6)  # an image may be as white as the page
        lines = (
            f"{word}: {_cut(mistake.target, _LETTERS - len(word) - 2)}",
            f"\N{RIGHTWARDS ARROW} {_cut(mistake.label, _LETTERS - 2)}",
            f"{mistake.probability:.4f}",
            _cut(mistake.name, _LETTERS),
        )
        y = 1 - (top + _SIDE + 0.04) / high
        figure.text(left / wide, y, "\n".join(lines), fontsize=7.5, va="top", linespacing=1.2)
    save_figure(figure, path)


def _cut(text: str, letters: int) -> str:
    """Return a text without its middle where it is wider than so many narrow letters."""
    width = sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)
    return drawable_text(text, letters if width <= letters else letters * len(text) // width)
