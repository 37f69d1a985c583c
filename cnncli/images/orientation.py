"""EXIF orientation: turning a stored picture upright, and back."""

from __future__ import annotations

from cnncli.arrays import Array

# Per orientation: whether to transpose, then to flip the rows, then to flip the columns. 1 is
# upright. Source: EXIF 2.32, tag 274; the same table as Pillow's ImageOps.exif_transpose.
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
    """Turn a stored picture upright.

    Args:
        array: Array (H, W, C) as stored.
        orientation: EXIF orientation, 1–8; any other number counts as 1, upright.

    Returns:
        A view of the array: (W, H, C) for orientations 5–8, else (H, W, C).
    """
    if orientation not in UPRIGHT:
        return array
    transpose, flip_rows, flip_columns = UPRIGHT[orientation]
    if transpose:
        array = array.transpose(1, 0, 2)
    return array[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]


def turn_back(array: Array, orientation: int) -> Array:
    """Turn an upright picture back to how it is stored: the inverse of :func:`turn_upright`.

    Args:
        array: Array (H, W, C), upright.
        orientation: EXIF orientation of the stored picture, as in :func:`turn_upright`.

    Returns:
        A view of the array: (W, H, C) for orientations 5–8, else (H, W, C).
    """
    transpose, flip_rows, flip_columns = UPRIGHT.get(orientation, (False, False, False))
    array = array[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]
    return array.transpose(1, 0, 2) if transpose else array
