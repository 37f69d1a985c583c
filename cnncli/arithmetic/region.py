"""Which pixels of an image a layer can see that reads all positions of the maps before it."""

from __future__ import annotations

from collections.abc import Sequence

from cnncli.arithmetic.convolution import Axis, Size, SlidingWindow

# The first and the last row, and the first and the last column of the image, counted from 0.
Region = tuple[tuple[int, int], tuple[int, int]]

DROPPED = "the layers before it drop the rest, as they round their sizes down"


def find_region(windows: Sequence[SlidingWindow], sizes: Sequence[Size]) -> Region:
    """Return the pixels between the first and the last one that the last output depends on.

    Where a window's stride leaves rows of its input over, or the padding of a transposed
    convolution cuts rows off its output, it is less than the image. What lies in the padding of a
    layer in between is no pixel of the image and does not count.

    Args:
        windows: The windows of the layers, from the image on.
        sizes: Sizes of their inputs, (height, width), and of the last output behind them.
    """
    rows, columns = (
        _follow_back([window.axes[side] for window in windows], [size[side] for size in sizes])
        for side in (0, 1)
    )
    return rows, columns


def count_pixels(region: Region) -> Size:
    """Return the height and the width of a region."""
    (top, bottom), (left, right) = region
    return bottom - top + 1, right - left + 1


def describe_part(region: Region, size: Size) -> str:
    """Return which part of the image a region is, in words; empty if it is the whole image."""
    if count_pixels(region) == size:
        return ""
    (top, bottom), (left, right) = region
    return (
        f"sees rows {top + 1}-{bottom + 1} of {size[0]} and columns {left + 1}-{right + 1} of "
        f"{size[1]}: {DROPPED}"
    )


def _follow_back(axes: Sequence[Axis], sizes: Sequence[int]) -> tuple[int, int]:
    """Return the first and the last pixel along one direction."""
    first, last = 0, sizes[-1] - 1
    for axis, size in zip(reversed(axes), reversed(sizes[:-1]), strict=True):
        before = axis.pads(size)[0]
        if axis.kind == "transposed":
            # Pixel i adds to the outputs from i * stride - padding on, ``extent`` of them at most.
            first = -(-(first + before - axis.extent + 1) // axis.stride)
            last = (last + before) // axis.stride
        else:
            first = first * axis.stride - before
            last = last * axis.stride - before + axis.extent - 1
        first, last = max(first, 0), min(last, size - 1)
    return first, last
