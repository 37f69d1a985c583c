"""Which input pixel each tap of a sliding window reads."""

from __future__ import annotations

from typing import Literal

from cnncli.arithmetic.convolution import Axis, Size, SlidingWindow
from cnncli.errors import CnncliError

PaddingMode = Literal["zeros", "reflect"]

PADDED = -1  # the tap reads a pixel of padding
BEYOND = -2  # behind the padding: the last window of a pooling with ceil may end there


def find_sources(axis: Axis, size: int, mode: PaddingMode = "zeros") -> list[list[int]]:
    """Return for each output of one direction the input pixel that each tap reads.

    Args:
        axis: The window along this direction.
        size: Size of the input in pixels.
        mode: ``reflect`` mirrors the input at its outermost pixels, which are not repeated.

    Returns:
        A list for each output, with an index from 0, `PADDED` or `BEYOND` for each tap.
    """
    before, after = axis.pads(size)

    def find(place: int) -> int:
        if 0 <= place < size:
            return place
        if place >= size + after:
            return BEYOND
        if mode == "zeros":
            return PADDED
        return -place if place < 0 else 2 * (size - 1) - place

    starts = [number * axis.stride - before for number in range(axis.output(size))]
    return [[find(start + tap * axis.dilation) for tap in range(axis.kernel)] for start in starts]


def check_reflect(window: SlidingWindow, size: Size) -> None:
    """Refuse a padding that reflection cannot fill.

    Raises:
        CnncliError: If as many pixels are added on a side as there are, or more.
    """
    for axis, pixels in zip(window.axes, size, strict=True):
        if (widest := max(axis.pads(pixels))) >= pixels:
            raise CnncliError(
                f"--padding-mode reflect: {widest} pixels are added beside {pixels}; reflection "
                f"has at most {pixels - 1}"
            )
