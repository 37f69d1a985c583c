"""PNG, JPEG, WebP, BMP, GIF and PNM: Pillow reads headers, OpenCV pixels but for those of JPEG."""

from __future__ import annotations

import io
import re
import struct
import warnings
import zlib
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING

import cv2
import numpy as np

from cnncli.arrays import Array
from cnncli.images.header import Header, ImageError, check_size, damaged, too_large
from cnncli.images.jpeg import check_kind, decode_jpeg, read_plain_header

if TYPE_CHECKING:
    from PIL import Image

# The decoders that Pillow may try, by Pillow's names.
_PILLOW_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "PPM")
_EXIF_ORIENTATION, _EXIF_MAKE, _EXIF_MODEL = 0x0112, 0x010F, 0x0110

# Pillow's warnings are silenced by a state that all threads share: one thread at a time.
PILLOW_LOCK = Lock()

# The third number of a PNM file, with comments in between.
_PNM_MAXIMUM = re.compile(rb"P[2356](?:\s+|\s*#[^\n]*\n)+(?:\d+(?:\s+|\s*#[^\n]*\n)+){2}(\d+)\s")

# How a PNG begins: its signature, and the length and name of its first chunk.
_PNG_BEGIN = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
# Of PNG's colour types without a palette: Pillow's mode, channels without alpha, whether alpha.
_PLAIN_COLOURS = {
    0: ("L", 1, False),
    2: ("RGB", 3, False),
    4: ("LA", 1, True),
    6: ("RGBA", 3, True),
}

# Of each of Pillow's modes: the number of channels without alpha, and whether there is alpha.
MODES = {
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


def read_header(data: bytes) -> Header:
    """Return what a file says about itself; see :class:`cnncli.images.formats.FormatModule`."""
    is_jpeg = data.startswith(b"\xff\xd8")
    plain = read_plain_header(data) if is_jpeg else _read_plain_png(data)
    if plain is not None:
        return plain
    if is_jpeg:
        check_kind(data)
    from PIL import Image, UnidentifiedImageError  # takes a while to load

    try:
        with PILLOW_LOCK, warnings.catch_warnings():
            # They are about corrupt EXIF, which is harmless, and about size, which we check.
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(data), formats=_PILLOW_FORMATS)
            check_size(*image.size)
            return _describe(data, image)
    except UnidentifiedImageError:  # it begins as one of these formats, but goes on otherwise
        raise ImageError("is damaged or cut short") from None
    except Image.DecompressionBombError:
        raise too_large("this image") from None
    except ImageError:
        raise
    except Exception as error:  # Pillow's parsers raise SyntaxError, struct.error and others
        raise damaged(error) from None


def _read_plain_png(data: bytes) -> Header | None:
    """Return the header of a PNG of 8 bits with nothing but pixels in it; None for any other file.

    Most small PNGs are of this kind. Pillow takes as long for its header as OpenCV for its pixels.

    Raises:
        ImageError: If it is damaged, or too large.
    """
    if data[:16] != _PNG_BEGIN or len(data) < 33:
        return None
    width, height, bits, colour, *others = struct.unpack_from(">IIBBBBB", data, 16)
    if bits != 8 or colour not in _PLAIN_COLOURS or any(others) or not (width and height):
        return None
    if data[37:41] != b"IDAT" or not (_is_one_piece(data) or _has_no_notes(data)):
        return None
    check_size(width, height)
    _check_png(data)
    return _describe_plain_png(colour, width, height)


@lru_cache(256)
def _describe_plain_png(colour: int, width: int, height: int) -> Header:
    """Return the header of a plain PNG; it takes longer to build than to find a built one."""
    mode, channels, alpha = _PLAIN_COLOURS[colour]
    return Header("PNG", mode, width, height, 8, channels, alpha)


def _is_one_piece(data: bytes) -> bool:
    """Return whether a PNG is its first chunk, one chunk of pixels and its end, and no more."""
    end = 45 + int.from_bytes(data[33:37], "big")  # of the chunk of pixels
    return len(data) == end + 12 and data[37:41] == b"IDAT" and data[end + 4 : end + 8] == b"IEND"


def _has_no_notes(data: bytes) -> bool:
    """Return whether a PNG has no chunk that says more of its picture than pixels and colours."""
    return not any(mark in data for mark in (b"tRNS", b"eXIf", b"tEXt", b"zTXt", b"iTXt", b"acTL"))


def _describe(data: bytes, image: Image.Image) -> Header:
    kind = "JPEG" if image.format == "MPO" else str(image.format)
    channels, alpha = MODES.get(image.mode, (3, False))
    clear = image.info.get("transparency")
    bits, maximum, orientation, camera = 8, None, 1, ""
    has_exif = True
    if kind == "PNG":
        _check_png(data)
        bits = data[24]
        # Pillow decodes the whole file to look for EXIF behind the pixels: do not ask without need.
        has_exif = b"eXIf" in data or b"Raw profile type exif" in data
        # Pillow's mode of a 16-bit picture does not say whether it has alpha; the PNG's colour type
        # does: 4 is grey with alpha, 6 is colour with alpha.
        if data[25] in (4, 6):
            channels, alpha = (1 if data[25] == 4 else 3), True
    elif kind == "PPM":
        maximum = _read_pnm_maximum(data)
        bits = 16 if (maximum or 255) > 255 else 1 if image.mode == "1" else 8
    if has_exif and kind in ("PNG", "JPEG", "WEBP"):
        orientation, camera = read_exif(image)
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
    """Return the transparent grey level on the scale of the decoded pixels, or None.

    A PNG names it on the scale of its own bits; OpenCV stretches fewer than 8 bits to 0–255.
    """
    clear = image.info.get("transparency")
    if image.mode not in ("1", "L", "I;16", "I") or not isinstance(clear, int):
        return None
    if bits == 1:  # Pillow may have changed 1 to 255
        return 255 * bool(clear)
    return clear if bits in (8, 16) else clear * 255 // (2**bits - 1)


def _read_pnm_maximum(data: bytes) -> int | None:
    """Return the stored value of white, or None where the decoded pixels have the full scale."""
    match = _PNM_MAXIMUM.match(data)
    maximum = int(match[1]) if match else 0
    # OpenCV stretches the values itself in text files (P2, P3) of 8 bits, and in no others.
    stretched = data[1:2] in b"23" and maximum <= 255
    return None if stretched else maximum or None


def _check_png(data: bytes) -> None:
    """Check the chunks of a PNG up to its end.

    libpng would refuse a damaged file too, but it also prints a message of its own on stderr.

    Raises:
        ImageError: If a chunk that the picture needs is damaged, or the end is missing.
    """
    place = 8
    while True:
        length, kind = int.from_bytes(data[place : place + 4], "big"), data[place + 4 : place + 8]
        end = place + 8 + length
        if end + 4 > len(data):
            raise ImageError("is damaged or cut short")
        if kind == b"IEND":
            return
        needed = kind[:1].isupper()  # PNG's mark of chunks without which there is no picture
        (checksum,) = struct.unpack_from(">I", data, end)
        if needed and zlib.crc32(memoryview(data)[place + 4 : end]) != checksum:
            raise ImageError(f"is damaged (a wrong checksum {place:,} bytes into the file)")
        place = end + 4


def _keep_picture(data: bytes) -> bytes:
    """Return a PNG with nothing beside its picture, which `_check_png` has found to be whole.

    libpng reads all else too, and says on stderr, without the file's name, what it finds odd in a
    colour profile.
    """
    if _is_one_piece(data):
        return data
    place, parts = 8, [data[:8]]
    while place < len(data):
        end = place + 12 + int.from_bytes(data[place : place + 4], "big")
        kind = data[place + 4 : place + 8]
        if kind[:1].isupper() or kind == b"tRNS":
            parts.append(data[place:end])
        if kind == b"IEND":
            break
        place = end
    return b"".join(parts)


def read_exif(image: Image.Image) -> tuple[int, str]:
    """Return the EXIF orientation, and the camera's maker and model as one text.

    Damaged EXIF data give 1 and an empty text, because the picture itself can still be used.
    """
    try:
        exif = image.getexif()
        names = [str(exif.get(tag, "")).strip(" \0") for tag in (_EXIF_MAKE, _EXIF_MODEL)]
        return int(exif.get(_EXIF_ORIENTATION, 1) or 1), " ".join(filter(None, names))
    except Exception:
        return 1, ""


def decode_pixels(data: bytes, header: Header, *, raw: bool, reduction: int) -> tuple[Array, bool]:
    """Return an (H, W, C) array of uint8 or uint16 with C from 1 to 4, and whether it has alpha.

    Arguments and errors are those of :class:`cnncli.images.formats.FormatModule`.
    """
    if header.format == "JPEG":
        return decode_jpeg(data, header, reduction), False
    if header.format == "BMP" and int.from_bytes(data[28:30], "little") == 16:
        return _decode_bmp_16(data), False
    if header.format == "PNG":
        data = _keep_picture(data)
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ImageError(f"cannot be decoded ({error.err})") from None
    if pixels is None:
        raise ImageError("is damaged or cut short")
    array = stretch(pixels[..., None] if pixels.ndim == 2 else pixels, header.maximum)
    if array.shape[2] in (3, 4):
        array = array[..., [2, 1, 0, 3][: array.shape[2]]]
    if array.shape[2] == 4 and header.channels == 1:
        array = array[..., [0, 3]]  # OpenCV returns grey with alpha as colour with alpha
    if header.clear_level is not None and array.shape[2] == 1:
        opaque = (array != header.clear_level).astype(array.dtype)
        array = np.concatenate([array, opaque * np.iinfo(array.dtype).max], axis=2)
    return array, array.shape[2] in (2, 4)


def _decode_bmp_16(data: bytes) -> Array:
    """Return the pixels (H, W, 3) of a BMP of 16 bits; OpenCV makes its white 248 of 255."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=["BMP"]) as image:
            return np.asarray(image.convert("RGB"))
    except Exception as error:  # Pillow's parsers raise errors of many types
        raise damaged(error) from None


def stretch(array: Array, maximum: int | None) -> Array:
    """Stretch values from 0–``maximum`` to the full scale of their type.

    Args:
        array: Pixels of uint8 or uint16, of any shape; other types are returned unchanged.
        maximum: The stored value of white; None means that the values have the full scale already.
    """
    if maximum is None or array.dtype.kind != "u":
        return array
    full = 255 if array.dtype == np.uint8 else 65535
    if maximum == full:
        return array
    levels = (array.astype(np.uint64) * full + maximum // 2) // maximum
    return np.minimum(levels, full).astype(array.dtype)
