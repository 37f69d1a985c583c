"""What an image file says of itself before a pixel is decoded."""

from __future__ import annotations

import io
import re
import struct
import warnings
import zlib
from dataclasses import dataclass
from threading import Lock

from PIL import Image, UnidentifiedImageError

# What Pillow may try; the others are recognised by their first bytes.
_PILLOW_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "PPM")
FORMAT_NAMES = "PNG, JPEG, TIFF, WebP, BMP, GIF, PNM, NumPy or DICOM"
# So many first bytes of a file tell whether it is an image: DICOM's mark stands behind 128.
HEAD_BYTES = 132

# Pillow's own bound for a decompression bomb: 2 × 89.5 million pixels, about 13,377 × 13,377.
MAX_PIXELS = 178_956_970

_EXIF_ORIENTATION, _EXIF_MAKE, _EXIF_MODEL = 0x0112, 0x010F, 0x0110

# Silencing Pillow's warnings changes a state that all threads share.
_PILLOW = Lock()
# Sizes of a BMP's second header, low 16 bits.
_BMP_HEADERS = {size.to_bytes(2, "little") for size in (12, 16, 40, 52, 56, 64, 108, 124)}
_PNM_START = re.compile(rb"P[1-6]\s+(#|\d)")
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


class ImageError(Exception):
    """A file that cannot be read as an image; the message says why, without the path."""


@dataclass(frozen=True)
class Header:
    """What a file says of itself.

    Attributes:
        format: ``PNG``, ``JPEG``, ``TIFF``, ``WEBP``, ``BMP``, ``GIF``, ``PPM`` (any PNM), ``NPY``,
            ``NPZ`` or ``DICOM``.
        mode: As Pillow names it (``L``, ``RGBA``, ``P``, ``I;16``), or the type of an array.
        width: As stored, in pixels.
        height: As stored, in pixels.
        bits: Per channel.
        channels: Without alpha; all pages, frames and planes of a picture count.
        alpha: Whether it is transparent somewhere, or may be.
        frames: Pages or pictures in the file.
        orientation: EXIF's, 1–8; 1 where the file has none or its format is turned upright.
        camera: EXIF's make and model, or an empty text.
        maximum: The value of full scale where the file names another than its type's (PNM).
        clear_level: The grey that a picture declares transparent, of its type's full scale.
    """

    format: str
    mode: str
    width: int
    height: int
    bits: int
    channels: int
    alpha: bool = False
    frames: int = 1
    orientation: int = 1
    camera: str = ""
    maximum: int | None = None
    clear_level: int | None = None


def is_image(head: bytes) -> bool:
    """Tell from a file's first ``HEAD_BYTES`` whether it is of a format we read.

    A ``.npz`` is a zip like many others: only its name tells.
    """
    return (
        head.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a"))
        or is_tiff(head)
        or head.startswith(b"\x93NUMPY")
        or is_dicom(head)
        or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
        # Two letters alone would take a text such as "BMI,age" for a picture.
        or (head[:2] == b"BM" and head[14:16] in _BMP_HEADERS)
        or _PNM_START.match(head) is not None
    )


def is_tiff(head: bytes) -> bool:
    return head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"))


def is_dicom(head: bytes) -> bool:
    return head[128:132] == b"DICM"


def read_header(data: bytes) -> Header:
    """Read what an image file says of itself, and check its size before a pixel is decoded.

    Args:
        data: The whole file: TIFF and EXIF may name places far behind its beginning.

    Raises:
        ImageError: If the data are no image, damaged before the pixels, or too large.
    """
    if not data:
        raise ImageError("is empty (0 bytes)")
    if data.startswith((b"\x93NUMPY", b"PK\x03\x04")):
        from cnncli.images.npy import read_array_header

        header = read_array_header(data)
    elif is_tiff(data):
        from cnncli.images.tiff import read_tiff_header

        header = read_tiff_header(data)
    elif is_dicom(data):
        from cnncli.images.dicom import read_dicom_header

        header = read_dicom_header(data)
    else:
        header = _read_with_pillow(data)
    check_size(header.width, header.height)
    return header


def check_size(width: int, height: int) -> None:
    """Refuse what would fill the memory, whatever the file says else."""
    if width * height > MAX_PIXELS:
        raise ImageError(_too_large(f"{width}×{height}"))


def _too_large(what: str) -> str:
    return f"is too large: {what} has more than {MAX_PIXELS:,} pixels; make it smaller first"


def _read_with_pillow(data: bytes) -> Header:
    try:
        with _PILLOW, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # we have our own bound, and corrupt EXIF is harmless
            image = Image.open(io.BytesIO(data), formats=_PILLOW_FORMATS)
            check_size(*image.size)
            return _describe(data, image)
    except UnidentifiedImageError:
        raise ImageError(f"is not an image of a known format ({FORMAT_NAMES})") from None
    except Image.DecompressionBombError:
        raise ImageError(_too_large("this image")) from None
    except ImageError:
        raise
    except Exception as error:  # Pillow raises what its parsers stumble on: SyntaxError, struct…
        raise damaged(error) from None


def damaged(error: Exception) -> ImageError:
    """Return the error of a file whose structure does not hold together."""
    reason = " ".join(str(error).split()) or type(error).__name__
    return ImageError(f"is damaged or cut short ({reason})")


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
