"""Channels of a decoded picture: transparency, grey and colour."""

from __future__ import annotations

import cv2
import numpy as np

from cnncli.arrays import Array
from cnncli.images.header import ImageError


def full_scale(array: Array) -> float:
    """Return the value of white: the type's own maximum, 1 for floats."""
    return float(np.iinfo(array.dtype).max) if array.dtype.kind == "u" else 1.0


def lay_on_white(array: Array) -> Array:
    """Blend (H, W, C + 1) over white: value × alpha + white × (1 - alpha), rounded for integers."""
    colours, alpha = array[..., :-1], array[..., -1:]
    if array.dtype.kind != "u":
        return np.asarray(colours * alpha + (1 - alpha), dtype=array.dtype)
    full = int(full_scale(array))
    # 65535² fits into 32 bits, and twice that into 64.
    wide = np.uint32 if full == 255 else np.uint64
    alpha = alpha.astype(wide)
    blended = colours.astype(wide) * alpha + full * (full - alpha)
    return np.asarray((blended + full // 2) // full, dtype=array.dtype)


def to_channels(array: Array, channels: int, *, alpha: bool = False) -> Array:
    """Bring an (H, W, C) array to a number of channels.

    Args:
        array: Of any type.
        channels: 1 of 3 is ITU-R 601 luma, 3 of 1 repeats grey.
        alpha: Whether the last of ``channels`` is alpha; a picture without gets full opacity.

    Raises:
        ImageError: If one is not to be had from the other.
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
    raise ImageError(f"has {count(given)}, the network takes {channels}")


def count(channels: int) -> str:
    return "1 channel" if channels == 1 else f"{channels} channels"


def is_grey(array: Array, tolerance: float = 2 / 255) -> bool:
    """Tell whether an (H, W, 1|3) array looks grey.

    JPEG stores colour coarsely, so a grey picture saved in colour may differ by a level or so:
    it counts as grey while the channels differ by less than ``tolerance`` of full scale on average.
    """
    if array.shape[2] == 1:
        return True
    # Channel by channel: numpy takes twenty times as long for the maximum of a short axis.
    one, two, three = (array[..., channel] for channel in range(3))
    high, low = np.maximum(np.maximum(one, two), three), np.minimum(np.minimum(one, two), three)
    return float((high - low).mean(dtype=np.float64)) < tolerance * full_scale(array)
