"""The pixels of one page of a TIFF.

tifffile unpacks what NumPy and zlib alone can unpack. The other compressions (LZW, JPEG, fax),
floats with a predictor and values of 2, 4, 10, 12 or 14 bits are unpacked by Pillow and OpenCV,
which contain libtiff.
"""

from __future__ import annotations

import io
import math
from typing import Any

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from cnncli.arrays import Array
from cnncli.images.header import ImageError, damaged
from cnncli.images.orientation import turn_back

# Values of TIFF's tags. Source: TIFF 6.0, PhotometricInterpretation,
# PlanarConfiguration, Predictor, ExtraSamples, Compression.
_MINISWHITE, PALETTE, CMYK, _YCBCR = 0, 3, 5, 6
COLOURS = (_MINISWHITE, 1, 2, PALETTE, CMYK, _YCBCR)  # 1 and 2: grey with black as 0, RGB
_SEPARATE, _FLOAT_PREDICTOR = 2, 3
# An extra sample that is alpha; the colours are already multiplied by an associated one.
_ASSOCIATED, _UNASSOCIATED = 1, 2
# Compressions that need no package beside NumPy: none, deflate (two numbers), PackBits.
UNCOMPRESSED = 1
_PLAIN = (UNCOMPRESSED, 8, 32946, 32773)
# Those that every libtiff unpacks: three of fax, LZW, JPEG.
_COMMON = (2, 3, 4, 5, 7)


def count_samples(page: Any) -> tuple[int, bool]:
    """Return the number of a page's channels without alpha, and whether it has alpha."""
    if page.photometric == PALETTE:
        return 3, False
    alpha = bool(page.extrasamples) and page.extrasamples[0] in (_ASSOCIATED, _UNASSOCIATED)
    samples = page.samplesperpixel - alpha
    return (3 if page.photometric == CMYK and samples == 4 else samples), alpha


def number_type(page: Any) -> np.dtype[Any]:
    """Return the type of a page's numbers; raises ImageError if it cannot be read."""
    kind: np.dtype[Any] | None = None if page.dtype is None else np.dtype(page.dtype)
    if kind is None or kind.kind not in "buif":  # others are complex numbers, or unknown
        raise ImageError("holds values of a type that is not supported")
    return kind


def read_orientation(page: Any) -> int:
    """Return the orientation that a page names, 1 to 8; 1, upright, if it names none."""
    tag = page.tags.get("Orientation")
    return int(tag.value) if tag is not None and 1 <= int(tag.value) <= 8 else 1


def _is_plain(page: Any) -> bool:
    """Return whether tifffile unpacks a page with nothing beside NumPy, and in RGB or grey."""
    return (
        page.compression in _PLAIN
        and page.photometric not in (CMYK, _YCBCR)
        and page.bitspersample in (1, 8, 16, 32, 64)
        and page.predictor != _FLOAT_PREDICTOR
    )


def read_page(data: bytes, page: Any) -> Array:
    """Return the pixels of a page, (H, W, C) with alpha last; raises ImageError if it cannot."""
    if not _is_plain(page):
        return _read_with_libtiff(data, page, page.index)
    if len(page.dataoffsets) < math.prod(page.chunked) or any(
        start + count > len(data)
        for start, count in zip(page.dataoffsets, page.databytecounts, strict=True)
    ):
        raise ImageError("is damaged or cut short")  # tifffile would fill the rest with zeros
    array = page.asarray()
    if page.axes == "SYX":
        array = np.moveaxis(array, 0, 2)
    array = np.asarray(array).reshape(page.imagelength, page.imagewidth, -1)
    if page.photometric == PALETTE:
        return _look_up_colours(array[..., 0], page)
    return _finish(array, page)


def _look_up_colours(numbers: Array, page: Any) -> Array:
    """Return the colours (H, W, 3) of a page with a palette, as uint8, for their numbers (H, W)."""
    # (3, colours) of 16 bits, of which the upper 8 count; some programs write 8 bits.
    palette = np.asarray(page.colormap)
    eight = palette // 256 if palette.max() > 255 else palette
    return np.asarray(eight.T[numbers], dtype=np.uint8)


def _finish(array: Array, page: Any) -> Array:
    """Undo inverted grey, values of unusual bit depths and colours multiplied by their alpha.

    Args:
        array: Array (H, W, C) as stored.
        page: The page that it was read from.

    Returns:
        Array (H, W, C); values of 1–7 bits are stretched to uint8, of 9–15 bits to uint16.
    """
    bits = page.bitspersample if isinstance(page.bitspersample, int) else 8
    if array.dtype == bool or (array.dtype.kind == "u" and bits not in (8, 16, 32, 64)):
        full = 2**bits - 1
        top = 255 if bits <= 8 else 65535
        array = (array.astype(np.uint32) * top + full // 2) // full
        array = array.astype(np.uint8 if bits <= 8 else np.uint16)
    if page.photometric == _MINISWHITE and array.dtype.kind == "u":
        array = np.iinfo(array.dtype).max - array
    if len(page.extrasamples) > 1 and count_samples(page)[1]:  # alpha is the first of them
        place = array.shape[2] - len(page.extrasamples)
        array = np.concatenate(
            [array[..., :place], array[..., place + 1 :], array[..., place : place + 1]], axis=2
        )
    return _divide_by_alpha(array, page)


def _divide_by_alpha(array: Array, page: Any) -> Array:
    """Return (H, W, C) with alpha last, whose colours are no more multiplied by their alpha."""
    if not (page.extrasamples and page.extrasamples[0] == _ASSOCIATED):
        return array
    colours, alpha = array[..., :-1], array[..., -1:]
    if array.dtype.kind == "f":
        divided = np.divide(colours, alpha, out=np.zeros_like(colours), where=alpha > 0)
    elif array.dtype.kind == "u":
        full = np.iinfo(array.dtype).max
        some = np.maximum(alpha.astype(np.uint64), 1)
        whole = (colours.astype(np.uint64) * full + some // 2) // some
        divided = np.minimum(whole, full).astype(array.dtype)
    else:
        return array
    return np.concatenate([divided, alpha], axis=2)


def _read_with_libtiff(data: bytes, page: Any, number: int) -> Array:
    """Return the pixels of page ``number``, (H, W, C), unpacked by OpenCV or Pillow.

    Both turn a picture upright; here it is turned back to how it is stored, as `decode` expects.

    Raises:
        ImageError: If the page is damaged, or neither library can unpack it.
    """
    samples, alpha = count_samples(page)
    kind = number_type(page)
    if samples not in (1, 3) or kind == np.int8:  # Pillow leaves out the sign
        raise _packed(page)
    if kind.itemsize > 1:
        return turn_back(_read_with_opencv(data, page, number), read_orientation(page))
    mode = {(1, False): "L", (3, False): "RGB", (1, True): "LA", (3, True): "RGBA"}
    try:
        image = Image.open(io.BytesIO(data), formats=["TIFF"])
        image.seek(number)
        if image.mode == "P":
            array = _look_up_colours(np.asarray(image), page)
        else:
            array = np.atleast_3d(np.asarray(image.convert(mode[samples, alpha])))
    except UnidentifiedImageError:  # a layout that Pillow does not know
        raise _packed(page) from None
    except Exception as error:  # Pillow's parsers raise errors of many types
        raise damaged(error) if page.compression in _COMMON else _packed(page) from None
    return turn_back(array, read_orientation(page))


def _read_with_opencv(data: bytes, page: Any, number: int) -> Array:
    """Return the pixels of page ``number`` of more than 8 bits, (H, W, C), turned upright.

    OpenCV takes planes that lie one behind the other for pixels that lie side by side.

    Raises:
        ImageError: If the page is damaged, or OpenCV cannot unpack it.
    """
    alpha = count_samples(page)[1]
    planes = page.planarconfig == _SEPARATE and page.samplesperpixel > 1
    unknown_to_libtiff = page.predictor == _FLOAT_PREDICTOR and page.compression in (1, 32773)
    if planes or unknown_to_libtiff:
        raise _packed(page)
    found, pages = cv2.imdecodemulti(
        np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED, range=(number, number + 1)
    )
    if not found:
        raise (
            ImageError("is damaged or cut short") if page.compression in _COMMON else _packed(page)
        )
    array = np.atleast_3d(pages[0])
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}.get(array.shape[2])
    if order is None or (array.shape[2] == 4) != alpha:
        raise _packed(page)
    array = array[..., order]
    if array.dtype == np.uint16 and page.bitspersample < 16:
        array = array >> (16 - page.bitspersample)  # OpenCV puts 12 bits into the upper 12 of 16
    return _finish(array, page)


def _packed(page: Any) -> ImageError:
    """Return the ImageError for a page that is stored in a way that cannot be unpacked."""
    samples = f"{page.samplesperpixel} sample{'s' * (page.samplesperpixel > 1)}"
    planes = " in separate planes" if page.planarconfig == _SEPARATE else ""
    what = f"is a TIFF of {samples} of {page.bitspersample} bits{planes}"
    if page.compression == UNCOMPRESSED:
        return ImageError(f"{what}, which cannot be unpacked here; save it with 8, 16 or 32 bits")
    return ImageError(
        f"{what} with {page.compression.name} compression, which cannot be unpacked here; save it "
        "uncompressed or with deflate"
    )
