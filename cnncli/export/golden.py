"""Golden samples: pictures drawn by a seed, by which a client of a network checks itself.

They hold nothing of the run's images. Edges, slopes and odd sizes are in them, so that a client
that resizes in another way sees other values.
"""

from __future__ import annotations

import io

import cv2
import numpy as np

from cnncli.arrays import Array
from cnncli.images.intensity import IntensityRange
from cnncli.images.preprocess import Preprocess

COUNT = 3
_SEED = 2026
# Height and width of the pictures, as multiples of the network's input.
_SIZES = ((1.0, 1.0), (1.37, 2.12), (2.55, 1.46))
_LONGEST = 2000  # pixels
_SHAPES = 8
# So far the values reach beyond an intensity range, as a fraction of it.
_BEYOND = 0.1


def draw_pictures(preprocess: Preprocess) -> list[tuple[bytes, ...]]:
    """Return the files of some samples, the same in every process.

    A file is a PNG where a PNG can hold what the network takes: 8 bits, or 16 where it takes
    fractions. Otherwise (physical units, other numbers of channels) it is a ``.npy``.

    Args:
        preprocess: What the network takes.

    Returns:
        For each sample, the bytes of its files.
    """
    random = np.random.default_rng(_SEED)
    samples = []
    for tall, wide in _SIZES[:COUNT]:
        height = min(_LONGEST, round(preprocess.height * tall))
        width = min(_LONGEST, round(preprocess.width * wide))
        files = []
        for number in range(preprocess.count_files):
            channels = preprocess.files[number] if preprocess.files else preprocess.channels
            window = preprocess.windows[number] if preprocess.windows else None
            picture = _draw(random, height, width, channels)
            files.append(_write(picture, preprocess, window))
        samples.append(tuple(files))
    return samples


def _draw(random: np.random.Generator, height: int, width: int, channels: int) -> Array:
    """Return fractions (height, width, channels), float64: a slope with boxes and discs on it."""
    rows = np.linspace(0, 1, height)[:, None, None]
    columns = np.linspace(0, 1, width)[None, :, None]
    ends = random.random((2, channels))
    picture: Array = (ends[0] * rows + ends[1] * columns) / 2
    for number in range(_SHAPES):
        top, left = random.random(2)
        tall, wide = 0.1 + 0.4 * random.random(2)
        if number % 2:
            inside = ((rows - top) / tall) ** 2 + ((columns - left) / wide) ** 2 < 0.5
        else:
            inside = (abs(rows - top) < tall / 2) & (abs(columns - left) < wide / 2)
        picture = np.asarray(np.where(inside, random.random(channels), picture))
    return picture


def _write(picture: Array, preprocess: Preprocess, window: IntensityRange | None) -> bytes:
    """Return a file whose values fill what the network takes, and a little more.

    Args:
        picture: Fractions (H, W, C).
        preprocess: What the network takes.
        window: The range of this file's values; None for the full scale.
    """
    if window is not None:
        width = window.high - window.low
        picture = window.low + width * ((1 + 2 * _BEYOND) * picture - _BEYOND)
    if window is not None and window.unit == "value":
        return _write_npy(picture.astype(np.float32))
    kind = np.uint8 if preprocess.dtype == "uint8" else np.uint16
    levels = np.rint(np.clip(picture, 0, 1) * np.iinfo(kind).max).astype(kind)
    if levels.shape[2] not in (1, 3):
        return _write_npy(levels)
    in_order = levels if levels.shape[2] == 1 else levels[..., ::-1]  # OpenCV takes blue first
    ok, data = cv2.imencode(".png", in_order, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    assert ok
    return bytes(data)


def _write_npy(array: Array) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()
