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

from cnncli.images.channels import lay_on_white
from cnncli.images.header import Header, ImageError, read_header
from cnncli.images.orientation import Array, turn_upright

# Damage is told once, by us. By a call: OpenCV may have been imported before this module.
if "OPENCV_LOG_LEVEL" not in os.environ:
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

_REDUCED = {
    (2, 1): cv2.IMREAD_REDUCED_GRAYSCALE_2,
    (4, 1): cv2.IMREAD_REDUCED_GRAYSCALE_4,
    (8, 1): cv2.IMREAD_REDUCED_GRAYSCALE_8,
    (2, 3): cv2.IMREAD_REDUCED_COLOR_2,
    (4, 3): cv2.IMREAD_REDUCED_COLOR_4,
    (8, 3): cv2.IMREAD_REDUCED_COLOR_8,
}
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
        array = _decode_with_opencv(data, header, reduction)
        alpha = array.shape[2] in (2, 4)
    array = turn_upright(_own_type(array), header.orientation)
    if alpha and not keep_alpha:
        array = lay_on_white(array)
    return np.ascontiguousarray(array)


def _decode_with_opencv(data: bytes, header: Header, reduction: int) -> Array:
    """Return (H, W, 1–4) as stored, RGB or grey and alpha behind them if there is any."""
    flags = cv2.IMREAD_UNCHANGED
    if reduction > 1 and header.format == "JPEG":
        flags = _REDUCED[reduction, header.channels] | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise ImageError(f"cannot be decoded ({error.err})") from None
    if pixels is None:
        raise ImageError("is damaged or cut short")
    array = _stretch(np.atleast_3d(pixels), header.maximum)
    if array.shape[2] in (3, 4):
        array = array[..., [2, 1, 0, 3][: array.shape[2]]]
    if array.shape[2] == 4 and header.channels == 1:
        array = array[..., [0, 3]]  # OpenCV gives grey with alpha as colour
    if header.clear_level is not None and array.shape[2] == 1:
        opaque = (array != header.clear_level).astype(array.dtype)
        array = np.concatenate([array, opaque * np.iinfo(array.dtype).max], axis=2)
    return array


def _stretch(array: Array, maximum: int | None) -> Array:
    """Bring 0 … ``maximum`` to the full scale of the type; None is the type's own."""
    full = 255 if array.dtype == np.uint8 else 65535
    if maximum is None or maximum == full or array.dtype.kind != "u":
        return array
    levels = (array.astype(np.uint64) * full + maximum // 2) // maximum
    return np.minimum(levels, full).astype(array.dtype)


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
