"""The values of a layer for one image as maps that can be drawn."""

from __future__ import annotations

from math import sqrt

import torch

from cnncli.arrays import Array

_MOST_EXTRA = 8  # tokens before those of the patches, such as the class token


def to_maps(values: torch.Tensor, image_size: tuple[int, int]) -> Array:
    """Bring the output of a layer for one image into the form of maps.

    Args:
        values: Without the axis of the images: (C, h, w), (h, w, C) as in Swin and ConvNeXt,
            tokens (T, C), or (F,).
        image_size: (H, W) in pixels of the network's input. The maps have about the same aspect
            ratio, by which the axes are told apart.

    Returns:
        (C, h, w) float32 with a map for each channel. Tokens stand on their grid again, without
        those that belong to no patch. Values without a place are (F, 1, 1).
    """
    values = values.detach().float()
    if values.ndim == 2:
        grid = _find_grid(len(values), image_size)
        if grid is None:
            return values.flatten()[:, None, None].numpy()
        patches = values[len(values) - grid[0] * grid[1] :]
        values = patches.reshape(*grid, -1)
        return values.movedim(-1, 0).numpy()
    if values.ndim == 3:
        ratio = image_size[0] / image_size[1]
        one, two, three = values.shape
        is_last = _fits(one, two, ratio) and not _fits(two, three, ratio)
        return (values.movedim(-1, 0) if is_last else values).numpy()
    return values.flatten()[:, None, None].numpy()


def _fits(rows: int, columns: int, ratio: float) -> bool:
    """Return whether maps of this size may be of images with this ratio of height to width."""
    return abs(rows - columns * ratio) <= 1 or abs(rows / ratio - columns) <= 1


def _find_grid(tokens: int, image_size: tuple[int, int]) -> tuple[int, int] | None:
    """Return the rows and columns of the patches among so many tokens; None if there are none."""
    ratio = image_size[0] / image_size[1]
    for extra in range(_MOST_EXTRA + 1):
        patches = tokens - extra
        rows = round(sqrt(max(0, patches) * ratio))
        if rows and patches % rows == 0 and _fits(rows, patches // rows, ratio):
            return rows, patches // rows
    return None
