"""What stands in words around the animation of a sliding window."""

from __future__ import annotations

from collections.abc import Sequence

from cnncli.arithmetic.convolution import Size, SlidingWindow
from cnncli.arithmetic.formula import describe_unseen, fill_in
from cnncli.arithmetic.windows import Plane

_TIED = "\N{NO-BREAK SPACE}"
_NAMES = {"conv": "Convolution", "transposed": "Transposed convolution", "pool": "Pooling"}


def times(pair: Size) -> str:
    """Return a size as text: ``"5×4"``."""
    return f"{pair[0]}×{pair[1]}"


def _short(pair: Size) -> str:
    return str(pair[0]) if pair[0] == pair[1] else times(pair)


def _both(values: Sequence[object]) -> str:
    """Return what holds for rows and columns, in short where it is the same."""
    first, second = values
    return str(first) if first == second else f"{first} (rows) and {second} (columns)"


def entitle(window: SlidingWindow, size: Size) -> str:
    """Return what is shown in one line; spaces that may not end a line are no-break spaces."""
    parts = [
        f"input {times(size)}",
        f"kernel {times(window.kernel)}",
        f"stride {_short(window.stride)}",
        f"padding {window.padding if window.padding == 'same' else _short(window.padding)}",
    ]
    if window.dilation != (1, 1):
        parts.append(f"dilation {_short(window.dilation)}")
    if window.output_padding != (0, 0):
        parts.append(f"output padding {_short(window.output_padding)}")
    if window.ceil_mode:
        parts.append("ceil mode")
    return f"{_NAMES[window.kind]}: {', '.join(part.replace(' ', _TIED) for part in parts)}"


def list_formulas(window: SlidingWindow, size: Size) -> list[str]:
    """Return the formula of the output size in numbers, for each direction if they differ."""
    rows, columns = (fill_in(axis, n) for axis, n in zip(window.axes, size, strict=True))
    return [rows] if rows == columns else [f"height: {rows}", f"width: {columns}"]


def label_plane(plane: Plane) -> str:
    """Return the size of the input, and of what the window slides over."""
    rows, columns = plane.rows, plane.columns
    size = rows.size, columns.size
    whole = rows.length, columns.length
    if rows.axis.kind == "transposed":
        more = f", with zeros {times(whole)}" if whole != size else ""
        return f"input {times(size)}{more}"
    padded = rows.size + sum(rows.pads), columns.size + sum(columns.pads)
    more = f", with padding {times(padded)}" if padded != size else ""
    return f"input {times(size)}{more}"


def list_notes(window: SlidingWindow, plane: Plane) -> list[str]:
    """Return sentences on what is put around the input, and on what no window reaches."""
    unseen = describe_unseen(plane)
    return _describe_surroundings(window, plane) + [unseen] * bool(unseen)


def _describe_surroundings(window: SlidingWindow, plane: Plane) -> list[str]:
    lines = plane.rows, plane.columns
    if window.padding == "same":
        pads = [f"{before} before, {after} after" for before, after in (x.pads for x in lines)]
        return [f"Padding same: {_both(pads)}."]
    if window.kind == "transposed":
        between = _both([line.pace - 1 for line in lines])
        around = _both([str(line.pads[0]).replace("-", "−") for line in lines])
        reach = "dilation·(kernel − 1)" if window.dilation != (1, 1) else "kernel − 1"
        return [
            f"Zeros between two pixels: stride − 1 = {between}. The window moves by 1.",
            f"Zeros around: {reach} − padding = {around}"
            + ("; below 0, pixels are cut off." if min(x.pads[0] for x in lines) < 0 else "."),
        ]
    partial = any(line.kind(line.length - 1) == "outside" for line in lines)
    return ["The last window is partial: what lies outside does not count."] if partial else []
