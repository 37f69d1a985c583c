"""The one deterministic way from a file to the network's input; stored in every checkpoint."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import cv2
import numpy as np

from cnncli.choices import ResizeMode
from cnncli.images.decode import Array, decode, to_channels

# What a stored value is divided by to become a fraction of full scale.
FULL_SCALE = {"uint8": 255.0, "float32": 1.0}


@dataclass(frozen=True)
class Preprocess:
    """Decode, bring to size and channels; then, on the device, normalise.

    Attributes:
        height: Of the network's input, in pixels.
        width: Of the network's input, in pixels.
        channels: 1 (grey) or 3 (RGB).
        dtype: Of the arrays that caches and batches hold.
        resize_mode: ``squash`` changes the aspect ratio and keeps every border; ``pad`` keeps
            both and fills with black; ``crop`` keeps the ratio and cuts the longer side.
        mean: Per channel, as a fraction of full scale (0–1).
        std: Per channel, as a fraction of full scale, above 0.
    """

    height: int
    width: int
    channels: int
    dtype: str = "uint8"
    resize_mode: ResizeMode = "squash"
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        sizes = (self.height, self.width, self.channels)
        ok = (
            all(type(size) is int and size > 0 for size in sizes)
            and self.dtype in FULL_SCALE
            and self.resize_mode in get_args(ResizeMode)
            and len(self.mean) in (0, self.channels)
            and len(self.std) == len(self.mean)
            and all(math.isfinite(value) for value in self.mean)
            and all(value > 0 and math.isfinite(value) for value in self.std)
        )
        if not ok:
            raise ValueError(f"not a preprocessing: {self}")

    def __call__(self, data: bytes) -> Array:
        """Turn a file's bytes into an array (H, W, C) of ``dtype``; raises ImageError."""
        return self.fit(decode(data))

    def fit(self, image: Array) -> Array:
        """Bring a decoded (H, W, 1|3) array to this size and these channels."""
        resized = _RESIZE[self.resize_mode](to_channels(image, self.channels), *self.image_size)
        if resized.dtype == np.uint8 and self.dtype == "float32":
            resized = resized / np.float32(FULL_SCALE["uint8"])
        return np.ascontiguousarray(resized, dtype=self.dtype)

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.height, self.width

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, fit for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Preprocess:
        """Read what :meth:`to_dict` wrote; raises TypeError or ValueError on anything else."""
        if not {"mean", "std"} <= set(values):
            raise ValueError("not a preprocessing: mean or std is missing")
        return cls(**{**values, "mean": tuple(values["mean"]), "std": tuple(values["std"])})


def _resize(image: Array, height: int, width: int) -> Array:
    """Average what is removed (no aliasing), then interpolate what is added.

    One call cannot do both: INTER_AREA falls back to interpolation where one side grows.
    """
    image = _resize_by(image, min(height, image.shape[0]), min(width, image.shape[1]), "area")
    return _resize_by(image, height, width, "linear")


def _resize_by(image: Array, height: int, width: int, way: Literal["area", "linear"]) -> Array:
    if image.shape[:2] == (height, width):
        return image
    interpolation = cv2.INTER_AREA if way == "area" else cv2.INTER_LINEAR
    resized = cv2.resize(image, (width, height), interpolation=interpolation)
    return np.asarray(resized).reshape(height, width, image.shape[2])


def _pad(image: Array, height: int, width: int) -> Array:
    scale = min(height / image.shape[0], width / image.shape[1])
    rows, columns = (max(1, round(side * scale)) for side in image.shape[:2])
    image = _resize(image, rows, columns)
    top, left = (height - rows) // 2, (width - columns) // 2
    return np.pad(image, ((top, height - rows - top), (left, width - columns - left), (0, 0)))


def _crop(image: Array, height: int, width: int) -> Array:
    # Cut first: a strip of 1×10,000 pixels, scaled first, would grow to gigabytes.
    scale = max(height / image.shape[0], width / image.shape[1])
    rows = min(image.shape[0], max(1, round(height / scale)))
    columns = min(image.shape[1], max(1, round(width / scale)))
    top, left = (image.shape[0] - rows) // 2, (image.shape[1] - columns) // 2
    return _resize(image[top : top + rows, left : left + columns], height, width)


_RESIZE = {"squash": _resize, "pad": _pad, "crop": _crop}
