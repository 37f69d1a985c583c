"""What comes into a picture from outside, and pictures of more channels than OpenCV moves."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np

from cnncli.arrays import Array

BORDERS: Mapping[str, int] = {
    "reflect": cv2.BORDER_REFLECT_101,
    "edge": cv2.BORDER_REPLICATE,
    "black": cv2.BORDER_CONSTANT,
}


def move_pixels(image: Array, move: Callable[[Array], Array]) -> Array:
    """Move the pixels of an image (H, W, C) of any number of channels.

    OpenCV takes at most four channels at once. More are done one by one, not in groups of four,
    because it rounds differently for each number of channels.

    Args:
        image: The image.
        move: Takes an image of at most four channels, and may drop the axis of a single one.
    """
    channels = image.shape[2]
    parts = [image] if channels <= 4 else np.split(image, channels, axis=2)
    return np.dstack([move(np.ascontiguousarray(part)) for part in parts])
