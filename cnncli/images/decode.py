"""Bytes of an image file to an array: the one place where pixels are decoded.

Pillow reads headers (format by content, size, orientation), OpenCV the pixels of everyday formats:
it is as fast as any and, unlike Pillow, refuses a file that ends early. Everything is decoded from
bytes: ``cv2.imread`` returns a full-size picture for half a JPEG where ``cv2.imdecode`` refuses,
and cannot open non-ASCII names on every system.
"""

from __future__ import annotations

import os

import cv2
import numpy as np

from cnncli.arrays import Array
from cnncli.images.channels import lay_on_white
from cnncli.images.formats import read_header
from cnncli.images.header import Header, ImageError
from cnncli.images.orientation import turn_upright
from cnncli.images.raster import decode_raster

# Damage is told once, by us. By a call: OpenCV may have been imported before this module.
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
    """Decode one image, upright, in its own depth.

    Args:
        data: The whole file.
        header: Of the same file, where it has been read before.
        keep_alpha: Return alpha as the last channel; else the picture is laid on white.
        raw: Return a DICOM file's units in place of what its window shows.
        reduction: 2, 4 or 8 decodes a JPEG at that fraction of its size, which is faster.

    Returns:
        Array (H, W, C) of the file's own type: uint8, uint16 or, of everything else, float32. The
        first picture of an animation; the pages of a TIFF and the frames of a DICOM file side by
        side as channels.

    Raises:
        ImageError: If the data are no image, damaged, cut short, too large or not finite.
    """
    header = header or read_header(data)
    alpha = header.alpha
    if header.format in ("NPY", "NPZ"):
        from cnncli.images.npy import decode_array

        array = decode_array(data)
    elif header.format == "DICOM":
        from cnncli.images.dicom import decode_dicom

        array = decode_dicom(data, raw=raw)
    elif header.format == "TIFF":
        from cnncli.images.tiff import decode_tiff

        array, alpha = decode_tiff(data)
    else:
        array = decode_raster(data, header, reduction)
        alpha = array.shape[2] in (2, 4)
    array = turn_upright(_own_type(array), header.orientation)
    if alpha and not keep_alpha:
        array = lay_on_white(array)
    return np.ascontiguousarray(array)


def _own_type(array: Array) -> Array:
    """Return uint8 and uint16 as they are, bits as uint8 and all other values as float32."""
    if array.dtype in (np.uint8, np.uint16) and array.dtype.isnative:
        return array
    if array.dtype == bool:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype.kind == "u" and array.dtype.itemsize <= 2:
        return array.astype(array.dtype.newbyteorder("="))
    values = array.astype(np.float32)
    if not np.isfinite(values).all():
        raise ImageError("holds values that are not finite (NaN or infinity)")
    return values
