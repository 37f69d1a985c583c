"""TIFF: any number of channels and pages, 1 to 64 bits, whole numbers and floats.

tifffile reads the structure of a file, and the pixels if NumPy and zlib alone can unpack them. The
other compressions (LZW, JPEG, fax) are unpacked by Pillow and OpenCV, which contain libtiff.
"""

from __future__ import annotations

import io
import logging
import struct
from typing import Any

import cv2
import numpy as np
import tifffile
from PIL import Image

from cnncli.arrays import Array
from cnncli.images.header import Header, ImageError, check_size, damaged
from cnncli.images.orientation import turn_back

# Values of TIFF's tags. Source: TIFF 6.0, PhotometricInterpretation, ExtraSamples, Compression.
_MINISWHITE, _PALETTE, _CMYK, _YCBCR = 0, 3, 5, 6
# An extra sample that is alpha; the colours are already multiplied by an associated one.
_ASSOCIATED, _UNASSOCIATED = 1, 2
# Compressions that need no package beside NumPy: none, deflate (two numbers), PackBits.
_PLAIN = (1, 8, 32946, 32773)

# Our own message says that a file is damaged; tifffile should not print it as well.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)


def read_header(data: bytes) -> Header:
    """Return what a file says about itself; see :class:`cnncli.images.formats.FormatModule`.

    The channels of all pages count, except of pages that are marked as thumbnails.
    """
    with _open(data) as file:
        pages = _pages(file)
        page = pages[0]
        samples, alpha = _samples(page)
        tags = {name: page.tags.get(name) for name in ("Make", "Model")}
        camera = " ".join(str(tag.value).strip() for tag in tags.values() if tag is not None)
        return Header(
            format="TIFF",
            mode=f"{_colour(page)};{_dtype(page).name}",
            width=page.imagewidth,
            height=page.imagelength,
            bits=page.bitspersample if isinstance(page.bitspersample, int) else 8,
            channels=samples * len(pages),
            alpha=alpha,
            frames=len(pages),
            orientation=_orientation(page),
            camera=camera,
        )


def decode_pixels(data: bytes, header: Header, *, raw: bool, reduction: int) -> tuple[Array, bool]:
    """Return an (H, W, C) array and whether its last channel is alpha.

    The array has the file's own number type, colours in the order red, green, blue, black as 0,
    and the channels of all pages side by side. Arguments and errors are those of
    :class:`cnncli.images.formats.FormatModule`.
    """
    with _open(data) as file:
        pages = _pages(file)
        alpha = _samples(pages[0])[1]
        try:
            arrays = [_read_page(data, file, page) for page in pages]
        except ImageError:
            raise
        except Exception as error:
            raise damaged(error) from None
    return np.concatenate(arrays, axis=2), alpha


def _open(data: bytes) -> tifffile.TiffFile:
    try:
        return tifffile.TiffFile(io.BytesIO(data))
    except Exception as error:
        raise damaged(error) from None


def _pages(file: tifffile.TiffFile) -> list[Any]:
    """Return the pages that are no thumbnails.

    Raises:
        ImageError: If the file is damaged, or its pages cannot be channels of one picture.
    """
    _refuse_camera_raw(file)
    try:
        pages = [file.pages[number] for number in range(len(file.pages))]
        pages = [page.aspage() for page in pages]
        if _next_page(file, pages[-1]):  # tifffile silently leaves out a page behind the end
            raise ImageError("is damaged or cut short")  # noqa: TRY301 - raised again below
        full = [page for page in pages if not page.is_reduced] or pages[:1]
        sizes = {(page.imagelength, page.imagewidth) for page in full}
    except ImageError:
        raise
    except Exception as error:
        raise damaged(error) from None
    if not full or min(next(iter(sizes))) < 1:
        raise ImageError("is damaged or cut short (no picture in it)")
    if len(sizes) > 1:
        raise ImageError(f"has {len(full)} pages of different sizes; channels are of one size")
    check_size(full[0].imagewidth, full[0].imagelength)
    alphas = {_samples(page)[1] for page in full}
    if len(full) > 1 and True in alphas:
        raise ImageError("has several pages with alpha; save them without it")
    return full


def _refuse_camera_raw(file: tifffile.TiffFile) -> None:
    """Refuse DNG, NEF, ARW and the like: their first page is a preview, not the picture.

    Raises:
        ImageError: If the file says that it is DNG, or its first page is a thumbnail of others.
    """
    try:
        tags = file.pages[0].tags
        preview = "SubIFDs" in tags and int(tags.valueof("NewSubfileType", 0)) & 1
        raw = "DNGVersion" in tags or preview
    except Exception as error:
        raise damaged(error) from None
    if raw:
        raise ImageError("is a camera's raw file, which cannot be read; convert it to PNG or TIFF")


def _next_page(file: tifffile.TiffFile, page: Any) -> int:
    """Return the position in the file of the page that follows ``page``; 0 after the last."""
    tiff, handle = file.tiff, file.filehandle
    handle.seek(page.offset)
    (tags,) = struct.unpack(tiff.tagnoformat, handle.read(tiff.tagnosize))
    handle.seek(page.offset + tiff.tagnosize + tags * tiff.tagsize)
    (place,) = struct.unpack(tiff.offsetformat, handle.read(tiff.offsetsize))
    return int(place)


def _samples(page: Any) -> tuple[int, bool]:
    """Return the number of a page's channels without alpha, and whether it has alpha."""
    if page.photometric == _PALETTE:
        return 3, False
    alpha = bool(page.extrasamples) and page.extrasamples[0] in (_ASSOCIATED, _UNASSOCIATED)
    samples = page.samplesperpixel - alpha
    return (3 if page.photometric == _CMYK and samples == 4 else samples), alpha


def _colour(page: Any) -> str:
    """Return a page's pixel layout by Pillow's names, or its number of channels."""
    return {_PALETTE: "P", _CMYK: "CMYK"}.get(int(page.photometric)) or (
        {1: "L", 3: "RGB"}.get(_samples(page)[0], f"{_samples(page)[0]}") + "A" * _samples(page)[1]
    )


def _dtype(page: Any) -> np.dtype[Any]:
    kind: np.dtype[Any] | None = None if page.dtype is None else np.dtype(page.dtype)
    if kind is None or kind.kind not in "buif":  # others are complex numbers, or unknown
        raise ImageError("holds values of a type that is not supported")
    return kind


def _orientation(page: Any) -> int:
    tag = page.tags.get("Orientation")
    return int(tag.value) if tag is not None and 1 <= int(tag.value) <= 8 else 1


def _read_page(data: bytes, file: tifffile.TiffFile, page: Any) -> Array:
    """Return the pixels of a page, (H, W, C) with alpha last; raises ImageError if it cannot."""
    if page.compression not in _PLAIN or page.photometric in (_CMYK, _YCBCR):
        return _read_with_libtiff(data, page, list(file.pages).index(page))
    if len(page.dataoffsets) == 0 or any(
        start + count > len(data)
        for start, count in zip(page.dataoffsets, page.databytecounts, strict=True)
    ):
        raise ImageError("is damaged or cut short")  # tifffile would fill the rest with zeros
    array = page.asarray()
    if page.axes == "SYX":
        array = np.moveaxis(array, 0, 2)
    array = np.asarray(array).reshape(page.imagelength, page.imagewidth, -1)
    if page.photometric == _PALETTE:
        palette = np.asarray(page.colormap)  # (3, colours), 16 bits of which the upper 8 count
        return np.asarray(palette.T[array[..., 0]] // 256, dtype=np.uint8)
    return _finish(array, page)


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
    if page.extrasamples and page.extrasamples[0] == _ASSOCIATED and array.dtype.kind == "u":
        full = np.iinfo(array.dtype).max
        alpha = np.maximum(array[..., -1:].astype(np.uint64), 1)
        colours = (array[..., :-1].astype(np.uint64) * full + alpha // 2) // alpha
        array = np.concatenate(
            [np.minimum(colours, full).astype(array.dtype), array[..., -1:]], axis=2
        )
    return array


def _read_with_libtiff(data: bytes, page: Any, number: int) -> Array:
    """Return the pixels of page ``number``, (H, W, C), unpacked by OpenCV or Pillow.

    Both turn a picture upright; here it is turned back to how it is stored, as `decode` expects.

    Raises:
        ImageError: If the page is damaged, or neither library can unpack it.
    """
    samples, alpha = _samples(page)
    if _dtype(page).itemsize > 1 and samples in (1, 3):
        found, pages = cv2.imdecodemulti(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        if not found or number >= len(pages):
            raise ImageError("is damaged or cut short")
        array = np.atleast_3d(pages[number])
        order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}.get(array.shape[2])
        if order is None or (array.shape[2] == 4) != alpha:
            raise _packed(page)
        array = array[..., order]
        if page.photometric == _MINISWHITE:
            array = np.iinfo(array.dtype).max - array
    elif samples in (1, 3):
        image = Image.open(io.BytesIO(data), formats=["TIFF"])
        image.seek(number)
        mode = {(1, False): "L", (3, False): "RGB", (1, True): "LA", (3, True): "RGBA"}
        array = np.atleast_3d(np.asarray(image.convert(mode[samples, alpha])))
    else:
        raise _packed(page)
    return turn_back(array, _orientation(page))


def _packed(page: Any) -> ImageError:
    """Return the ImageError for a page that is compressed in a way that cannot be unpacked."""
    return ImageError(
        f"is a TIFF of {page.samplesperpixel} samples with {page.compression.name} compression, "
        "which cannot be unpacked here; save it uncompressed or with deflate"
    )
