"""Small pictures inside of the page, as data URIs."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

import numpy as np

from cnncli.arrays import Array

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE = 160  # longest side in pixels
_QUALITY = 72  # of WebP, from 0 to 100
_SMALLEST = 48  # an image up to this side is kept without loss
_OPACITY = 0.55  # of the heat over the image


def picture_uri(image: Array) -> str:
    """Return a picture as a data URI, no larger than `SIDE`.

    Args:
        image: (H, W, 3) uint8.
    """
    picture = _shrink(image)
    return _encode(picture, lossless=max(picture.size) <= _SMALLEST)


def heat_uri(image: Array, heat: Array) -> str:
    """Return a heat map over an image as a data URI, no larger than `SIDE`.

    Args:
        image: (H, W, 3) uint8.
        heat: (H, W) at least 0; NaN where the network does not see the image.
    """
    from matplotlib import colormaps
    from PIL import Image

    hottest = np.nanmax(heat) or 1.0
    colours = colormaps["inferno"](np.nan_to_num(heat) / hottest)[..., :3] * 255
    grey = np.asarray(Image.fromarray(image).convert("L"))[..., None]
    mixed = np.where(
        np.isfinite(heat)[..., None], _OPACITY * colours + (1 - _OPACITY) * grey, grey * 0.5
    )
    return _encode(_shrink(np.rint(mixed).astype(np.uint8), larger=True), lossless=False)


def _shrink(image: Array, *, larger: bool = False) -> Image:
    """Return an image as a picture of at most `SIDE` pixels; a small one may be made larger."""
    from PIL import Image

    picture = Image.fromarray(image)
    if larger and max(picture.size) < SIDE:
        scale = SIDE / max(picture.size)
        size = tuple(max(1, round(scale * side)) for side in picture.size)
        return picture.resize((size[0], size[1]), Image.Resampling.NEAREST)
    picture.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    return picture


def _encode(picture: Image, *, lossless: bool) -> str:
    content = io.BytesIO()
    picture.save(content, "WEBP", quality=_QUALITY, lossless=lossless, method=4)
    return "data:image/webp;base64," + base64.b64encode(content.getvalue()).decode("ascii")
