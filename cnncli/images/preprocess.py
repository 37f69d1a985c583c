"""From the files of one sample to the network's input; every checkpoint stores these settings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, get_args

import numpy as np

from cnncli.arrays import Array
from cnncli.choices import Interpolation, ResizeMode, format_channels
from cnncli.errors import count_of
from cnncli.images.channels import is_grey, to_channels
from cnncli.images.decode import REDUCTIONS, decode
from cnncli.images.formats import read_header
from cnncli.images.header import Header, ImageError, out_of_memory
from cnncli.images.intensity import IntensityRange, fraction_cut, to_fractions, to_uint8
from cnncli.images.resize import resize

# The value of white in arrays of each ``dtype``.
FULL_SCALE = {"uint8": 255.0, "float32": 1.0}

# A JPEG is decoded at a reduced size only if that is at least this many times the size needed.
_MARGIN = 1.5


@dataclass(frozen=True)
class Preprocess:
    """How the files of a sample become an array of the network's input size.

    Calling it gives the array that caches and batches hold. Normalisation by ``mean`` and ``std``
    comes later, on the device.

    Attributes:
        height: Height of the network's input in pixels.
        width: Width of the network's input in pixels.
        channels: Number of channels of the network's input: 1 (grey), 3 (RGB) or any other.
        dtype: Number type of the arrays: ``uint8`` levels 0–255, or ``float32`` fractions 0–1.
        resize_mode: ``squash`` scales height and width separately, so that the whole image fills
            the input; ``pad`` keeps the aspect ratio and fills the rest with black; ``crop`` keeps
            the aspect ratio and cuts off the two ends of the longer side.
        interpolation: ``area`` averages pixels where an image shrinks and interpolates linearly
            where it grows; ``bilinear`` and ``bicubic`` resize as Pillow does, for pretrained
            weights that were trained that way.
        resize_size: With ``crop``, the length in pixels to which the shorter side is scaled before
            the middle is cut out. None cuts out as large a part as fits and scales that.
        mean: Mean of each channel over the training images, as a fraction of full scale (0–1);
            empty until it is known.
        std: Standard deviation of each channel, as a fraction of full scale, greater than 0; empty
            until it is known.
        files: Number of channels that each file of a sample gives; empty if a sample is one file.
        windows: The stored values that become 0 and 1, one range per file; empty for the full
            scale of the number type.
        keep_alpha: Whether the last channel is alpha. Otherwise transparent images are blended
            over white.
        exact_decode: Whether large JPEGs are decoded at full size before they are resized, which
            is slower.

    Raises:
        ValueError: If the values do not fit together.
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
        """Number of files that make up one sample."""
        return len(self.files) or 1

    def __call__(self, files: Sequence[bytes]) -> Array:
        """Turn the files of a sample into one array; see :meth:`read`."""
        return self.read(files)[0]

    def read(self, files: Sequence[bytes]) -> tuple[Array, float, bool]:
        """Turn the files of a sample into one array.

        Args:
            files: The bytes of each file of the sample.

        Returns:
            The array (H, W, C) of type ``dtype``, and the fraction (0–1) of the stored values that
            lie outside the range in ``windows``; of several files that of the worst. And whether a
            colour picture was made grey.

        Raises:
            ImageError: If a file cannot be decoded, or the files are not of the number, size or
                channels that are needed.
        """
        whole, cut, is_coloured = self._read_whole(files, self._read_headers(files))
        return self._resize(whole), cut, is_coloured

    def _read_headers(self, files: Sequence[bytes]) -> list[Header]:
        if len(files) != self.count_files:
            needed = count_of(self.count_files, "file")
            raise ImageError(
                f"is {count_of(len(files), 'file')}; the network takes {needed} per sample"
            )
        channels = self.files or (self.channels,)
        try:
            return [read_header(data, count) for data, count in zip(files, channels, strict=True)]
        except MemoryError:
            raise out_of_memory() from None

    def _read_whole(
        self, files: Sequence[bytes], headers: Sequence[Header]
    ) -> tuple[Array, float, bool]:
        """Return what :meth:`read` does, but the array not yet resized."""
        try:
            decoded = [
                self._decode(data, headers[number], number) for number, data in enumerate(files)
            ]
        except MemoryError:
            raise out_of_memory() from None
        if len(decoded) == 1:
            return decoded[0]
        parts, cuts, colours = zip(*decoded, strict=True)
        sizes = {part.shape[:2] for part in parts}
        if len(sizes) > 1:
            told = ", ".join(f"{height}×{width}" for height, width in (p.shape[:2] for p in parts))
            raise ImageError(f"is files of different sizes ({told}); channels are of one size")
        return np.concatenate(parts, axis=2), max(cuts), any(colours)

    def _decode(self, data: bytes, header: Header, number: int) -> tuple[Array, float, bool]:
        """Decode one file, in ``dtype`` and with the channels that it gives, but not yet resized.

        Returns:
            Array (H, W, C), the fraction (0–1) of its stored values outside the file's range, and
            whether it was a colour picture that became grey.
        """
        channels = self.files[number] if self.files else self.channels
        intensity_range = self.windows[number] if self.windows else None
        image = decode(
            data,
            header,
            keep_alpha=self.keep_alpha,
            raw=intensity_range is not None and intensity_range.unit == "value",
            reduction=self._reduction(header),
        )
        converted = self._convert(image, channels, intensity_range)
        # Every eighth row and column tell: nothing is to become slower by this.
        is_coloured = channels == 1 and image.shape[2] == 3 and not is_grey(image[::8, ::8])
        return converted, fraction_cut(image, intensity_range, self.dtype), is_coloured

    def _convert(
        self, image: Array, channels: int, intensity_range: IntensityRange | None
    ) -> Array:
        """Convert a decoded (H, W, C) array to ``dtype`` and to a number of channels."""
        # The number type first: luma is then rounded in the same way for 8 and for 16 bits.
        image = to_uint8(image) if self.dtype == "uint8" else to_fractions(image, intensity_range)
        try:
            return to_channels(image, channels, alpha=self.keep_alpha)
        except ImageError:
            if self.files:
                raise ImageError(
                    f"has {format_channels(image.shape[2])}, the network takes {channels} of "
                    "this file"
                ) from None
            raise

    def _reduction(self, header: Header) -> int:
        """Return 1, 2, 4 or 8: the divisor of a JPEG's size at which to decode it.

        It is chosen so that the decoded image is never enlarged afterwards.
        """
        if self.exact_decode or self.interpolation != "area" or header.format != "JPEG":
            return 1
        height, width = header.height, header.width
        if header.orientation >= 5:  # stored on its side
            height, width = width, height
        ratios = self.height / height, self.width / width
        needed = min(ratios) if self.resize_mode == "pad" else max(ratios)
        return next((by for by in REDUCTIONS if needed * by * _MARGIN <= 1), 1)

    def fit(self, image: Array) -> Array:
        """Convert an array that is no file to the network's input.

        Args:
            image: Array (H, W, C) of uint8, uint16, or float32 fractions in [0, 1].

        Returns:
            Array (``height``, ``width``, ``channels``) of type ``dtype``.

        Raises:
            ImageError: If its channels or values cannot be converted.
        """
        return self._resize(self._convert(image, self.channels, None))

    def _resize(self, image: Array) -> Array:
        resized = resize(
            image,
            self.image_size,
            mode=self.resize_mode,
            interpolation=self.interpolation,
            resize_size=self.resize_size,
        )
        if self.dtype == "float32":  # bicubic interpolation may go beyond 0 and 1
            resized = np.clip(resized, 0, 1)
        return np.ascontiguousarray(resized, dtype=self.dtype)

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) of the network's input in pixels."""
        return self.height, self.width

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as values that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Preprocess:
        """Build it from what :meth:`to_dict` returned.

        Raises:
            TypeError: If a value is of another type, or a key is unknown.
            ValueError: If a key is missing, or the values do not fit together.
        """
        if not {"mean", "std"} <= set(values):
            raise ValueError("not a preprocessing: mean or std is missing")
        read = {
            "mean": tuple(values["mean"]),
            "std": tuple(values["std"]),
            "files": tuple(values.get("files", ())),
            "windows": tuple(IntensityRange(**ends) for ends in values.get("windows", ())),
        }
        return cls(**{**values, **read})


def read_forms(files: Sequence[bytes], forms: Sequence[Preprocess]) -> list[Array]:
    """Turn the files of a sample into one array (H, W, C) for each form.

    A file is decoded once for all forms that decode it at the same size.

    Args:
        files: The bytes of each file of the sample.
        forms: Preprocessings that differ in nothing but how images come to size.

    Raises:
        ImageError: As :meth:`Preprocess.read`.
    """
    headers = forms[0]._read_headers(files)
    wholes: dict[tuple[int, ...], Array] = {}
    arrays = []
    for form in forms:
        reductions = tuple(map(form._reduction, headers))
        if reductions not in wholes:
            wholes[reductions], *_ = form._read_whole(files, headers)
        arrays.append(form._resize(wholes[reductions]))
    return arrays
