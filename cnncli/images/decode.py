"""From the bytes of an image file to an array: the only place where pixels are decoded.

Pillow reads headers and OpenCV the pixels of everyday formats, but for those of JPEG, which
simplejpeg reads. Both are as fast as any decoder and, unlike Pillow, refuse a file that ends early.
Everything is decoded from bytes: ``cv2.imread`` cannot open non-ASCII names on every system.
"""

from __future__ import annotations

import os

import cv2
import numpy as np

from cnncli.arrays import Array
from cnncli.images.channels import lay_on_white
from cnncli.images.formats import find_format, read_header
from cnncli.images.header import Header, out_of_memory, to_float32
from cnncli.images.orientation import turn_upright

# Our own message says that a file is damaged; OpenCV should not print it as well. This is a call
# and no environment variable, because OpenCV may have been imported before this module.
if "OPENCV_LOG_LEVEL" not in os.environ:
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

REDUCTIONS = (8, 4, 2)


def decode(
    data: bytes,
    header: Header | None = None,
    *,
    keep_alpha: bool = False,
    raw: bool = False,
    reduction: int = 1,
) -> Array:
    """Decode one image file, turned upright.

    Args:
        data: The bytes of the whole file.
        header: The header of the same file if it has been read before, which saves time.
        keep_alpha: Whether to return alpha as the last channel. Otherwise a transparent image is
            blended over white.
        raw: Whether to return the physical units of a DICOM file, such as Hounsfield units, in
            place of what its own display window shows.
        reduction: 2, 4 or 8 decodes a JPEG at a half, a quarter or an eighth of its size, which
            is faster. Other formats are always decoded at full size.

    Returns:
        Array (H, W, C). It is uint8 or uint16 if the file stores that, and float32 for all other
        number types. Of an animation it holds the first picture; the pages of a TIFF, the frames
        of a DICOM file and the arrays of a .npz file are side by side as channels.

    Raises:
        ImageError: If the data are no image, damaged, cut short, too large, or hold values that
            are not finite or beyond float32.
    """
    header = header or read_header(data)
    reader = find_format(data).load()
    try:
        array, alpha = reader.decode_pixels(data, header, raw=raw, reduction=reduction)
        array = turn_upright(_simplify_type(array), header.orientation)
        if alpha and not keep_alpha:
            array = lay_on_white(array)
        return np.ascontiguousarray(array)
    except MemoryError:
        raise out_of_memory() from None


def _simplify_type(array: Array) -> Array:
    """Return uint8 and uint16 unchanged, booleans as uint8 0 or 255, all others as float32."""
    if array.dtype in (np.uint8, np.uint16) and array.dtype.isnative:
        return array
    if array.dtype == bool:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype.kind == "u" and array.dtype.itemsize <= 2:
        return array.astype(array.dtype.newbyteorder("="))
    return to_float32(array)
