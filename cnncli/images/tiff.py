"""TIFF: any number of samples and pages, 8 to 64 bits, whole numbers and floats.

tifffile reads the structure, and the pixels of everything that NumPy and zlib can unpack; the
other compressions (LZW, JPEG, fax) go through Pillow's and OpenCV's libtiff.
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

_MINISWHITE, _PALETTE, _CMYK, _YCBCR = 0, 3, 5, 6
# Extra samples that are transparency: colours multiplied by it already, or not.
_ASSOCIATED, _UNASSOCIATED = 1, 2
# Compressions that need no package beside NumPy: none, deflate (two numbers), PackBits.
_PLAIN = (1, 8, 32946, 32773)

# Damage is told once, by us.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)


def read_tiff_header(data: bytes) -> Header:
    """Describe a TIFF; pages of one size count as channels, flagged thumbnails do not."""
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


def decode_tiff(data: bytes) -> tuple[Array, bool]:
    """Return (H, W, C) as stored but upright in colour: RGB, black is 0; and whether C has alpha.

    Orientation is left to the caller.

    Raises:
        ImageError: If it is damaged, or compressed in a way that nothing here unpacks.
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
    try:
        pages = [file.pages[number] for number in range(len(file.pages))]
        pages = [page.aspage() for page in pages]
        if _next_page(file, pages[-1]):  # tifffile drops in silence what lies behind the end
            raise ImageError("is damaged or cut short")  # noqa: TRY301 - told below as it is
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


def _next_page(file: tifffile.TiffFile, page: Any) -> int:
    """Return the place that a page names for the one behind it; 0 is the end."""
    tiff, handle = file.tiff, file.filehandle
    handle.seek(page.offset)
    (tags,) = struct.unpack(tiff.tagnoformat, handle.read(tiff.tagnosize))
    handle.seek(page.offset + tiff.tagnosize + tags * tiff.tagsize)
    (place,) = struct.unpack(tiff.offsetformat, handle.read(tiff.offsetsize))
    return int(place)


def _samples(page: Any) -> tuple[int, bool]:
    """Return a page's channels without alpha, and whether it has alpha."""
    if page.photometric == _PALETTE:
        return 3, False
    alpha = bool(page.extrasamples) and page.extrasamples[0] in (_ASSOCIATED, _UNASSOCIATED)
    samples = page.samplesperpixel - alpha
    return (3 if page.photometric == _CMYK and samples == 4 else samples), alpha


def _colour(page: Any) -> str:
    return {_PALETTE: "P", _CMYK: "CMYK"}.get(int(page.photometric)) or (
        {1: "L", 3: "RGB"}.get(_samples(page)[0], f"{_samples(page)[0]}") + "A" * _samples(page)[1]
    )


def _dtype(page: Any) -> np.dtype[Any]:
    kind: np.dtype[Any] | None = None if page.dtype is None else np.dtype(page.dtype)
    if kind is None or kind.kind not in "buif":  # complex numbers, of which half would be lost
        raise ImageError("holds values of a type that is not supported")
    return kind


def _orientation(page: Any) -> int:
    tag = page.tags.get("Orientation")
    return int(tag.value) if tag is not None and 1 <= int(tag.value) <= 8 else 1


def _read_page(data: bytes, file: tifffile.TiffFile, page: Any) -> Array:
    if page.compression not in _PLAIN or page.photometric in (_CMYK, _YCBCR):
        return _read_with_libtiff(data, page, list(file.pages).index(page))
    if len(page.dataoffsets) == 0 or any(
        start + count > len(data)
        for start, count in zip(page.dataoffsets, page.databytecounts, strict=True)
    ):
        raise ImageError("is damaged or cut short")  # tifffile fills what is missing with zeros
    array = page.asarray()
    if page.axes == "SYX":
        array = np.moveaxis(array, 0, 2)
    array = np.asarray(array).reshape(page.imagelength, page.imagewidth, -1)
    if page.photometric == _PALETTE:
        palette = np.asarray(page.colormap)  # (3, colours) of 16 bits, the upper 8 count
        return np.asarray(palette.T[array[..., 0]] // 256, dtype=np.uint8)
    return _finish(array, page)


def _finish(array: Array, page: Any) -> Array:
    """Undo inverted grey, packed bits and colours multiplied by their alpha."""
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
    """Read a page as libtiff unpacks it, turned back to how it is stored."""
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
    return ImageError(
        f"is a TIFF of {page.samplesperpixel} samples with {page.compression.name} compression, "
        "which cannot be unpacked here; save it uncompressed or with deflate"
    )
