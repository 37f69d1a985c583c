"""What is kept of a sample after one look at its files: header, fingerprints, a small picture."""

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

# Side of the small grey picture by which near duplicates are compared, in pixels.
THUMBNAIL = 64

# A frame is wider than this share of a picture's side, and as even as this in levels of 0–255.
_FRAME_SHARE, _FRAME_SPREAD = 0.02, 6.0
# Margins of smaller pictures are part of what they show.
_FRAME_SMALLEST = 32


@dataclass(frozen=True, slots=True)
class FileFacts:
    """One sample. Of several files the header is the first one's.

    Attributes:
        problem: Why it cannot be read, or an empty text.
        format: As in ``Header``; so are the seven that follow it.
        size: Of all its files, in bytes.
        quality: Mean of a JPEG's first quantisation table: low is good; 0 for other formats.
        grey: Whether it looks grey.
        constant: Whether all its pixels are the same.
        frame: ``none``, or the colour of an even frame and the sides where it is.
        pixel_hash: Names the decoded picture: the same for its PNG, its TIFF and its WebP.
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

    def fields(self) -> tuple[object, ...]:
        """Return the values in order, as the cache keeps them."""
        return astuple(self)


def read_file_facts(files: Sequence[bytes]) -> tuple[FileFacts, Array]:
    """Decode a sample's files wholly; return what is kept of them, and the small picture.

    A file that cannot be read is told in ``FileFacts.problem``; its picture is black.
    """
    size = sum(map(len, files))
    try:
        headers = [read_header(data) for data in files]
        arrays = [decode(data, header) for data, header in zip(files, headers, strict=True)]
    except ImageError as error:
        return FileFacts(problem=str(error), size=size), np.zeros((THUMBNAIL, THUMBNAIL), np.uint8)
    first, grey = arrays[0], [_to_grey(array) for array in arrays]
    look = FileFacts(
        **describe(headers[0], files[0]),
        size=size,
        grey=all(array.shape[2] != 3 or is_grey(array) for array in arrays),
        constant=all(_is_constant(array) for array in arrays),
        frame=find_frame(grey[0], full_scale(first)),
        pixel_hash=hash_pixels(arrays),
    )
    return look, _make_thumbnail(grey)


def describe(header: Header, data: bytes) -> dict[str, Any]:
    """Return what a file's header gives to a ``FileFacts``."""
    return {
        "format": header.format,
        "mode": header.mode,
        "width": header.width,
        "height": header.height,
        "bits": header.bits,
        "alpha": header.alpha,
        "orientation": header.orientation,
        "camera": header.camera,
        "quality": _read_quality(data) if header.format == "JPEG" else 0.0,
    }


def _read_quality(data: bytes) -> float:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tables = getattr(Image.open(io.BytesIO(data), formats=["JPEG"]), "quantization", {})
    except Exception:  # what a JPEG's header stumbles on has been told by read_header
        return 0.0
    return float(np.mean(tables[0])) if 0 in tables else 0.0


def hash_pixels(arrays: Sequence[Array]) -> str:
    """Return 32 hex digits that name what the arrays show, however it is stored.

    Grey as three equal channels counts as grey, and 16 bits that hold 8 (each value times 257) as
    8 bits.
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
    """Tell whether three channels are the same; one by one, as NumPy is slow on a short axis."""
    first = array[..., 0]
    return all(np.array_equal(first, array[..., channel]) for channel in (1, 2))


def _to_grey(array: Array) -> Array:
    """Return (H, W) float32: luma of three channels, else the channels' mean."""
    if array.shape[2] == 3:
        grey = cv2.cvtColor(array, cv2.COLOR_RGB2GRAY)
    else:
        grey = array[..., 0] if array.shape[2] == 1 else array.mean(axis=2)
    return np.asarray(grey, np.float32)


def _is_constant(array: Array) -> bool:
    """Look at the first row before all of them."""
    first = array[:1, :1]
    return bool((array[:1] == first).all()) and bool((array == first).all())


def _make_thumbnail(grey: Sequence[Array]) -> Array:
    """Return the picture (several side by side) at 64×64, its own darkest and lightest at 0, 255.

    So a thumbnail keeps the detail of 12 bits stored in 16, and a darker copy looks the same.
    """
    small = [cv2.resize(g, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA) for g in grey]
    whole = small[0]
    if len(small) > 1:
        row = np.hstack([_spread(s) for s in small])
        whole = cv2.resize(row, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
    return np.rint(_spread(whole)).astype(np.uint8)


def _spread(values: Array) -> Array:
    low, high = float(values.min()), float(values.max())
    return np.asarray((values - low) * (255.0 / max(high - low, 1e-6)))


def find_frame(grey: Array, white: float) -> str:
    """Name an even frame around a picture (H, W) of levels 0 to ``white``.

    Returns:
        Such as ``black frame``, ``white bars left and right``, or ``none``.
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
    """Return the colour of the first rows where they are all of one level, else an empty text."""
    edge = grey[: max(1, round(_FRAME_SHARE * len(grey)))] * (255 / white)
    if float(edge.max() - edge.min()) > _FRAME_SPREAD:
        return ""
    level = float(edge.mean())
    return "black" if level < 16 else "white" if level > 239 else "grey"
