"""Flat drawings that move step by step, made of boxes, lines and letters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

GROUND = "#FFFFFF"


@dataclass(frozen=True)
class Box:
    """A rectangle; lengths in pixels, colours as ``#RRGGBB``, empty for none."""

    x: float
    y: float
    width: float
    height: float
    fill: str = ""
    edge: str = ""
    thickness: float = 1
    opacity: float = 1.0  # of the fill


@dataclass(frozen=True)
class Stroke:
    """A straight line from (x, y) to (x2, y2)."""

    x: float
    y: float
    x2: float
    y2: float
    colour: str
    thickness: float = 1


@dataclass(frozen=True)
class Text:
    """One line of text; (x, y) is the left end or the middle of its base line."""

    x: float
    y: float
    text: str
    size: float
    colour: str = "#222222"
    bold: bool = False
    centred: bool = False


Shape = Box | Stroke | Text


@dataclass(frozen=True)
class Mover:
    """Shapes that are somewhere else at every step.

    Attributes:
        shapes: The shapes at the place (0, 0).
        places: (x, y) in pixels at each step.
    """

    shapes: Sequence[Shape]
    places: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Animation:
    """A drawing in steps; what comes later lies on top.

    Attributes:
        width: Width in pixels.
        height: Height in pixels.
        title: What it shows, for those who do not see it.
        still: Shapes that are always there.
        appearing: For each step, shapes that are there from it on.
        movers: Shapes that move.
        over: Shapes that are always there, on top of those that move.
        captions: For each step, shapes that are there at this step only.
        pace: Seconds of each step, a multiple of 0.01.
        pause: Seconds that the last step takes longer.
    """

    width: int
    height: int
    title: str
    still: Sequence[Shape]
    appearing: Sequence[Sequence[Shape]]
    movers: Sequence[Mover]
    over: Sequence[Shape]
    captions: Sequence[Sequence[Shape]]
    pace: float
    pause: float


def measure(text: str, size: float, *, bold: bool = False) -> float:
    """Return the width of a text in pixels."""
    return find_font(round(size), bold).getlength(text)


@cache
def find_font(size: int, bold: bool) -> FreeTypeFont:
    """Return DejaVu Sans, which comes with matplotlib, in a size in pixels."""
    from matplotlib import get_data_path
    from PIL import ImageFont

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(get_data_path(), "fonts", "ttf", name), size)
