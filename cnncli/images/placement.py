"""Where in an image the network's input lies, so that a heat map can be drawn on the image."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from cnncli.arrays import Array
from cnncli.images.preprocess import Preprocess


@dataclass(frozen=True)
class Box:
    """A rectangle in an image, in pixels of that image; fractions of a pixel are kept.

    Attributes:
        top: Distance from the image's upper edge; below 0 where the rectangle begins above it.
        left: Distance from the image's left edge; below 0 where it begins left of it.
        height: Height of the rectangle.
        width: Width of the rectangle.
    """

    top: float
    left: float
    height: float
    width: float


# All of the network's input, in fractions of its height and width.
WHOLE = Box(0, 0, 1, 1)


def find_seen_box(preprocess: Preprocess, size: tuple[int, int]) -> Box:
    """Return the part of an image that becomes the network's input.

    Args:
        preprocess: Settings by which the image is resized.
        size: (H, W) of the image in pixels.

    Returns:
        The rectangle that `resize` scales to the input. With ``pad`` it is larger than the image.
    """
    height, width = size
    rows, columns = preprocess.image_size
    if preprocess.resize_mode == "squash":
        return Box(0, 0, height, width)
    if preprocess.resize_mode == "pad":
        scale = min(rows / height, columns / width)
    elif preprocess.resize_size is None:
        scale = max(rows / height, columns / width)
    else:
        scale = preprocess.resize_size / min(height, width)
    seen = rows / scale, columns / scale
    return Box((height - seen[0]) / 2, (width - seen[1]) / 2, *seen)


def place_map(values: Array, box: Box, size: tuple[int, int], covered: Box = WHOLE) -> Array:
    """Scale a map of the network's input to the image, and put it where it belongs.

    Args:
        values: (h, w) floats, one for each cell of the network's input, of any size.
        box: The part of the image that is the network's input.
        size: (H, W) of the image in pixels.
        covered: The part of the input that the cells cover, in fractions. Beyond it the nearest
            cell's value stands.

    Returns:
        (H, W) float32, interpolated linearly; NaN where the network does not see the image.
    """
    height, width = size
    down = (np.arange(height) + 0.5 - box.top) / box.height
    across = (np.arange(width) + 0.5 - box.left) / box.width
    rows = (down - covered.top) / covered.height * values.shape[0] - 0.5
    columns = (across - covered.left) / covered.width * values.shape[1] - 0.5
    x, y = np.meshgrid(columns.astype(np.float32), rows.astype(np.float32))
    placed: Array = cv2.remap(
        np.ascontiguousarray(values, np.float32),
        x,
        y,
        interpolation=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    outside_rows = (down < 0) | (down >= 1)
    outside_columns = (across < 0) | (across >= 1)
    placed[outside_rows, :] = np.nan
    placed[:, outside_columns] = np.nan
    return placed
