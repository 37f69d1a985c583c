"""The animation of a window that slides over its input and fills the output, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path

from cnncli.arithmetic.convolution import Size, SlidingWindow
from cnncli.arithmetic.windows import Plane, lay_out
from cnncli.files import write_atomically
from cnncli.plots.animated_gif import make_gif
from cnncli.plots.animated_svg import make_svg
from cnncli.plots.animation import Animation, Box, Mover, Shape, Stroke, Text, measure
from cnncli.plots.sliding_text import entitle, label_plane, list_formulas, list_notes, times

_WIDTH, _MARGIN, _GAP = 800, 24, 56  # in pixels
_LARGEST_CELL, _SMALLEST_CELL, _HIGHEST = 64, 6, 560
_LEAST_LETTERS = 10  # numbers that would be smaller are left out
_BIG, _MIDDLE, _SMALL = 22, 19, 17  # letters
_INK, _PALE, _LINE = "#222222", "#5A5A5A", "#A9A9A9"
# Blue, orange and green after Okabe and Ito: colour-blind readers tell them apart.
_FILLS = {
    "input": "#CFE3F5",
    "padding": "#FFFFFF",
    "zero": "#EBEBEB",
    "output padding": "#E6D9EF",
    "outside": "",
    "never seen": "#CCCCCC",
}
_WINDOW, _OUTLINE, _FILLED = "#E69F00", "#C44E00", "#BFE5D6"
_OVER = 0.5  # opacity of the window
_PACE, _PAUSE = 0.5, 1.5  # seconds of a step, and how much longer the last one is shown
# Seconds that all steps may take together at that pace; more steps are shown faster.
_LONGEST, _FASTEST = 32.0, 0.04


def save_sliding_window(path: Path, window: SlidingWindow, size: Size) -> tuple[int, float]:
    """Draw every position of a window, and the output value that it fills, into a GIF or SVG.

    Args:
        path: File to write, in a folder that exists; an SVG if its name ends so, else a GIF.
        window: The window.
        size: Size of the input, (height, width) in pixels.

    Returns:
        The number of steps, and the seconds for which each is shown.

    Raises:
        CnncliError: If torch would refuse this window on this input, or the file cannot be
            written.
    """
    animation = draw_sliding_window(window, size)
    is_svg = path.suffix.lower() == ".svg"
    content = make_svg(animation).encode() if is_svg else make_gif(animation)
    write_atomically(path, lambda part: part.write_bytes(content))
    return len(animation.captions), animation.pace


def draw_sliding_window(window: SlidingWindow, size: Size) -> Animation:
    """Return the animation of a window: a step for each output value, row by row.

    Args:
        window: The window.
        size: Size of the input, (height, width) in pixels.

    Raises:
        CnncliError: If torch would refuse this window on this input.
    """
    plane = lay_out(window, size)
    title = entitle(window, size)
    still: list[Shape] = []
    y = _write_lines(still, [title], _MARGIN, bold=True)
    y = _write_lines(still, list_formulas(window, size), y + 4)
    labels = label_plane(plane), f"output {times(plane.output)}"
    grids = (plane.rows.length, plane.columns.length), plane.output
    cell, left, right = _place_grids(grids, labels)
    top = y + 48
    still += [
        Text(x, top - 10, text, _MIDDLE) for x, text in zip((left, right), labels, strict=True)
    ]
    still += _draw_plane(plane, left, top, cell)
    still += [
        Box(right + column * cell, top + row * cell, cell, cell, "#FFFFFF", _LINE)
        for row, column in product(*map(range, plane.output))
    ]
    y = top + max(grids[0][0], grids[1][0]) * cell + 38
    steps = plane.output[0] * plane.output[1]
    appearing, captions = _draw_outputs(plane, right, top, cell, y)
    y = _write_lines(still, list_notes(window, plane), y + 12, size=_MIDDLE)
    y = _draw_legend(still, plane, y + 14)
    pace = min(_PACE, max(_FASTEST, int(100 * _LONGEST / steps) / 100))
    return Animation(
        width=_WIDTH,
        height=round(y + _MARGIN),
        title=" ".join(title.split()),
        still=still,
        appearing=appearing,
        movers=_make_movers(plane, left, right, top, cell),
        over=[] if window.kind == "pool" else _write_zeros(plane, left, top, cell),
        captions=captions,
        pace=pace,
        pause=_PAUSE,
    )


def _write_lines(
    shapes: list[Shape], lines: Sequence[str], y: float, *, size: int = _BIG, bold: bool = False
) -> float:
    """Add lines of text, broken where they are too long, and return where they end."""
    for line in lines:
        text = ""
        for word in line.split(" "):
            longer = f"{text} {word}".strip()
            if text and measure(longer, size, bold=bold) > _WIDTH - 2 * _MARGIN:
                y += 1.4 * size
                shapes.append(Text(_MARGIN, y, text, size, _INK, bold))
                longer = word
            text = longer
        y += 1.4 * size
        shapes.append(Text(_MARGIN, y, text, size, _INK, bold))
    return y


def _place_grids(grids: tuple[Size, Size], labels: tuple[str, str]) -> tuple[int, float, float]:
    """Return the side of a cell and where the two grids begin, side by side in the middle."""
    wide = [measure(label, _MIDDLE) for label in labels]
    for cell in range(_LARGEST_CELL, _SMALLEST_CELL - 1, -1):
        widths = [max(grid[1] * cell, w) for grid, w in zip(grids, wide, strict=True)]
        whole = sum(widths) + _GAP
        if whole <= _WIDTH - 2 * _MARGIN and max(grids[0][0], grids[1][0]) * cell <= _HIGHEST:
            break
    left = max(_MARGIN, (_WIDTH - whole) // 2)
    return cell, left, round(left + widths[0] + _GAP)


def _draw_plane(plane: Plane, left: float, top: float, cell: int) -> list[Shape]:
    shapes: list[Shape] = []
    for row, column in product(range(plane.rows.length), range(plane.columns.length)):
        x, y, kind = left + column * cell, top + row * cell, plane.kind(row, column)
        if kind == "outside":
            continue
        unseen = plane.is_unseen(row, column)
        shapes.append(Box(x, y, cell, cell, _FILLS["never seen" if unseen else kind], _LINE))
        if unseen:
            shapes += _cross(x, y, cell)
    return shapes


def _write_zeros(plane: Plane, left: float, top: float, cell: int) -> list[Shape]:
    """Return a 0 for each cell that is no pixel, if there is room for it."""
    size = min(0.4 * cell, _BIG)
    if size < 0.6 * _LEAST_LETTERS:
        return []
    return [
        _centre("0", left + column * cell, top + row * cell, cell, size, _PALE)
        for row, column in product(range(plane.rows.length), range(plane.columns.length))
        if plane.kind(row, column) not in ("input", "outside") and not plane.is_unseen(row, column)
    ]


def _cross(x: float, y: float, side: float) -> list[Shape]:
    near, far = 0.2 * side, 0.8 * side
    thick = 2 if side > 20 else 1
    return [
        Stroke(x + near, y + near, x + far, y + far, _PALE, thick),
        Stroke(x + near, y + far, x + far, y + near, _PALE, thick),
    ]


def _centre(text: str, x: float, y: float, cell: float, size: float, colour: str) -> Text:
    # Digits of DejaVu Sans are 0.73 of the size high.
    return Text(x + cell / 2, round(y + cell / 2 + 0.36 * size), text, size, colour, centred=True)


def _draw_outputs(
    plane: Plane, left: float, top: float, cell: int, caption: float
) -> tuple[list[list[Shape]], list[list[Shape]]]:
    """Return for each step the output cell that stays, and what is written at that step only."""
    steps = plane.output[0] * plane.output[1]
    letters = min(0.5 * cell, cell * 0.82 / measure("0" * len(str(steps)), 100) * 100)
    appearing: list[list[Shape]] = []
    captions: list[list[Shape]] = []
    for frame in plane.frames():
        row, column = frame.output
        x, y = left + column * cell, top + row * cell
        number: list[Shape] = []
        if letters >= _LEAST_LETTERS:
            number.append(_centre(str(frame.number), x, y, cell, int(letters), _INK))
        appearing.append([Box(x, y, cell, cell, _FILLED, _LINE), *number])
        text = f"step {frame.number} of {steps}: output row {row + 1}, column {column + 1}"
        captions.append([Text(_MARGIN, caption, text, _BIG, _INK, bold=True), *number])
    return appearing, captions


def _make_movers(plane: Plane, left: float, right: float, top: float, cell: int) -> list[Mover]:
    """Return the window over the plane, and the mark of the output cell that it fills."""
    rows, columns = plane.rows, plane.columns
    taps = product(rows.window(0), columns.window(0))
    shapes: list[Shape] = [
        Box((column - columns.start) * cell, (row - rows.start) * cell, cell, cell,
            _WINDOW, _OUTLINE, 1, _OVER)
        for row, column in taps
    ]  # fmt: skip
    thick = max(2, min(4, cell // 8))
    sides = columns.axis.extent * cell, rows.axis.extent * cell
    shapes.append(Box(0, 0, *sides, edge=_OUTLINE, thickness=thick))
    places, marks = [], []
    for frame in plane.frames():
        places.append((left + frame.columns[0] * cell, top + frame.rows[0] * cell))
        marks.append((right + frame.output[1] * cell, top + frame.output[0] * cell))
    mark = Box(0, 0, cell, cell, _WINDOW, _OUTLINE, thick, _OVER)
    return [Mover(shapes, places), Mover([mark], marks)]


def _draw_legend(shapes: list[Shape], plane: Plane, y: float) -> float:
    """Add what the colours mean, for those that occur, and return where it ends."""
    cells = list(product(range(plane.rows.length), range(plane.columns.length)))
    kinds = {plane.kind(*cell) for cell in cells if not plane.is_unseen(*cell)}
    words = {
        "input": "input",
        "padding": "padding",
        "zero": "zero between pixels",
        "output padding": "output padding",
    }
    if plane.rows.axis.kind == "transposed":
        words["padding"] = "zero around"
    entries = [(words[kind], _FILLS[kind]) for kind in words if kind in kinds]
    if any(plane.is_unseen(*cell) for cell in cells):
        entries.append(("never seen", _FILLS["never seen"]))
    x, side = float(_MARGIN), 20
    y += side
    for word, fill in [("window", ""), *entries, ("output", _FILLED)]:
        width = side + 7 + measure(word, _SMALL)
        if x + width > _WIDTH - _MARGIN:
            x, y = float(_MARGIN), y + 1.5 * side
        if fill:
            shapes.append(Box(x, y - side + 4, side, side, fill, _LINE))
        else:
            shapes.append(Box(x, y - side + 4, side, side, _WINDOW, _OUTLINE, 2, _OVER))
        if word == "never seen":
            shapes += _cross(x, y - side + 4, side)
        shapes.append(Text(x + side + 7, y, word, _SMALL))
        x += width + 22
    return y + 4
