"""TIFF: any number of channels and pages, 1 to 64 bits, whole numbers and floats.

This module reads the structure of a file and :mod:`cnncli.images.tiff_pixels` the pixels of a page.
"""

from __future__ import annotations

import io
import logging
import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import tifffile

from cnncli.arrays import Array
from cnncli.images.header import Header, ImageError, check_size, damaged
from cnncli.images.tiff_pixels import (
    CMYK,
    COLOURS,
    PALETTE,
    UNCOMPRESSED,
    count_samples,
    number_type,
    read_orientation,
    read_page,
)

# Our own message says that a file is damaged; tifffile should not print it as well.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)


def read_header(data: bytes) -> Header:
    """Return what a file says about itself; see :class:`cnncli.images.formats.FormatModule`.

    The channels of all pages count, except of pages that are marked as thumbnails.
    """
    with _open(data) as file:
        pages = _pages(file)
        page = pages[0]
        samples, alpha = count_samples(page)
        tags = {name: page.tags.get(name) for name in ("Make", "Model")}
        camera = " ".join(str(tag.value).strip() for tag in tags.values() if tag is not None)
        return Header(
            format="TIFF",
            mode=f"{_colour(page)};{number_type(page).name}",
            width=page.imagewidth,
            height=page.imagelength,
            bits=page.bitspersample if isinstance(page.bitspersample, int) else 8,
            channels=samples * len(pages),
            alpha=alpha,
            frames=len(pages),
            orientation=read_orientation(page),
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
        arrays = [read_page(data, page) for page in pages]
        return np.concatenate(arrays, axis=2), count_samples(pages[0])[1]


@contextmanager
def _open(data: bytes) -> Iterator[tifffile.TiffFile]:
    """Open a file; whatever goes wrong with it before it is closed is an ImageError."""
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            yield file
    except ImageError:
        raise
    except Exception as error:  # tifffile raises errors of many types on damaged files
        raise damaged(error) from None


def _pages(file: tifffile.TiffFile) -> list[Any]:
    """Return the pages that are no thumbnails.

    Raises:
        ImageError: If the file is damaged, or its pages cannot be channels of one picture.
    """
    _refuse_camera_raw(file)
    pages = [file.pages[number].aspage() for number in range(len(file.pages))]
    if _next_page(file, pages[-1]):  # tifffile silently leaves out a page behind the end
        raise ImageError("is damaged or cut short")
    shown = [page for page in pages if not page.is_mask] or pages[:1]
    full = [page for page in shown if not page.is_reduced] or shown[:1]
    sizes = {(page.imagelength, page.imagewidth) for page in full}
    if not full or min(next(iter(sizes))) < 1:
        raise ImageError("is damaged or cut short (no picture in it)")
    if len(sizes) > 1:
        raise ImageError(f"has {len(full)} pages of different sizes; channels are of one size")
    check_size(full[0].imagewidth, full[0].imagelength)
    if any(page.imagedepth > 1 for page in full):
        raise ImageError("is a TIFF with volumes as pages; save it so that each slice is a page")
    _refuse_other_colours(full)
    _refuse_hidden_pages(file, len(pages))
    kinds = {(*count_samples(page), number_type(page)) for page in full}
    if len(full) > 1 and any(alpha for _, alpha, _ in kinds):
        raise ImageError("has several pages with alpha; save them without it")
    if len(kinds) > 1:
        raise ImageError("has pages of different kinds; channels are of one number type")
    return full


def _refuse_camera_raw(file: tifffile.TiffFile) -> None:
    """Refuse DNG, NEF, ARW and the like: their first page is a preview, not the picture.

    Raises:
        ImageError: If the file says that it is DNG, or its first page is a thumbnail of others.
    """
    tags = file.pages[0].tags
    preview = "SubIFDs" in tags and int(tags.valueof("NewSubfileType", 0)) & 1
    if "DNGVersion" in tags or preview:
        raise ImageError("is a camera's raw file, which cannot be read; convert it to PNG or TIFF")


def _refuse_other_colours(pages: list[Any]) -> None:
    """Refuse colours that are neither red, green and blue, nor inks, nor YCbCr, such as L*a*b*.

    Raises:
        ImageError: If a page has such colours.
    """
    for page in pages:
        if page.photometric not in COLOURS:
            name = getattr(page.photometric, "name", page.photometric)
            raise ImageError(
                f"is a TIFF of {name} colours, which cannot be read; convert it to RGB"
            )


def _refuse_hidden_pages(file: tifffile.TiffFile, pages: int) -> None:
    """Refuse a stack whose first page alone is in the table of pages; the rest follows it.

    ImageJ and tifffile write such files, uncompressed, and say in the description how many pictures
    there are. Pillow keeps that description when it saves the first picture alone.

    Raises:
        ImageError: If the description says that there are more pictures than pages, and the file
            has room for more.
    """
    if not (file.is_imagej or file.is_shaped):
        return
    told = sum(math.prod(row.shape) // math.prod(row.keyframe.shape) for row in file.series)
    first = file.pages[0]
    plain = first.compression == UNCOMPRESSED
    room = (file.filehandle.size - first.dataoffsets[0]) // first.nbytes if plain else 0
    if min(told, room) > pages:
        raise ImageError(
            f"is a stack of {told} pictures with entries for only {pages}; save it so that each "
            "picture is a page"
        )


def _next_page(file: tifffile.TiffFile, page: Any) -> int:
    """Return the position in the file of the page that follows ``page``; 0 after the last."""
    tiff, handle = file.tiff, file.filehandle
    handle.seek(page.offset)
    (tags,) = struct.unpack(tiff.tagnoformat, handle.read(tiff.tagnosize))
    handle.seek(page.offset + tiff.tagnosize + tags * tiff.tagsize)
    (place,) = struct.unpack(tiff.offsetformat, handle.read(tiff.offsetsize))
    return int(place)


def _colour(page: Any) -> str:
    """Return a page's pixel layout by Pillow's names, or its number of channels."""
    return {PALETTE: "P", CMYK: "CMYK"}.get(int(page.photometric)) or (
        {1: "L", 3: "RGB"}.get(count_samples(page)[0], f"{count_samples(page)[0]}")
        + "A" * count_samples(page)[1]
    )
