"""The one deterministic way from a file to the network's input; stored in every checkpoint."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Literal, get_args

import cv2
import numpy as np
from PIL import Image

from cnncli.arrays import Array
from cnncli.choices import Interpolation, ResizeMode
from cnncli.images.channels import count, to_channels
from cnncli.images.decode import REDUCTIONS, decode
from cnncli.images.formats import read_header
from cnncli.images.header import Header, ImageError
from cnncli.images.intensity import IntensityRange, share_cut, to_fractions, to_uint8

# What a stored value is divided by to become a fraction of full scale.
FULL_SCALE = {"uint8": 255.0, "float32": 1.0}

# A JPEG is decoded smaller only where what is left is this many times the size that is needed.
_MARGIN = 1.5

Resize = Callable[[Array, int, int], Array]


@dataclass(frozen=True)
class Preprocess:
    """Decode, bring to size and channels; then, on the device, normalise.

    Attributes:
        height: Of the network's input, in pixels.
        width: Of the network's input, in pixels.
        channels: 1 (grey), 3 (RGB) or any other number, as the files have them.
        dtype: Of the arrays that caches and batches hold: uint8 levels, or float32 fractions.
        resize_mode: ``squash`` changes the aspect ratio and keeps every border; ``pad`` keeps
            both and fills with black; ``crop`` keeps the ratio and cuts the longer side.
        interpolation: ``area`` averages what is removed and interpolates linearly what is added;
            ``bilinear`` and ``bicubic`` are Pillow's, as pretrained weights saw their images.
        resize_size: With ``crop``, the side in pixels that the shorter side is brought to before
            the middle is cut out; None cuts out as much as there is.
        mean: Per channel, as a fraction of full scale (0–1).
        std: Per channel, as a fraction of full scale, above 0.
        files: Channels that each of a sample's files gives; empty for one file that gives all.
        windows: What of the stored values becomes 0–1, one per file; empty for full scale.
        keep_alpha: Whether the last channel is alpha; else pictures are laid on white.
        exact_decode: Whether large JPEGs are decoded at full size before they are made small.
    """

    height: int
    width: int
    channels: int
    dtype: str = "uint8"
    resize_mode: ResizeMode = "squash"
    interpolation: Interpolation = "area"
    resize_size: int | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    files: tuple[int, ...] = ()
    windows: tuple[IntensityRange, ...] = ()
    keep_alpha: bool = False
    exact_decode: bool = False

    def __post_init__(self) -> None:
        sizes = (self.height, self.width, self.channels)
        ok = (
            all(type(size) is int and size > 0 for size in sizes)
            and self.dtype in FULL_SCALE
            and self.resize_mode in get_args(ResizeMode)
            and self.interpolation in get_args(Interpolation)
            and (self.resize_size is None or self.resize_size >= max(self.image_size))
            and len(self.mean) in (0, self.channels)
            and len(self.std) == len(self.mean)
            and all(math.isfinite(value) for value in self.mean)
            and all(value > 0 and math.isfinite(value) for value in self.std)
            and (not self.files or sum(self.files) == self.channels)
            and len(self.windows) in (0, self.count_files)
            and (self.dtype == "float32" or not self.windows)
        )
        if not ok:
            raise ValueError(f"not a preprocessing: {self}")

    @property
    def count_files(self) -> int:
        """The number of files that a sample is."""
        return len(self.files) or 1

    def __call__(self, files: Sequence[bytes]) -> Array:
        """Turn a sample's files into an array (H, W, C) of ``dtype``; raises ImageError."""
        return self.read(files)[0]

    def read(self, files: Sequence[bytes]) -> tuple[Array, float]:
        """Do so, and return also the share of a file's values that its window cuts, 0–1."""
        if len(files) != self.count_files:
            needed = "one file" if self.count_files == 1 else f"{self.count_files} files"
            raise ImageError(f"is {len(files)} files; the network takes {needed} per sample")
        decoded = [self._decode(data, number) for number, data in enumerate(files)]
        parts, cuts = [part for part, _ in decoded], [cut for _, cut in decoded]
        sizes = {part.shape[:2] for part in parts}
        if len(sizes) > 1:
            told = ", ".join(f"{height}×{width}" for height, width in (p.shape[:2] for p in parts))
            raise ImageError(f"is files of different sizes ({told}); channels are of one size")
        whole = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)
        return self._resize(whole), max(cuts)

    def _decode(self, data: bytes, number: int) -> tuple[Array, float]:
        """Return one file's channels (H, W, C) in ``dtype``, at its own or a reduced size.

        With them comes the share of its values that the window cuts.
        """
        header = read_header(data)
        window = self.windows[number] if self.windows else None
        image = decode(
            data,
            header,
            keep_alpha=self.keep_alpha,
            raw=window is not None and window.unit == "value",
            reduction=self._reduction(header),
        )
        brought = self._bring(image, self.files[number] if self.files else self.channels, window)
        return brought, share_cut(image, window)

    def _bring(self, image: Array, channels: int, window: IntensityRange | None) -> Array:
        # Depth first: the luma of 8 and of 16 bits is then rounded alike.
        image = to_uint8(image) if self.dtype == "uint8" else to_fractions(image, window)
        try:
            return to_channels(image, channels, alpha=self.keep_alpha)
        except ImageError:
            if self.files:
                raise ImageError(
                    f"has {count(image.shape[2])}, the network takes {channels} of this file"
                ) from None
            raise

    def _reduction(self, header: Header) -> int:
        """Return how much smaller a JPEG may be decoded, so that it is not enlarged afterwards."""
        if self.exact_decode or self.interpolation != "area" or header.format != "JPEG":
            return 1
        lying = header.orientation >= 5
        height, width = (header.width, header.height) if lying else (header.height, header.width)
        ratios = self.height / height, self.width / width
        needed = min(ratios) if self.resize_mode == "pad" else max(ratios)
        return next((by for by in REDUCTIONS if needed * by * _MARGIN <= 1), 1)

    def fit(self, image: Array) -> Array:
        """Bring a decoded (H, W, C) array to this depth, these channels and this size."""
        return self._resize(self._bring(image, self.channels, None))

    def _resize(self, image: Array) -> Array:
        resize: Resize = _resize if self.interpolation == "area" else _PILLOW[self.interpolation]
        if self.resize_mode == "squash":
            resized = resize(image, *self.image_size)
        elif self.resize_mode == "pad":
            resized = _pad(image, *self.image_size, resize)
        elif self.resize_size is None:
            resized = _crop(image, *self.image_size, resize)
        else:
            resized = _crop_as_weights(image, *self.image_size, self.resize_size, resize)
        if self.dtype == "float32":  # bicubic overshoots
            resized = np.clip(resized, 0, 1)
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
        read = {
            "mean": tuple(values["mean"]),
            "std": tuple(values["std"]),
            "files": tuple(values.get("files", ())),
            "windows": tuple(IntensityRange(**window) for window in values.get("windows", ())),
        }
        return cls(**{**values, **read})


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
    if image.shape[2] > 4:  # more than OpenCV's resize takes at once
        parts = [
            _resize_by(np.ascontiguousarray(image[..., first : first + 4]), height, width, way)
            for first in range(0, image.shape[2], 4)
        ]
        return np.concatenate(parts, axis=2)
    resized = cv2.resize(image, (width, height), interpolation=interpolation)
    return np.asarray(resized).reshape(height, width, image.shape[2])


def _pad(image: Array, height: int, width: int, resize: Resize) -> Array:
    scale = min(height / image.shape[0], width / image.shape[1])
    rows, columns = (max(1, round(side * scale)) for side in image.shape[:2])
    image = resize(image, rows, columns)
    top, left = (height - rows) // 2, (width - columns) // 2
    return np.pad(image, ((top, height - rows - top), (left, width - columns - left), (0, 0)))


def _crop(image: Array, height: int, width: int, resize: Resize) -> Array:
    # Cut first: a strip of 1×10,000 pixels, scaled first, would grow to gigabytes.
    scale = max(height / image.shape[0], width / image.shape[1])
    rows = min(image.shape[0], max(1, round(height / scale)))
    columns = min(image.shape[1], max(1, round(width / scale)))
    top, left = (image.shape[0] - rows) // 2, (image.shape[1] - columns) // 2
    return resize(image[top : top + rows, left : left + columns], height, width)


def _crop_as_weights(
    image: Array, height: int, width: int, resize_size: int, resize: Resize
) -> Array:
    """Bring the shorter side to ``resize_size`` and cut the middle out, as torchvision does.

    Source: torchvision.transforms.functional, ``_compute_resized_output_size`` (the longer side
    is rounded down) and ``center_crop`` (the corner is rounded to even).
    """
    # A strip of 1×10,000 pixels would grow to gigabytes: what lies far outside is cut first.
    short = min(image.shape[:2])
    rows, columns = (min(side, 20 * short) for side in image.shape[:2])
    top, left = (image.shape[0] - rows) // 2, (image.shape[1] - columns) // 2
    image = image[top : top + rows, left : left + columns]
    image = resize(image, *(resize_size * side // short for side in (rows, columns)))
    top, left = round((image.shape[0] - height) / 2), round((image.shape[1] - width) / 2)
    return image[top : top + height, left : left + width]


def _resize_with_pillow(way: Image.Resampling, image: Array, height: int, width: int) -> Array:
    if image.shape[2] == 3 and image.dtype == np.uint8:
        return np.asarray(Image.fromarray(image).resize((width, height), way))
    channels = [
        Image.fromarray(np.ascontiguousarray(channel)) for channel in np.moveaxis(image, 2, 0)
    ]
    return np.stack([np.asarray(c.resize((width, height), way)) for c in channels], axis=2)


_PILLOW = {
    "bilinear": partial(_resize_with_pillow, Image.Resampling.BILINEAR),
    "bicubic": partial(_resize_with_pillow, Image.Resampling.BICUBIC),
}
