"""Channels of a decoded picture: transparency, grey and colour."""

from __future__ import annotations

import cv2
import numpy as np

from cnncli.arrays import Array
from cnncli.choices import format_channels
from cnncli.images.header import ImageError


def full_scale(array: Array) -> float:
    """Return the value of white: the greatest value of an unsigned type, 1 for floats."""
    return float(np.iinfo(array.dtype).max) if array.dtype.kind == "u" else 1.0


def lay_on_white(array: Array) -> Array:
    """Blend a transparent picture over a white background.

    Each value becomes value × alpha + white × (1 - alpha), rounded to the nearest whole number if
    the type has whole numbers only.

    Args:
        array: Array (H, W, C + 1) whose last channel is alpha: uint8, uint16, or float32 in
            [0, 1].

    Returns:
        Array (H, W, C) of the same type.
    """
    colours, alpha = array[..., :-1], array[..., -1:]
    if array.dtype.kind != "u":
        return np.asarray(colours * alpha + (1 - alpha), dtype=array.dtype)
    full = int(full_scale(array))
    # The greatest sum is full² + full / 2, which fits into 32 bits for 16-bit values too.
    alpha = alpha.astype(np.uint32)
    blended = colours.astype(np.uint32) * alpha + full * (full - alpha)
    return np.asarray((blended + full // 2) // full, dtype=array.dtype)


def to_channels(array: Array, channels: int, *, alpha: bool = False) -> Array:
    """Convert a picture to another number of channels.

    Colour becomes grey by its ITU-R 601 luma, and grey becomes colour by repetition.

    Args:
        array: Array (H, W, C) of any type.
        channels: The number of channels to return, with alpha if there is to be alpha.
        alpha: Whether the last channel of the result is to be alpha. A picture without alpha then
            becomes opaque.

    Returns:
        Array (H, W, ``channels``) of the same type; the given array if it has them already.

    Raises:
        ImageError: If there is no such conversion, for instance from 5 channels to 3.
    """
    given = array.shape[2]
    if given == channels:
        return array
    if alpha and given in (1, 2, 3, 4) and channels in (2, 4):
        opacity = (
            array[..., -1:]
            if given in (2, 4)
            else np.full((*array.shape[:2], 1), full_scale(array), array.dtype)
        )
        colours = array[..., :-1] if given in (2, 4) else array
        return np.concatenate([to_channels(colours, channels - 1), opacity], axis=2)
    if (given, channels) == (3, 1):
        return np.asarray(cv2.cvtColor(array, cv2.COLOR_RGB2GRAY))[..., None]
    if (given, channels) == (1, 3):
        return np.repeat(array, 3, axis=2)
    raise ImageError(f"has {format_channels(given)}, the network takes {channels}")


def is_grey(array: Array, tolerance: float = 2 / 255) -> bool:
    """Return whether a picture looks grey.

    A grey picture that is stored as a colour JPEG has channels that differ by a level or so,
    because JPEG stores colour coarsely. It counts as grey too.

    Args:
        array: Array (H, W, 1) or (H, W, 3).
        tolerance: How much the greatest and the smallest channel of a pixel may differ on average,
            as a fraction of full scale (0–1).
    """
    if array.shape[2] == 1:
        return True
    # Channel by channel: NumPy takes twenty times as long for the maximum along a short axis.
    red, green, blue = (array[..., channel] for channel in range(3))
    high, low = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    return float((high - low).mean(dtype=np.float64)) < tolerance * full_scale(array)
