"""The inverse of the output formula: which padding, kernel or stride gives an output size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from cnncli.arithmetic.convolution import Axis, Size, SlidingWindow
from cnncli.errors import CnncliError

Unknown = Literal["padding", "kernel", "stride"]
Sliding = TypeVar("Sliding", Axis, SlidingWindow)


@dataclass(frozen=True)
class Solutions:
    """The values that give a certain output size along one axis.

    Attributes:
        values: All solutions in ascending order; only the smallest one if ``open_ended``.
        open_ended: Whether every larger value is a solution too.
        nearest: If there is no solution, the output sizes next to the target that can be reached,
            in ascending order. Empty if there is a solution, or if no value gives any output.
    """

    values: range
    open_ended: bool = False
    nearest: tuple[int, ...] = ()


def solve(axis: Axis, unknown: Unknown, size: int, target: int, *, tied: bool = False) -> Solutions:
    """Find all values of ``unknown`` that turn ``size`` pixels into exactly ``target``.

    As one number grows, the output either never falls or never rises, so two bisections find the
    first and the last solution.

    Args:
        axis: The window along one direction; its own value of ``unknown`` is ignored.
        unknown: Which of its numbers to find.
        size: Size of the input in pixels, at least 1.
        target: Size of the output in pixels, at least 1.
        tied: Whether the stride equals the kernel, which is the default of a pooling.

    Raises:
        CnncliError: If the known numbers rule out every solution.
    """

    def at(value: int) -> Axis:
        return _with_value(axis, unknown, value, tied=tied)

    if unknown == "kernel" and axis.padding == "same":
        raise CnncliError("--solve kernel: with padding same the kernel does not change the size")
    low, high = _bounds(axis, unknown, size, target)
    if fault := at(low).why_invalid():
        raise CnncliError(fault)
    falls = (unknown == "padding") == (axis.kind == "transposed")
    if unknown == "stride" and at(1).output(size) < 1:
        # No window fits whole. With --ceil-mode a large stride gives one partial window.
        falls = False
    sign = -1 if falls else 1
    start = _first_true(low, high, lambda value: sign * at(value).output(size) >= sign * target)
    stop = _first_true(low, high, lambda value: sign * at(value).output(size) > sign * target)
    if start < stop:
        endless = stop > high and unknown != "padding" and at(high * 2 + 1).output(size) == target
        return Solutions(range(start, start + 1 if endless else stop), open_ended=endless)
    beside = [value for value in (start - 1, start) if low <= value <= high]
    nearest = sorted(at(value).output(size) for value in beside)
    return Solutions(range(0), nearest=tuple(output for output in nearest if output >= 1))


def solve_window(
    window: SlidingWindow, unknown: Unknown, size: Size, target: Size, *, tied: bool = False
) -> tuple[Iterator[tuple[Size, SlidingWindow]], bool]:
    """Find all values of ``unknown`` that turn ``size`` into exactly ``target``.

    If window, size and target are the same in both directions, only values that are the same in
    both directions are returned.

    Args:
        window: The window; its own value of ``unknown`` is ignored.
        unknown: Which of its numbers to find.
        size: Size of the input, (height, width) in pixels.
        target: Size of the output, (height, width) in pixels.
        tied: Whether the stride equals the kernel, which is the default of a pooling.

    Returns:
        The values (height, width) in ascending order, each with the window that has it, at least
        one; and whether larger values are solutions too.

    Raises:
        CnncliError: If there is no solution, with the nearest sizes that can be reached.
    """
    found = [
        solve(axis, unknown, n, goal, tied=tied)
        for axis, n, goal in zip(window.axes, size, target, strict=True)
    ]
    for side, solutions, n, goal in zip(("height", "width"), found, size, target, strict=True):
        if not solutions.values:
            where = "" if size[0] == size[1] and target[0] == target[1] else f"{side}: "
            near = " and ".join(map(str, solutions.nearest))
            raise CnncliError(
                f"--solve {unknown}: {where}none gives exactly {goal} from {n}; "
                + (f"the nearest sizes it can reach: {near}" if near else "nor any other size")
            )
    rows, columns = (solutions.values for solutions in found)
    if window.axes[0] == window.axes[1] and size[0] == size[1] and target[0] == target[1]:
        values: Iterator[Size] = ((value, value) for value in rows)
    else:
        values = ((row, column) for row in rows for column in columns)
    windows = ((value, _with_value(window, unknown, value, tied=tied)) for value in values)
    return windows, any(solutions.open_ended for solutions in found)


def _with_value(into: Sliding, unknown: Unknown, value: int | Size, *, tied: bool) -> Sliding:
    changes: dict[str, Any] = {unknown: value}
    if tied and unknown == "kernel":
        changes["stride"] = value
    return replace(into, **changes)


def pad_like_same(kernel: Size, stride: Size, dilation: Size) -> tuple[Size, Size] | None:
    """Return the padding with which the output of a transposed convolution is input * stride.

    This is what "same" means for a transposed convolution in Keras.

    Returns:
        The padding and the output padding, each (height, width) in pixels; None if no padding that
        is equal on both sides gives this size.
    """
    pads, extras = [], []
    for k, s, d in zip(kernel, stride, dilation, strict=True):
        excess = d * (k - 1) + 1 - s
        pads.append(max(excess + 1, 0) // 2)
        extras.append(2 * pads[-1] - excess)
        if extras[-1] >= max(s, d):
            return None
    return (pads[0], pads[1]), (extras[0], extras[1])


def _bounds(axis: Axis, unknown: Unknown, size: int, target: int) -> tuple[int, int]:
    """Return the smallest and the largest value that may be a solution."""
    pads = 0 if axis.padding == "same" else 2 * axis.padding
    transposed = axis.kind == "transposed"
    if unknown == "padding":
        if axis.kind == "pool":
            return 0, axis.kernel // 2
        reach = (size - 1) * axis.stride + axis.output_padding if transposed else 0
        return 0, axis.extent + (reach or axis.stride * target)
    if unknown == "kernel":
        least = max(1, pads) if axis.kind == "pool" else 1
        return least, max(least, target + pads + 1 if transposed else size + pads + axis.stride)
    least = axis.output_padding + 1 if transposed and axis.dilation <= axis.output_padding else 1
    return least, max(least, (target if transposed else size + axis.extent) + pads + 1)


def _first_true(low: int, high: int, holds: Callable[[int], bool]) -> int:
    """Return the smallest value from low to high for which ``holds`` is true, or high + 1.

    ``holds`` must be false below some value and true from it on.
    """
    high += 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low
