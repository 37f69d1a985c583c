"""AVIF and JPEG 2000: Pillow reads them, and OpenCV the JPEG 2000 files of more than 8 bits."""

from __future__ import annotations

import io
import struct
import warnings

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError, features

from cnncli.arrays import Array
from cnncli.images.header import Header, ImageError, check_size, damaged, too_large
from cnncli.images.raster import MODES, PILLOW_LOCK, read_exif, stretch

_PILLOW_FORMATS = ("AVIF", "JPEG2000")
# The marker of a JPEG 2000 codestream's image size, behind the marker of its start.
_SIZE_MARKER = b"\xff\x4f\xff\x51"


def read_header(data: bytes) -> Header:
    """Return what a file says about itself; see :class:`cnncli.images.formats.FormatModule`."""
    avif = data[4:8] == b"ftyp"
    if not features.check("avif" if avif else "jpg_2000"):
        name = "AVIF" if avif else "JPEG 2000"
        raise ImageError(f"is {name}, which this Pillow cannot read: pip install -U pillow")
    try:
        with PILLOW_LOCK, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(data), formats=_PILLOW_FORMATS)
            check_size(*image.size)
            channels, alpha = MODES.get(image.mode, (3, False))
            orientation, camera = read_exif(image) if avif else (1, "")
            bits = 8 if avif else _read_bits(data)
            return Header(
                format="AVIF" if avif else "JPEG 2000",
                mode=image.mode,
                width=image.width,
                height=image.height,
                bits=bits,
                channels=channels,
                alpha=alpha,
                frames=getattr(image, "n_frames", 1) if avif else 1,
                orientation=orientation,
                camera=camera,
                maximum=2**bits - 1,
            )
    except UnidentifiedImageError:
        raise ImageError("is damaged or cut short") from None
    except Image.DecompressionBombError:
        raise too_large("this image") from None
    except ImageError:
        raise
    except Exception as error:  # Pillow's parsers raise errors of many types
        raise damaged(error) from None


def _read_bits(data: bytes) -> int:
    """Return the bits per channel of a JPEG 2000 file. Source: ISO/IEC 15444-1, A.5.1 (SIZ)."""
    place = data.find(_SIZE_MARKER)
    (components,) = struct.unpack_from(">H", data, place + 40)
    depths = [(data[place + 42 + 3 * number] & 0x7F) + 1 for number in range(components)]
    if place < 0 or max(depths) > 16:
        raise ImageError(f"is JPEG 2000 of {max(depths)} bits; 16 can be read")
    return max(depths)


def decode_pixels(data: bytes, header: Header, *, raw: bool, reduction: int) -> tuple[Array, bool]:
    """Return an (H, W, C) array of uint8 or uint16, and whether its last channel is alpha.

    Arguments and errors are those of :class:`cnncli.images.formats.FormatModule`.
    """
    if header.bits > 8:
        return _decode_deep(data, header)
    try:
        image: Image.Image = Image.open(io.BytesIO(data), formats=_PILLOW_FORMATS)
        image.load()
        if image.mode not in ("L", "LA", "RGB", "RGBA"):
            image = image.convert("RGBA" if header.alpha else "RGB")
        array = np.atleast_3d(np.asarray(image))
    except Exception as error:
        raise damaged(error) from None
    return array, array.shape[2] in (2, 4)


def _decode_deep(data: bytes, header: Header) -> tuple[Array, bool]:
    """Return the pixels of a JPEG 2000 file of 9 to 16 bits, stretched to uint16."""
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ImageError(f"cannot be decoded ({error.err})") from None
    if pixels is None:
        raise ImageError("is damaged, cut short, or of channels that cannot be read")
    array = np.atleast_3d(pixels)
    if int(array.max()) <= (header.maximum or 0):
        array = stretch(array, header.maximum)
    if array.shape[2] in (3, 4):
        array = array[..., [2, 1, 0, 3][: array.shape[2]]]
    return array, array.shape[2] == 4
