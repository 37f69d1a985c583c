"""The picture of an image in an answer."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import cv2
import numpy as np

from cnncli.arrays import Array
from cnncli.images.header import ImageError
from cnncli.images.preprocess import Preprocess
from cnncli.images.resize import resize
from cnncli.run.draw_sample import draw_file

_SIDE = 640  # pixels of the longer side of a picture in an answer
_QUALITY, _LOSSLESS = 85, 101  # of WebP, as OpenCV numbers it
_SMALL = 100  # pixels; a smaller picture is shown pixel by pixel


def draw_small(files: Sequence[bytes], pixels: Array, preprocess: Preprocess) -> Array:
    """Return an image as a person sees it, at most `_SIDE` pixels long.

    Args:
        files: The files of the sample.
        pixels: What the network gets, which is drawn where the sample is not one picture.
        preprocess: How the network gets its images.

    Returns:
        (H, W, C), uint8, or float32 from 0 to 1.
    """
    image = pixels
    if len(files) == 1:
        try:
            image = draw_file(files[0], preprocess)
        except ImageError:  # the network's input is there, and can be shown
            image = pixels
    height, width = image.shape[:2]
    scale = _SIDE / max(height, width)
    if scale >= 1:
        return image
    size = max(1, round(height * scale)), max(1, round(width * scale))
    small = resize(image, size, mode="squash", interpolation="area", resize_size=None)
    return small if small.dtype == np.uint8 else np.clip(small, 0, 1)


def to_data_uri(picture: Array) -> str:
    """Return a picture (H, W, 3) of uint8 as the text of a WebP image in a web page."""
    quality = _QUALITY if max(picture.shape[:2]) > _SMALL else _LOSSLESS
    encoded = cv2.imencode(".webp", picture[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, quality])[1]
    return "data:image/webp;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")
