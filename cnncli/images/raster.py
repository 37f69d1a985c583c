"""Everyday formats: Pillow reads their headers, OpenCV their pixels."""

from __future__ import annotations

import io
import re
import struct
import warnings
import zlib
from threading import Lock

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from cnncli.arrays import Array
from cnncli.images.header import (
    FORMAT_NAMES,
    Header,
    ImageError,
    check_size,
    damaged,
    too_large,
)

# What Pillow may try; the others are recognised by their first bytes.
_PILLOW_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "PPM")


_EXIF_ORIENTATION, _EXIF_MAKE, _EXIF_MODEL = 0x0112, 0x010F, 0x0110


# Silencing Pillow's warnings changes a state that all threads share.
_PILLOW = Lock()


_PNM_MAXIMUM = re.compile(rb"P[2356](?:\s+|\s*#[^\n]*\n)+(?:\d+(?:\s+|\s*#[^\n]*\n)+){2}(\d+)\s")


# Channels and alpha of Pillow's modes.
_MODES = {
    "1": (1, False),
    "L": (1, False),
    "I": (1, False),
    "I;16": (1, False),
    "I;16B": (1, False),
    "F": (1, False),
    "LA": (1, True),
    "P": (3, False),
    "PA": (3, True),
    "RGB": (3, False),
    "RGBA": (3, True),
    "CMYK": (3, False),
    "YCbCr": (3, False),
}


def read_raster_header(data: bytes) -> Header:
    try:
        with _PILLOW, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # we have our own bound, and corrupt EXIF is harmless
            image = Image.open(io.BytesIO(data), formats=_PILLOW_FORMATS)
            check_size(*image.size)
            return _describe(data, image)
    except UnidentifiedImageError:
        raise ImageError(f"is not an image of a known format ({FORMAT_NAMES})") from None
    except Image.DecompressionBombError:
        raise ImageError(too_large("this image")) from None
    except ImageError:
        raise
    except Exception as error:  # Pillow raises what its parsers stumble on: SyntaxError, struct…
        raise damaged(error) from None


def _describe(data: bytes, image: Image.Image) -> Header:
    kind = "JPEG" if image.format == "MPO" else str(image.format)
    channels, alpha = _MODES.get(image.mode, (3, False))
    clear = image.info.get("transparency")
    bits, maximum, orientation, camera = 8, None, 1, ""
    has_exif = True
    if kind == "PNG":
        _check_png(data)
        bits = data[24]
        if image.mode == "P":  # whether a palette's colours are grey, only they tell
            channels = 3
        # Pillow decodes the whole file where EXIF is not in front: ask first whether there is any.
        has_exif = b"eXIf" in data or b"Raw profile type exif" in data
        # The mode of 16-bit colour says RGB alone.
        if data[25] in (4, 6):
            channels, alpha = (1 if data[25] == 4 else 3), True
    elif kind == "PPM":
        maximum = _read_pnm_maximum(data)
        bits = 16 if (maximum or 255) > 255 else 1 if image.mode == "1" else 8
    if has_exif and kind in ("PNG", "JPEG", "WEBP"):
        orientation, camera = _read_exif(image)
    return Header(
        format=kind,
        mode=image.mode,
        width=image.width,
        height=image.height,
        bits=bits,
        channels=channels,
        alpha=alpha or clear is not None,
        frames=getattr(image, "n_frames", 1) if kind in ("GIF", "WEBP") else 1,
        orientation=orientation,
        camera=camera,
        maximum=maximum,
        clear_level=_clear_level(image, bits),
    )


def _clear_level(image: Image.Image, bits: int) -> int | None:
    """Return the transparent grey; a PNG names it in its own bits, which OpenCV brings to 8."""
    clear = image.info.get("transparency")
    if image.mode not in ("1", "L", "I;16", "I") or not isinstance(clear, int):
        return None
    if bits == 1:  # Pillow may have brought it to 255 already
        return 255 * bool(clear)
    return clear if bits in (8, 16) else clear * 255 // (2**bits - 1)


def _read_pnm_maximum(data: bytes) -> int | None:
    match = _PNM_MAXIMUM.match(data)
    maximum = int(match[1]) if match else 0
    stretched = data[1:2] in b"23" and maximum <= 255  # OpenCV has done it, but only for these
    return None if stretched else maximum or None


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
        (checksum,) = struct.unpack_from(">I", data, end)
        if needed and zlib.crc32(memoryview(data)[place + 4 : end]) != checksum:
            raise ImageError(f"is damaged (a wrong checksum {place:,} bytes into the file)")
        place = end + 4


def _read_exif(image: Image.Image) -> tuple[int, str]:
    """Return orientation and camera; where EXIF is garbage, the picture still counts."""
    try:
        exif = image.getexif()
        names = [str(exif.get(tag, "")).strip(" \0") for tag in (_EXIF_MAKE, _EXIF_MODEL)]
        return int(exif.get(_EXIF_ORIENTATION, 1) or 1), " ".join(filter(None, names))
    except Exception:
        return 1, ""


_REDUCED = {
    (2, 1): cv2.IMREAD_REDUCED_GRAYSCALE_2,
    (4, 1): cv2.IMREAD_REDUCED_GRAYSCALE_4,
    (8, 1): cv2.IMREAD_REDUCED_GRAYSCALE_8,
    (2, 3): cv2.IMREAD_REDUCED_COLOR_2,
    (4, 3): cv2.IMREAD_REDUCED_COLOR_4,
    (8, 3): cv2.IMREAD_REDUCED_COLOR_8,
}


def decode_raster(data: bytes, header: Header, reduction: int) -> Array:
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
