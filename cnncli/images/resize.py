"""Resizing an image to the size of a network's input, by one of three modes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import cv2
import numpy as np

from cnncli.arrays import Array
from cnncli.choices import Interpolation, ResizeMode

# Takes an image (H, W, C), a height and a width, and returns the image at that size.
Scale = Callable[[Array, int, int], Array]


def resize(
    image: Array,
    size: tuple[int, int],
    *,
    mode: ResizeMode,
    interpolation: Interpolation,
    resize_size: int | None = None,
) -> Array:
    """Resize an image.

    Args:
        image: Array (H, W, C) of uint8 or float32.
        size: (height, width) of the result in pixels.
        mode: What happens where the aspect ratio differs; see `Preprocess.resize_mode`.
        interpolation: See `Preprocess.interpolation`.
        resize_size: With ``crop``, the length in pixels to which the shorter side is scaled before
            the middle is cut out, at least as long as both sides of ``size``; None cuts out as
            large a part as fits and scales that.

    Returns:
        Array (height, width, C) of the same type. Bicubic interpolation of floats may go beyond
        the range of the values.
    """
    scale: Scale = _scale_by_area if interpolation == "area" else _PILLOW[interpolation]
    if mode == "squash":
        return scale(image, *size)
    if mode == "pad":
        return _pad(image, *size, scale)
    if resize_size is None:
        return _crop(image, *size, scale)
    return _crop_as_weights(image, *size, resize_size, scale)


def _scale_by_area(image: Array, height: int, width: int) -> Array:
    """Resize (H, W, C): sides that shrink by averaging, then sides that grow by interpolation.

    One call cannot do both: where one side grows, OpenCV's INTER_AREA interpolates both, and the
    side that shrinks shows aliasing.
    """
    rows, columns = min(height, image.shape[0]), min(width, image.shape[1])
    image = _scale_with_opencv(cv2.INTER_AREA, image, rows, columns)
    return _scale_with_opencv(cv2.INTER_LINEAR, image, height, width)


def _scale_with_opencv(way: int, image: Array, height: int, width: int) -> Array:
    """Resize (H, W, C) with OpenCV's interpolation ``way``."""
    if image.shape[:2] == (height, width):
        return image
    if image.shape[2] > 4:  # more than OpenCV's resize takes at once
        parts = [
            _scale_with_opencv(way, np.ascontiguousarray(image[..., at : at + 4]), height, width)
            for at in range(0, image.shape[2], 4)
        ]
        return np.concatenate(parts, axis=2)
    resized = cv2.resize(image, (width, height), interpolation=way)
    return np.asarray(resized).reshape(height, width, image.shape[2])


def _pad(image: Array, height: int, width: int, scale: Scale) -> Array:
    """Resize (H, W, C) with its aspect ratio kept, and fill both ends of the other side with 0."""
    ratio = min(height / image.shape[0], width / image.shape[1])
    rows, columns = (max(1, round(side * ratio)) for side in image.shape[:2])
    image = scale(image, rows, columns)
    top, left = (height - rows) // 2, (width - columns) // 2
    return np.pad(image, ((top, height - rows - top), (left, width - columns - left), (0, 0)))


def _crop(image: Array, height: int, width: int, scale: Scale) -> Array:
    """Cut the largest part of the wanted aspect ratio out of the middle, and resize it."""
    # Cut first: an image of 1×10,000 pixels that is scaled first would grow to gigabytes.
    ratio = max(height / image.shape[0], width / image.shape[1])
    rows = min(image.shape[0], max(1, round(height / ratio)))
    columns = min(image.shape[1], max(1, round(width / ratio)))
    top, left = (image.shape[0] - rows) // 2, (image.shape[1] - columns) // 2
    return scale(image[top : top + rows, left : left + columns], height, width)


def _crop_as_weights(
    image: Array, height: int, width: int, resize_size: int, scale: Scale
) -> Array:
    """Scale the shorter side to ``resize_size`` and cut the middle out, as torchvision does.

    Source: torchvision.transforms.functional, ``_compute_resized_output_size`` (the longer side
    is rounded down) and ``center_crop`` (the corner is rounded to even).
    """
    # An image of 1×10,000 pixels would grow to gigabytes: the far ends, which are cut off later
    # anyway, are cut off first.
    short = min(image.shape[:2])
    rows, columns = (min(side, 20 * short) for side in image.shape[:2])
    top, left = (image.shape[0] - rows) // 2, (image.shape[1] - columns) // 2
    image = image[top : top + rows, left : left + columns]
    image = scale(image, *(resize_size * side // short for side in (rows, columns)))
    top, left = round((image.shape[0] - height) / 2), round((image.shape[1] - width) / 2)
    return image[top : top + height, left : left + width]


def _scale_with_pillow(name: str, image: Array, height: int, width: int) -> Array:
    """Resize (H, W, C) with Pillow's filter of this name."""
    from PIL import Image  # takes longer to load than one image to resize

    way = Image.Resampling[name]
    if image.shape[2] == 3 and image.dtype == np.uint8:
        return np.asarray(Image.fromarray(image).resize((width, height), way))
    channels = [
        Image.fromarray(np.ascontiguousarray(channel)) for channel in np.moveaxis(image, 2, 0)
    ]
    return np.stack([np.asarray(c.resize((width, height), way)) for c in channels], axis=2)


_PILLOW = {
    "bilinear": partial(_scale_with_pillow, "BILINEAR"),
    "bicubic": partial(_scale_with_pillow, "BICUBIC"),
}
