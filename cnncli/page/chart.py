"""Charts of lines as the numbers of an SVG; the template writes them down."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

# The drawing's size, and where in it the lines lie, in units of the SVG.
WIDTH, HEIGHT = 440, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 66, 12, 12, 42
_LETTER, _ROW = 7, 13  # width of a letter of a count, and height of a row of them
_MOST_POINTS = 400  # of a line; more cannot be told apart at this size
_MOST_CORNERS = 90  # of each side of a band


@dataclass(frozen=True)
class Line:
    """A line of a chart.

    Attributes:
        name: What the legend calls it.
        x: The points' places.
        y: The points' values; NaN leaves a point out.
        note: What the legend says behind the name, such as an area.
        dots: Whether each point is marked.
        joined: Whether the points are joined.
        style: Number of its colour and dashes; None draws it as a thin line of reference.
        solid: Whether a line of reference is solid, and not dotted.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    note: str = ""
    dots: bool = False
    joined: bool = True
    style: int | None = 0
    solid: bool = False


@dataclass(frozen=True)
class Area:
    """What a band of a chart covers.

    Attributes:
        x: Places, ascending.
        low: Where it begins at each place.
        high: Where it ends.
        style: Number of its colour.
    """

    x: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    style: int


@dataclass(frozen=True)
class Axis:
    """An axis of a chart.

    Attributes:
        label: What is written at it.
        low: Its first value.
        high: Its last value, above the first.
        whole: Whether its values are whole numbers.
    """

    label: str
    low: float = 0.0
    high: float = 1.0
    whole: bool = False

    def ticks(self) -> list[float]:
        """Return about five round values on the axis."""
        step = 10 ** math.floor(math.log10((self.high - self.low) / 4))
        step = next(step * k for k in (1, 2, 2.5, 5, 10) if (self.high - self.low) / (step * k) < 6)
        step = max(1, math.ceil(step)) if self.whole else step
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]


@dataclass(frozen=True)
class Chart:
    """A chart, ready to be written down.

    Attributes:
        title: Its heading.
        told: What it shows, in a sentence; a screen reader reads it in place of the drawing.
        x: The axis from left to right.
        y: The axis from below to above.
        lines: Its lines, those of reference first.
        mark: Place on the x axis that a vertical line marks; None for none.
        marked: What that line means.
        counts: Places on the x axis with a text that stands just above the axis.
        areas: Bands behind the lines.
        picked: Style of the one band that is shown at first, where all of them would hide each
            other and the legend chooses one; None shows all.
    """

    title: str
    told: str
    x: Axis
    y: Axis
    lines: Sequence[Line]
    mark: float | None = None
    marked: str = ""
    counts: Sequence[tuple[float, str]] = ()
    areas: Sequence[Area] = ()
    picked: int | None = None
    size: tuple[int, int] = field(default=(WIDTH, HEIGHT))

    def raised_counts(self) -> list[tuple[float, float, str]]:
        """Return the counts with their places in the drawing; those that would touch are raised."""
        found: list[tuple[float, float, str]] = []
        ends: list[float] = []  # of the texts of each row, from below
        for place, text in sorted(self.counts):
            x, half = self.at_x(place), _LETTER * (len(text) + 1) / 2
            row = next((row for row, end in enumerate(ends) if end <= x - half), len(ends))
            ends[row : row + 1] = [x + half]
            found.append((x, self.box[3] - 5 - _ROW * row, text))
        return found

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of the area of the lines."""
        return _LEFT, _TOP, WIDTH - _RIGHT, HEIGHT - _BOTTOM

    def at_x(self, value: float) -> float:
        """Return where a value of the x axis lies in the drawing."""
        left, _, right, _ = self.box
        share = (value - self.x.low) / (self.x.high - self.x.low)
        return round(left + share * (right - left), 1)

    def at_y(self, value: float) -> float:
        """Return where a value of the y axis lies in the drawing."""
        _, top, _, bottom = self.box
        share = (value - self.y.low) / (self.y.high - self.y.low)
        return round(bottom - share * (bottom - top), 1)

    def outline(self, area: Area) -> list[tuple[float, float]]:
        """Return the corners of a band in the drawing, thinned to what can be seen."""
        last = len(area.x) - 1
        chosen = sorted({round(n * last / _MOST_CORNERS) for n in range(_MOST_CORNERS + 1)})
        there = [(self.at_x(area.x[n]), self.at_y(area.high[n])) for n in chosen]
        back = [(self.at_x(area.x[n]), self.at_y(area.low[n])) for n in reversed(chosen)]
        return list(dict.fromkeys([*there, *back]))

    def points(self, line: Line) -> list[tuple[float, float]]:
        """Return a line's points in the drawing, thinned to what can be seen."""
        found = [
            (self.at_x(x), self.at_y(y))
            for x, y in zip(line.x, line.y, strict=True)
            if math.isfinite(x) and math.isfinite(y)
        ]
        if line.dots:
            return found
        corners = [
            point
            for n, point in enumerate(found)
            if not 0 < n < len(found) - 1 or not _is_straight(*found[n - 1 : n + 2])
        ]
        if len(corners) <= _MOST_POINTS:
            return corners
        step = (len(corners) - 1) / (_MOST_POINTS - 1)
        return [corners[round(n * step)] for n in range(_MOST_POINTS)]


def _is_straight(
    before: tuple[float, float], point: tuple[float, float], after: tuple[float, float]
) -> bool:
    """Return whether a point lies between its neighbours on a horizontal or vertical line."""
    return before[0] == point[0] == after[0] or before[1] == point[1] == after[1]


def axis_of(label: str, values: Sequence[float], *, from_zero: bool = False) -> Axis:
    """Return an axis that holds all finite values, with round ends.

    Args:
        label: What is written at it.
        values: The values, at least one of them finite.
        from_zero: Whether the axis begins at 0.
    """
    known = [value for value in values if math.isfinite(value)]
    low, high = (0.0 if from_zero else min(known)), max(known)
    if low == high:
        low, high = (low - 0.5, high + 0.5) if not from_zero else (0.0, high or 1.0)
    step = 10 ** math.floor(math.log10((high - low) / 4))
    return Axis(label, math.floor(low / step) * step, math.ceil(high / step) * step)
