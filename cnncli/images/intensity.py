"""From stored values to fractions of full scale, or to 8 bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from cnncli.arrays import Array
from cnncli.images.channels import full_scale
from cnncli.images.header import ImageError

# Resampling may leave floats this far beyond 0 and 1; they still count as fractions.
_SLACK = 1e-3
# The greatest float32.
_MOST = float(np.finfo(np.float32).max)
# A range that ends below this fraction of full scale leaves fewer than 32 of the levels of 8 bits.
_DEEP_ONLY = 0.125
# A picture of 8 bits that has no level above this, a sixteenth of 255, is nearly black.
DARK_BYTE = 15


@dataclass(frozen=True)
class IntensityRange:
    """The two stored values that become 0 and 1; values outside them become 0 or 1 too.

    Attributes:
        low: The value that becomes 0.
        high: The value that becomes 1; greater than ``low``.
        unit: ``fraction``: ``low`` and ``high`` are fractions of the number type's full scale, so
            that an 8-bit and a 16-bit copy of a picture give the same result. ``value``: they are
            values as float arrays and DICOM files hold them, such as Hounsfield units.
    """

    low: float
    high: float
    unit: Literal["fraction", "value"] = "fraction"

    def __post_init__(self) -> None:
        ok = np.isfinite([self.low, self.high]).all() and self.low < self.high
        if not ok or self.unit not in ("fraction", "value"):
            raise ValueError(f"not a range of intensities: {self}")


def are_fractions(low: float, high: float) -> bool:
    """Return whether float values from ``low`` to ``high`` count as fractions of full scale."""
    return low >= -_SLACK and high <= 1 + _SLACK


def to_fractions(array: Array, intensity_range: IntensityRange | None) -> Array:
    """Scale stored values to float32 fractions in [0, 1].

    Args:
        array: Array of uint8, uint16 or float32, of any shape.
        intensity_range: The values that become 0 and 1. None means the full scale of the number
            type; floats must then be fractions already.

    Returns:
        float32 array of the same shape.

    Raises:
        ImageError: If floats are no fractions where fractions are needed, or if the range is of
            values and the array holds levels of whole numbers.
    """
    if intensity_range is not None and intensity_range.unit == "value":
        if array.dtype.kind == "u":
            raise ImageError(
                f"holds {array.dtype} levels, the network takes values from "
                f"{intensity_range.low:g} to {intensity_range.high:g}"
            )
    elif array.dtype.kind == "u":
        if not _applies(intensity_range, array):
            intensity_range = None
        array = array / np.float32(full_scale(array))
    else:
        _check_fractions(array)
    if intensity_range is not None:
        low, width = intensity_range.low, intensity_range.high - intensity_range.low
        kind = np.float32 if max(abs(low), width) < _MOST else np.float64
        with np.errstate(over="ignore"):  # a fill value of -3.4e38 is cut below
            array = (array - kind(low)) / kind(width)
    return np.clip(array, 0, 1).astype(np.float32, copy=False)


def _applies(intensity_range: IntensityRange | None, array: Array) -> bool:
    """Return whether a range can be meant for an image, by its number type.

    The range of 12-bit values in 16-bit files, such as 0–4095, ends at 16 of 255 levels of an
    8-bit file, and between two of them. An 8-bit file in such a set has been scaled to its own
    full scale, which is then its range.
    """
    if intensity_range is None or array.dtype != np.uint8 or intensity_range.unit == "value":
        return True
    end = intensity_range.high * 255
    return intensity_range.high >= _DEEP_ONLY or abs(end - round(end)) < 1e-6


def bits_of_dark(dtype: str) -> int:
    """Return how many bits of 16 a dark image uses, for a network of this number type.

    Among 8-bit images, which use their scale, half of it is dark. Deeper ones often leave a part of
    theirs unused; of twelve bits or fewer, nearly nothing is left at full scale.
    """
    return 15 if dtype == "uint8" else 12


def fraction_cut(array: Array, intensity_range: IntensityRange | None, dtype: str) -> float:
    """Return the fraction of an array's values that lie outside a range, 0–1.

    Args:
        array: Array of uint8, uint16 or float32, of any shape.
        intensity_range: As in :func:`to_fractions`; None gives 0, or 1 if 16-bit values use no more
            than the bits that `bits_of_dark` returns, and are not 8 bits that were stretched. The
            same holds for fractions, such as those of DICOM files, and for inverted ones.
        dtype: The number type that the network takes, uint8 or float32.
    """
    if intensity_range is None and array.dtype == np.float32:
        return float(_is_dark_fraction(array, 2 ** bits_of_dark(dtype) / 65535))
    if intensity_range is None and array.dtype == np.uint16:
        if not 0 < int(np.ptp(array)) <= int(array.max()) < 2 ** bits_of_dark(dtype):
            return 0.0
        return float((array % 257).any())
    if intensity_range is None or not _applies(intensity_range, array):
        return 0.0
    scale = full_scale(array) if array.dtype.kind == "u" else 1.0
    ends = scale * np.array([intensity_range.low, intensity_range.high])
    low, high = np.clip(ends, -_MOST, _MOST).astype(np.float32)
    beyond = np.count_nonzero(array < low) + np.count_nonzero(array > high)
    return beyond / array.size


def _is_dark_fraction(array: Array, end: float) -> bool:
    """Return whether fractions stay below ``end``, or are as near to white, and are not of 8 bits.

    Inverted fractions count from a sixteenth of the scale on: bright pictures are no rarity.
    """
    low, high = float(array.min()), float(array.max())
    if not (0 <= low < high <= 1) or (high >= end and low <= 1 - 2**12 / 65535):
        return False
    levels = array * np.float32(255)
    return bool((np.abs(levels - np.rint(levels)) > 1e-3).any())


def mean_fraction(array: Array) -> float:
    """Return how light a preprocessed image is: the mean of its uint8 levels or fractions, 0–1."""
    return float(array.mean()) / (255 if array.dtype == np.uint8 else 1)


def to_uint8(array: Array) -> Array:
    """Return an array as 8-bit levels 0–255; finer values are rounded.

    Args:
        array: Array of uint8, uint16, or float32 fractions in [0, 1], of any shape.

    Raises:
        ImageError: If floats are no fractions.
    """
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.uint16:
        return ((array.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    _check_fractions(array)
    return np.rint(np.clip(array, 0, 1) * np.float32(255)).astype(np.uint8)


def _check_fractions(array: Array) -> None:
    low, high = float(array.min()), float(array.max())
    if not are_fractions(low, high):
        raise ImageError(
            f"holds values from {low:g} to {high:g}, where fractions from 0 to 1 are expected; a "
            "network is trained on other values with --intensity LOW:HIGH"
        )
