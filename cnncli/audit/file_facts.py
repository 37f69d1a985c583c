"""Facts on the files of one sample: from the header, a hash of the pixels, and a thumbnail."""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

import cv2
import numpy as np
from PIL import Image

from cnncli.arrays import Array
from cnncli.images.channels import full_scale, is_grey
from cnncli.images.decode import decode
from cnncli.images.formats import read_header
from cnncli.images.header import Header, ImageError
from cnncli.images.levels import measure_levels

# Side in pixels of the square grey picture by which near duplicates are compared.
THUMBNAIL = 64

# An edge belongs to a frame if so large a fraction of the picture's side is of one level, within
# this difference between the lightest and the darkest pixel (of 0–255).
_FRAME_FRACTION, _FRAME_SPREAD = 0.02, 6.0
# Pictures with a shorter side in pixels have no frame: their margins are part of what they show.
_FRAME_SMALLEST = 32
# A transparent picture is blank on white if no value is below this fraction of white.
_BLANK = 0.97


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What is known of the files of one sample.

    Where a sample has several files, what comes from a header is of the first one.

    Attributes:
        problem: Why the sample cannot be read; empty if it can.
        format: Name of the file format, as in ``Header``. The attributes ``mode`` to ``camera``
            are those of ``Header`` as well.
        size: Size of all the files together in bytes.
        quality: Mean of a JPEG's first quantisation table (a low value means a high quality);
            0 for other formats.
        grey: Whether the picture looks grey, even if it is stored in colour.
        constant: Whether all pixels are the same.
        frame: Colour and sides of an even frame around the picture, such as ``black frame``;
            ``none`` if there is none.
        pixel_hash: Hash of the decoded pixels in 32 hex digits. It is the same for the PNG, the
            TIFF and the lossless WebP of one picture.
        blank_on_white: Whether the picture has transparency and is one even white area once it is
            laid on white, while its stored colours or its alpha show something.
        depth: Number type of the pixels: ``uint8``, ``uint16`` or ``float32``.
        lowest: Least stored value.
        highest: Greatest stored value.
        low: Least value that is content, as :class:`cnncli.images.levels.Levels` has it.
        high: Greatest value that is content.
        fills: Values that probably mean "no data", separated by blanks.
    """

    problem: str = ""
    format: str = ""
    mode: str = ""
    width: int = 0
    height: int = 0
    bits: int = 0
    alpha: bool = False
    orientation: int = 1
    camera: str = ""
    size: int = 0
    quality: float = 0.0
    grey: bool = True
    constant: bool = False
    frame: str = "none"
    pixel_hash: str = ""
    blank_on_white: bool = False
    depth: str = "uint8"
    lowest: float = 0.0
    highest: float = 255.0
    low: float = 0.0
    high: float = 255.0
    fills: str = ""

    def fields(self) -> tuple[object, ...]:
        """Return the values of all attributes in their order, as the cache keeps them."""
        return astuple(self)


def read_file_facts(files: Sequence[bytes]) -> tuple[FileFacts, Array]:
    """Decode the files of a sample completely, and return the facts on them and a thumbnail.

    Args:
        files: Content of each file.

    Returns:
        The facts, and a (64, 64) uint8 grey picture. If a file cannot be read, ``problem`` says
        why and the picture is black.
    """
    size = sum(map(len, files))
    try:
        headers = [read_header(data, 0) for data in files]
        arrays = [decode(data, header) for data, header in zip(files, headers, strict=True)]
    except ImageError as error:
        return FileFacts(problem=str(error), size=size), np.zeros((THUMBNAIL, THUMBNAIL), np.uint8)
    first, grey = arrays[0], [_to_grey(array) for array in arrays]
    facts = FileFacts(
        **header_facts(headers[0], files[0]),
        size=size,
        grey=all(array.shape[2] != 3 or is_grey(array) for array in arrays),
        constant=all(_is_constant(array) for array in arrays),
        frame=describe_frame(grey[0], _level_of_white(first)),
        pixel_hash=hash_pixels(arrays),
        blank_on_white=_is_blank_on_white(files[0], headers[0], first),
        **_level_facts(first),
    )
    return facts, _make_thumbnail(grey)


def _level_facts(array: Array) -> dict[str, Any]:
    """Return the attributes of ``FileFacts`` on the stored values of (H, W, C) pixels."""
    levels = measure_levels(array)
    fills = " ".join(f"{value:.9g}" for value in levels.fills)
    is_byte = array.dtype == np.uint8  # whose full scale is its range, used or not
    return {
        "depth": levels.dtype,
        "lowest": float(array.min()) if is_byte else levels.lowest,
        "highest": float(array.max()) if is_byte else levels.highest,
        "low": levels.low,
        "high": levels.high,
        "fills": fills,
    }


def _level_of_white(array: Array) -> float:
    """Return the level that counts as white in (H, W, C) pixels.

    It is that of the bits that are used: in a picture of 12 bits stored in 16, edges of all kinds
    would be one level of black by the full scale.
    """
    if array.dtype == np.uint8:
        return full_scale(array)
    highest = measure_levels(array).high
    if array.dtype == np.uint16:
        return float(max(255, 2 ** int(highest).bit_length() - 1))
    return highest if highest > 0 else 1.0


def _is_blank_on_white(data: bytes, header: Header, on_white: Array) -> bool:
    """Return whether a picture with alpha shows nothing once it is laid on white.

    Args:
        data: Content of the file.
        header: Its header.
        on_white: (H, W, C) its pixels, laid on white.
    """
    if not header.alpha or float(on_white.min()) < _BLANK * full_scale(on_white):
        return False
    stored = decode(data, header, keep_alpha=True)
    return stored.shape[2] in (2, 4) and not _is_constant(stored)


def header_facts(header: Header, data: bytes) -> dict[str, Any]:
    """Return the attributes of ``FileFacts`` that come from the header of a file.

    Args:
        header: The header.
        data: Content of the file, from which the quality of a JPEG is read.
    """
    return {
        "format": header.format,
        "mode": header.mode,
        "width": header.width,
        "height": header.height,
        "bits": header.bits,
        "alpha": header.alpha,
        "orientation": header.orientation,
        "camera": header.camera,
        "quality": _mean_quantisation(data) if header.format == "JPEG" else 0.0,
    }


def _mean_quantisation(data: bytes) -> float:
    """Return the mean of a JPEG's first quantisation table, 0 if it cannot be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tables = getattr(Image.open(io.BytesIO(data), formats=["JPEG"]), "quantization", {})
    except Exception:  # read_header has already reported what is wrong with such a header
        return 0.0
    return float(np.mean(tables[0])) if 0 in tables else 0.0


def hash_pixels(arrays: Sequence[Array]) -> str:
    """Return a hash of the pixels that does not depend on how they are stored.

    Three equal channels give the same hash as one grey channel, and 16-bit values that are 8-bit
    values times 257 the same as these 8-bit values.

    Args:
        arrays: (H, W, C) pixels of each file of a sample.

    Returns:
        32 hex digits (BLAKE2b, 128 bits).
    """
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        if array.shape[2] == 3 and _is_grey_in_colour(array):
            array = array[..., :1]
        if array.dtype == np.uint16 and not (array % 257).any():
            array = (array // 257).astype(np.uint8)
        digest.update(f"{array.shape} {array.dtype}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _is_grey_in_colour(array: Array) -> bool:
    """Return whether the three channels of (H, W, 3) are equal."""
    first = array[..., 0]
    # Channel by channel, since NumPy is slow on a short last axis.
    return all(np.array_equal(first, array[..., channel]) for channel in (1, 2))


def _to_grey(array: Array) -> Array:
    """Return (H, W) float32: the luma of three channels, or the mean of any other number."""
    if array.shape[2] == 3:
        grey = cv2.cvtColor(array, cv2.COLOR_RGB2GRAY)
    else:
        grey = array[..., 0] if array.shape[2] == 1 else array.mean(axis=2, dtype=np.float64)
    if grey.dtype.kind == "f":  # a fill value of -3.4e38 has no sum in float32
        grey = np.clip(grey, -1e30, 1e30)
    return np.asarray(grey, np.float32)


def _is_constant(array: Array) -> bool:
    """Return whether all pixels of (H, W, C) are the same."""
    first = array[:1, :1]
    # The first row alone answers for most pictures.
    return bool((array[:1] == first).all()) and bool((array == first).all())


def _make_thumbnail(grey: Sequence[Array]) -> Array:
    """Return the picture, or several side by side, as (64, 64) uint8.

    Its darkest pixel becomes 0 and its lightest 255. This way 12 bits that are stored in 16 keep
    their detail, and a darker copy looks the same.

    Args:
        grey: (H, W) float32 pixels of each file of a sample.
    """
    small = [cv2.resize(g, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA) for g in grey]
    whole = small[0]
    if len(small) > 1:
        row = np.hstack([_spread(s) for s in small])
        whole = cv2.resize(row, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
    return np.rint(_spread(whole)).astype(np.uint8)


def _spread(values: Array) -> Array:
    """Stretch values linearly to 0–255."""
    low, high = float(values.min()), float(values.max())
    return np.asarray((values - low) * (255.0 / max(high - low, 1e-6)))


def describe_frame(grey: Array, white: float) -> str:
    """Return the colour and place of an even frame around a picture.

    Args:
        grey: (H, W) levels from 0 to ``white``.
        white: The level of white.

    Returns:
        A text such as ``black frame`` or ``white bars left and right``; ``none`` without a frame.
    """
    if min(grey.shape) < _FRAME_SMALLEST:
        return "none"
    rows = _edge_colour(grey, white), _edge_colour(grey[::-1], white)
    columns = _edge_colour(grey.T, white), _edge_colour(grey.T[::-1], white)
    across = rows[0] if rows[0] == rows[1] else ""
    along = columns[0] if columns[0] == columns[1] else ""
    if across and across == along:
        return f"{across} frame"
    named = [
        f"{colour} bars {where}"
        for colour, where in ((across, "top and bottom"), (along, "left and right"))
        if colour
    ]
    return ", ".join(named) or "none"


def _edge_colour(grey: Array, white: float) -> str:
    """Return black, grey or white if the first rows are all of one level, else an empty text."""
    edge = grey[: max(1, round(_FRAME_FRACTION * len(grey)))] * (255 / white)
    if float(edge.max() - edge.min()) > _FRAME_SPREAD:
        return ""
    level = float(edge.mean())
    return "black" if level < 16 else "white" if level > 239 else "grey"
