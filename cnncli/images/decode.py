"""Bytes of an image file to an array: the one place where pixels are decoded.

Pillow reads the header (format by content, size, orientation), OpenCV the pixels: it is as fast
as any and, unlike Pillow, refuses a file that ends early. Everything is decoded from bytes:
``cv2.imread`` returns a full-size picture for half a JPEG where ``cv2.imdecode`` refuses, and
cannot open non-ASCII names on every system.
"""

from __future__ import annotations

import io
import os
import re
import warnings
import zlib
from dataclasses import dataclass
from threading import Lock
from typing import Any

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

# Damage is told once, by us. By a call: OpenCV may have been imported before this module.
if "OPENCV_LOG_LEVEL" not in os.environ:
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

# Silencing Pillow's warnings changes a state that all threads share.
_PILLOW = Lock()
# Sizes of a BMP's second header, low 16 bits.
_BMP_HEADERS = {size.to_bytes(2, "little") for size in (12, 16, 40, 52, 56, 64, 108, 124)}
_PNM_START = re.compile(rb"P[1-6]\s+(#|\d)")
_PNM_MAXIMUM = re.compile(rb"P[2356](?:\s+|\s*#[^\n]*\n)+(?:\d+(?:\s+|\s*#[^\n]*\n)+){2}(\d+)\s")


class ImageError(Exception):
    """A file that cannot be read as an image; the message says why, without the path."""


def is_image(head: bytes) -> bool:
    """Tell from a file's first bytes (16 suffice) whether it is of a format we read."""
    return (
        head.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a"))
        or head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"))
        or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
        # Two letters alone would take a text such as "BMI,age" for a picture.
        or (head[:2] == b"BM" and head[14:16] in _BMP_HEADERS)
        or _PNM_START.match(head) is not None
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
    header = _read_header(data)
    if header.pixels is not None:
        return _lay_on_white(header.pixels)
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ImageError(f"cannot be decoded ({error.err})") from None
    if pixels is None:
        raise ImageError("is damaged or cut short")
    array = _to_uint8(np.atleast_3d(pixels), header.maximum)
    if array.shape[2] == 4:
        array = _lay_on_white(array)
    if array.shape[2] == 3:
        array = cv2.cvtColor(array, cv2.COLOR_BGR2RGB)
    elif header.clear_level is not None:
        array = np.where(array == header.clear_level, np.uint8(255), array)
    transpose, flip_rows, flip_columns = _UPRIGHT.get(header.orientation, (False, False, False))
    if transpose:
        array = array.transpose(1, 0, 2)
    array = array[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]
    return np.ascontiguousarray(array)


@dataclass(frozen=True)
class _Header:
    """What OpenCV needs to be told, or does not know.

    Attributes:
        orientation: EXIF's, 1–8.
        maximum: The value of full scale where the file names another than its type's (PNM).
        clear_level: The grey level that a PNG declares transparent.
        pixels: (H, W, 4), upright, where OpenCV would get the transparency wrong (TIFF).
    """

    orientation: int = 1
    maximum: int | None = None
    clear_level: int | None = None
    pixels: Array | None = None


def _read_header(data: bytes) -> _Header:
    """Check format and size before a pixel is decoded."""
    if not data:
        raise ImageError("is empty (0 bytes)")
    try:
        with _PILLOW, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # we have our own bound, and corrupt EXIF is harmless
            image = Image.open(io.BytesIO(data), formats=FORMATS)
            _check_size(*image.size)
            if image.format == "TIFF":
                # OpenCV turns TIFF upright itself (libtiff does), also in IMREAD_UNCHANGED; but
                # it drops the alpha of grey and multiplies colours by it. Pillow does neither.
                has_alpha = image.mode in ("LA", "PA", "RGBA", "RGBa", "La")
                return _Header(pixels=np.asarray(image.convert("RGBA")) if has_alpha else None)
            if image.format == "PNG":
                return _read_png_header(data, image)
            if image.format == "PPM":
                return _Header(maximum=_read_pnm_maximum(data))
            return _Header(orientation=_read_orientation(image))
    except UnidentifiedImageError:
        raise ImageError(f"is not an image of a known format ({FORMAT_NAMES})") from None
    except Image.DecompressionBombError:
        raise ImageError(_too_large("this image")) from None
    except ImageError:
        raise
    except Exception as error:  # Pillow raises what its parsers stumble on: SyntaxError, struct…
        raise ImageError(f"is damaged or cut short ({error or type(error).__name__})") from None


def _read_pnm_maximum(data: bytes) -> int | None:
    match = _PNM_MAXIMUM.match(data)
    maximum = int(match[1]) if match else 0
    stretched = data[1:2] in b"23" and maximum <= 255  # OpenCV has done it, but only for these
    return None if stretched else maximum or None


def _read_png_header(data: bytes, image: Image.Image) -> _Header:
    _check_png(data)
    # Pillow decodes the whole file where EXIF is not in front: ask first whether there is any.
    has_exif = b"eXIf" in data or b"Raw profile type exif" in data
    clear = image.info.get("transparency")
    eight_bits = image.mode == "L" and data[24] == 8  # OpenCV knows the colours of all others
    return _Header(
        orientation=_read_orientation(image) if has_exif else 1,
        clear_level=clear if eight_bits and isinstance(clear, int) else None,
    )


def _check_png(data: bytes) -> None:
    """Walk a PNG's chunks to its end; libpng prints on stderr by itself where they are damaged."""
    place = 8
    while True:
        length, kind = int.from_bytes(data[place : place + 4], "big"), data[place + 4 : place + 8]
        end = place + 8 + length
        if end + 4 > len(data):
            raise ImageError("is damaged or cut short")
        if kind == b"IEND":
            return
        needed = kind[:1].isupper()  # the others are comments to libpng
        checksum = int.from_bytes(data[end : end + 4], "big")
        if needed and zlib.crc32(memoryview(data)[place + 4 : end]) != checksum:
            raise ImageError(f"is damaged (a wrong checksum {place:,} bytes into the file)")
        place = end + 4


def _read_orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_EXIF_ORIENTATION, 1) or 1)
    except Exception:  # EXIF is a courtesy: where it is garbage, the picture still counts
        return 1


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise ImageError(_too_large(f"{width}×{height}"))


def _too_large(what: str) -> str:
    return f"is too large: {what} has more than {MAX_PIXELS:,} pixels; make it smaller first"


def _to_uint8(pixels: Array, maximum: int | None) -> Array:
    """Bring 0 … ``maximum`` (the type's own where None) to 0–255."""
    if pixels.dtype not in (np.uint8, np.uint16):
        raise ImageError(f"holds {pixels.dtype} values; 8- and 16-bit whole numbers are supported")
    full = maximum or int(np.iinfo(pixels.dtype).max)
    if full == 255:
        return pixels
    levels = (pixels.astype(np.uint32) * 255 + full // 2) // full
    return np.minimum(levels, 255).astype(np.uint8)


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
