"""Small pictures inside of the page, as data URIs."""

from __future__ import annotations

import base64
import io

import numpy as np

from cnncli.arrays import Array

SIDE = 160  # longest side in pixels
_QUALITY = 72  # of WebP, from 0 to 100
_SMALLEST = 48  # an image up to this side is kept without loss


def picture_uri(image: Array) -> str:
    """Return a picture as a data URI, no larger than `SIDE`.

    Args:
        image: (H, W, 3) uint8.
    """
    from PIL import Image

    picture = Image.fromarray(image)
    if np.array_equal(image[..., 0], image[..., 1]) and np.array_equal(
        image[..., 0], image[..., 2]
    ):
        picture = picture.convert("L")
    picture.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    small = max(picture.size) <= _SMALLEST
    content = io.BytesIO()
    picture.convert("RGB").save(content, "WEBP", quality=_QUALITY, lossless=small, method=4)
    return "data:image/webp;base64," + base64.b64encode(content.getvalue()).decode("ascii")
