"""CLAHE (contrast limited adaptive histogram equalisation) of 8-bit levels and of fractions.

OpenCV has it for 8 bits, and for 16 bits with a histogram of 65,536 levels. In a tile of some
hundred pixels hardly any of so many levels occurs twice, so that the contrast limit has no effect.
Fractions are therefore equalised here with a histogram of 256 levels, but without being rounded.
"""

from __future__ import annotations

import cv2
import numpy as np

from cnncli.arrays import Array

_LEVELS = 256


def equalise(channel: Array, limit: float, tiles: int, *, white: float = 1.0) -> Array:
    """Even out the contrast of one channel, tile by tile.

    Args:
        channel: Array (H, W) of uint8, or of float32 in [0, ``white``].
        limit: Greatest count of a level in a tile's histogram, as a multiple of the mean count;
            what is above it is spread over all levels.
        tiles: Number of tiles along each side, if the side has as many pixels.
        white: The value of white in a float32 channel.

    Returns:
        Array (H, W) of the same type and range.
    """
    height, width = channel.shape
    down, across = min(tiles, height), min(tiles, width)
    if channel.dtype == np.uint8:
        table = cv2.createCLAHE(clipLimit=limit, tileGridSize=(across, down))
        return np.asarray(table.apply(np.ascontiguousarray(channel)))
    fractions = np.clip(channel / np.float32(white), 0, 1)
    maps = _tile_maps(fractions, limit, down, across)
    return _look_up(fractions, maps) * np.float32(white)


def _tile_maps(fractions: Array, limit: float, down: int, across: int) -> Array:
    """Return each tile's map from levels to fractions, (down, across, 256).

    Args:
        fractions: Array (H, W) in [0, 1].
        limit: As in :func:`equalise`.
        down: Number of tiles along the height.
        across: Number of tiles along the width.

    Source: OpenCV's clahe.cpp: pad, count, clip, spread what was clipped evenly, sum up.
    """
    height, width = fractions.shape
    bottom, right = -height % down, -width % across
    # If one side cannot be divided by its number of tiles, OpenCV pads both sides.
    if bottom or right:
        bottom, right = down - height % down, across - width % across
    padded = cv2.copyMakeBorder(fractions, 0, bottom, 0, right, cv2.BORDER_REFLECT_101)
    rows, columns = padded.shape[0] // down, padded.shape[1] // across
    levels = np.rint(padded * (_LEVELS - 1)).astype(np.intp)
    tile = np.arange(down).repeat(rows)[:, None] * across + np.arange(across).repeat(columns)
    counts = np.bincount((tile * _LEVELS + levels).ravel(), minlength=down * across * _LEVELS)
    counts = counts.reshape(down, across, _LEVELS)
    most = max(1, int(limit * rows * columns / _LEVELS))
    clipped = np.minimum(counts, most)
    clipped += _spread((counts - clipped).sum(axis=2, keepdims=True))
    return np.asarray(clipped.cumsum(axis=2) / (rows * columns), np.float32)


def _spread(excess: Array) -> Array:
    """Spread the pixels that were clipped from a histogram evenly over all levels.

    What is left after a whole number for each level is added one by one at levels of equal
    distance, beginning at black. The distance is a whole number, so the last levels may get none.
    OpenCV does the same; so 8 bits and fractions give the same picture.

    Args:
        excess: Array (…, 1) of counts.

    Returns:
        Array (…, 256) of counts to add to each level.
    """
    evenly, rest = np.divmod(excess, _LEVELS)
    step = np.maximum(_LEVELS // np.maximum(rest, 1), 1)
    level = np.arange(_LEVELS)
    return np.asarray(evenly + ((level % step == 0) & (level // step < rest)))


def _look_up(fractions: Array, maps: Array) -> Array:
    """Map each pixel by the maps of the four nearest tiles, interpolated by its distance to them.

    Args:
        fractions: Array (H, W) in [0, 1].
        maps: The tiles' maps, (down, across, 256); values between two levels are interpolated.

    Returns:
        Array (H, W) in [0, 1].
    """
    down, across, _ = maps.shape
    height, width = fractions.shape
    rows, columns = -(-height // down), -(-width // across)
    if height % down or width % across:
        rows, columns = height // down + 1, width // across + 1
    top, below, y = _neighbours(height, rows, down)
    left, beside, x = _neighbours(width, columns, across)
    level = fractions * np.float32(_LEVELS - 1)
    low = np.minimum(level.astype(np.intp), _LEVELS - 2)
    between = level - low
    result, flat = np.zeros_like(fractions), maps.ravel()
    for row, weight_y in ((top, 1 - y), (below, y)):
        for column, weight_x in ((left, 1 - x), (beside, x)):
            at = (row[:, None] * across + column[None]) * _LEVELS + low
            value = flat.take(at) * (1 - between) + flat.take(at + 1) * between
            result += value * weight_y[:, None] * weight_x[None]
    return result


def _neighbours(side: int, size: int, tiles: int) -> tuple[Array, Array, Array]:
    """Return, for each pixel along a side, the two nearest tiles and the weight of the second.

    Args:
        side: Number of pixels.
        size: Pixels per tile.
        tiles: Number of tiles.

    Returns:
        Three arrays (side,): the number of the first tile, of the second one, and the weight of
        the second (0–1); the first has the rest.
    """
    place = np.arange(side, dtype=np.float32) / np.float32(size) - np.float32(0.5)
    before = np.floor(place).astype(np.intp)
    weight = place - before
    return np.clip(before, 0, tiles - 1), np.clip(before + 1, 0, tiles - 1), weight
