"""Bytes of an image file to an array: the one place where pixels are decoded.

Pillow reads the header (format by content, size, orientation), OpenCV the pixels: it is as fast
as any and, unlike Pillow, refuses a file that ends early. Everything is decoded from bytes:
``cv2.imread`` returns a full-size picture for half a JPEG where ``cv2.imdecode`` refuses, and
cannot open non-ASCII names on every system.
"""

from __future__ import annotations

import io
import os
import warnings
from typing import Any

os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")  # damage is told once, by us

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM")
FORMAT_NAMES = "PNG, JPEG, WebP, BMP, TIFF, GIF or PNM"

# Pillow's own bound for a decompression bomb: 2 × 89.5 million pixels, about 13,377 × 13,377.
MAX_PIXELS = 178_956_970

_EXIF_ORIENTATION = 0x0112
# What to do with a stored picture to see it upright: (transpose, flip rows, flip columns).
# Source: EXIF 2.32, tag 274; the same table as Pillow's ImageOps.exif_transpose.
_UPRIGHT = {
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}

Array = np.ndarray[Any, np.dtype[Any]]


class ImageError(Exception):
    """A file that cannot be read as an image; the message says why, without the path."""


def is_image(head: bytes) -> bool:
    """Tell from a file's first bytes (16 suffice) whether it is of a format we read."""
    return (
        head.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"BM"))
        or head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"))
        or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
        or (head[:1] == b"P" and head[1:2] in b"123456" and head[2:3].isspace())
    )


def decode(data: bytes) -> Array:
    """Decode one image, upright and without alpha.

    Args:
        data: The whole file.

    Returns:
        uint8 array (H, W, C): C is 1 for grey, 3 for RGB. EXIF orientation is applied, alpha is
        laid on white, of an animation or a multi-page file the first picture is taken, and
        16-bit values are divided by 257 (0–65535 to 0–255, rounded).

    Raises:
        ImageError: If the data are no image, damaged, cut short, too large or of floats.
    """
    orientation = _read_header(data)
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ImageError(f"cannot be decoded ({error.err})") from None
    if pixels is None:
        raise ImageError("is damaged or cut short")
    array = _to_uint8(np.atleast_3d(pixels))
    if array.shape[2] == 4:
        array = _lay_on_white(array)
    if array.shape[2] == 3:
        array = cv2.cvtColor(array, cv2.COLOR_BGR2RGB)
    transpose, flip_rows, flip_columns = _UPRIGHT.get(orientation, (False, False, False))
    if transpose:
        array = array.transpose(1, 0, 2)
    array = array[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]
    return np.ascontiguousarray(array)


def _read_header(data: bytes) -> int:
    """Check format and size before a pixel is decoded; return the EXIF orientation (1–8)."""
    if not data:
        raise ImageError("is empty (0 bytes)")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # we have our own bound, and corrupt EXIF is harmless
            image = Image.open(io.BytesIO(data), formats=FORMATS)
            width, height = image.size
            # PNG's getexif() decodes the whole file when the chunk is not in front: ask first.
            has_exif = image.format != "PNG" or b"eXIf" in data
            # OpenCV already turns TIFF upright (libtiff does), also in IMREAD_UNCHANGED.
            upright = image.format == "TIFF" or not has_exif
            orientation = 1 if upright else int(image.getexif().get(_EXIF_ORIENTATION, 1) or 1)
    except UnidentifiedImageError:
        raise ImageError(f"is not an image of a known format ({FORMAT_NAMES})") from None
    except Image.DecompressionBombError:
        raise ImageError(_too_large("this image")) from None
    except Exception as error:  # Pillow raises what its parsers stumble on: SyntaxError, struct…
        raise ImageError(f"has a damaged header ({type(error).__name__}: {error})") from None
    if width * height > MAX_PIXELS:
        raise ImageError(_too_large(f"{width}×{height}"))
    # libpng prints on stderr by itself when the data end early: look for the end first.
    if image.format == "PNG" and b"IEND" not in data:
        raise ImageError("is damaged or cut short")
    return orientation


def _too_large(what: str) -> str:
    return f"is too large: {what} has more than {MAX_PIXELS:,} pixels; make it smaller first"


def _to_uint8(pixels: Array) -> Array:
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype == np.uint16:
        return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
    raise ImageError(f"holds {pixels.dtype} values; 8- and 16-bit whole numbers are supported")


def _lay_on_white(array: Array) -> Array:
    """Blend (H, W, 4) over white: colour × alpha + 255 × (1 - alpha), rounded."""
    alpha = array[..., 3:].astype(np.uint16)
    blended = array[..., :3] * alpha + 255 * (255 - alpha)
    return ((blended + 127) // 255).astype(np.uint8)


def to_channels(array: Array, channels: int) -> Array:
    """Return an (H, W, 1|3) array with 1 (ITU-R 601 luma) or 3 (grey repeated) channels."""
    if array.shape[2] == channels:
        return array
    if channels == 1:
        return np.asarray(cv2.cvtColor(array, cv2.COLOR_RGB2GRAY))[..., None]
    return np.repeat(array, channels, axis=2)


def is_grey(array: Array, tolerance: float = 2.0) -> bool:
    """Tell whether an (H, W, 1|3) array looks grey.

    JPEG stores colour coarsely, so a grey picture saved in colour may differ by a level or so:
    it counts as grey while the channels differ by less than ``tolerance`` levels on average.
    """
    if array.shape[2] == 1:
        return True
    spread = array.max(axis=2).astype(np.int16) - array.min(axis=2)
    return float(spread.mean()) < tolerance
