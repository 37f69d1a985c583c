"""EXIF orientation: what to do with a stored picture to see it upright."""

from __future__ import annotations

from cnncli.arrays import Array

# (transpose, flip rows, flip columns). Source: EXIF 2.32, tag 274; the same table as Pillow's
# ImageOps.exif_transpose.
UPRIGHT = {
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


def turn_upright(array: Array, orientation: int) -> Array:
    """Return an (H, W, C) array, or (W, H, C) if it lay on its side, upright."""
    transpose, flip_rows, flip_columns = UPRIGHT.get(orientation, (False, False, False))
    if transpose:
        array = array.transpose(1, 0, 2)
    return array[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]


def turn_back(array: Array, orientation: int) -> Array:
    """Undo :func:`turn_upright`."""
    transpose, flip_rows, flip_columns = UPRIGHT.get(orientation, (False, False, False))
    array = array[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]
    return array.transpose(1, 0, 2) if transpose else array
