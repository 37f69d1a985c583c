"""CLAHE that does the same to 8 bits and to fractions, and loses nothing of the latter.

OpenCV's takes 8 bits, or 16 with a histogram of 65,536 levels: in a tile of some hundred pixels
hardly any level then occurs twice, so that the limit limits nothing.
"""

from __future__ import annotations

import cv2
import numpy as np

from cnncli.arrays import Array

_LEVELS = 256


def equalise(channel: Array, limit: float, tiles: int, *, white: float = 1.0) -> Array:
    """Even out the contrast of one channel tile by tile.

    Args:
        channel: (H, W), uint8, or float32 from 0 to ``white``.
        limit: How far a level may rise above the mean of a tile's histogram.
        tiles: Along a side; a tile is a pixel at least.
        white: Of float32 alone.

    Returns:
        (H, W) of the same type and range.
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

    Source: OpenCV's clahe.cpp: pad, count, clip, spread what was clipped evenly, sum up.
    """
    height, width = fractions.shape
    bottom, right = -height % down, -width % across
    # OpenCV pads both sides by a whole tile where one of them does not divide.
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
    """Share counts (…, 1) out over the levels: whole ones, and the rest at even steps from black.

    The steps are whole too, so that the rest may not reach white: OpenCV's way, kept so that 8 bits
    and fractions give the same picture.
    """
    evenly, rest = np.divmod(excess, _LEVELS)
    step = np.maximum(_LEVELS // np.maximum(rest, 1), 1)
    level = np.arange(_LEVELS)
    return np.asarray(evenly + ((level % step == 0) & (level // step < rest)))


def _look_up(fractions: Array, maps: Array) -> Array:
    """Interpolate between the maps of the four nearest tiles, and between levels."""
    down, across, _ = maps.shape
    height, width = fractions.shape
    rows, columns = -(-height // down), -(-width // across)
    if height % down or width % across:
        rows, columns = height // down + 1, width // across + 1
    top, below, y = _neighbours(height, rows, down)
    left, beside, x = _neighbours(width, columns, across)
    level = fractions * np.float32(_LEVELS - 1)
    low = np.minimum(level.astype(np.intp), _LEVELS - 2)
    share = level - low
    result, flat = np.zeros_like(fractions), maps.ravel()
    for row, weight_y in ((top, 1 - y), (below, y)):
        for column, weight_x in ((left, 1 - x), (beside, x)):
            at = (row[:, None] * across + column[None]) * _LEVELS + low
            value = flat.take(at) * (1 - share) + flat.take(at + 1) * share
            result += value * weight_y[:, None] * weight_x[None]
    return result


def _neighbours(side: int, size: int, tiles: int) -> tuple[Array, Array, Array]:
    """Return, for each pixel of a side, the tiles around it and the share of the second."""
    place = np.arange(side, dtype=np.float32) / np.float32(size) - np.float32(0.5)
    before = np.floor(place).astype(np.intp)
    share = place - before
    return np.clip(before, 0, tiles - 1), np.clip(before + 1, 0, tiles - 1), share
