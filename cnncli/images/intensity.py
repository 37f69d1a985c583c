"""From stored values to fractions of full scale: the one place where depth is decided."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from cnncli.arrays import Array
from cnncli.images.channels import full_scale
from cnncli.images.header import ImageError

# Floats count as fractions up to so much beyond 0 and 1: what resampling leaves behind.
_SLACK = 1e-3


@dataclass(frozen=True)
class IntensityRange:
    """The stored values that become 0 and 1; what lies beyond is cut.

    Attributes:
        low: Becomes 0.
        high: Becomes 1; above ``low``.
        unit: ``fraction``: of the type's own full scale, so that an 8-bit and a 16-bit copy of a
            picture give the same; ``value``: as arrays and DICOM files hold them (Hounsfield).
    """

    low: float
    high: float
    unit: Literal["fraction", "value"] = "fraction"

    def __post_init__(self) -> None:
        ok = np.isfinite([self.low, self.high]).all() and self.low < self.high
        if not ok or self.unit not in ("fraction", "value"):
            raise ValueError(f"not a window of intensities: {self}")


def to_fractions(array: Array, window: IntensityRange | None) -> Array:
    """Return float32 in [0, 1].

    Args:
        array: uint8, uint16 or float32 of any shape.
        window: None takes the type's own full scale, and floats as fractions.

    Raises:
        ImageError: If floats are no fractions where fractions are needed, or the other way round.
    """
    if window is not None and window.unit == "value":
        if array.dtype.kind == "u":
            raise ImageError(
                f"holds {array.dtype} levels, the network takes values from {window.low:g} to "
                f"{window.high:g}"
            )
    elif array.dtype.kind == "u":
        array = array / np.float32(full_scale(array))
    else:
        _check_fractions(array)
    if window is not None:
        array = (array - np.float32(window.low)) / np.float32(window.high - window.low)
    return np.clip(array, 0, 1).astype(np.float32, copy=False)


def share_cut(array: Array, window: IntensityRange | None) -> float:
    """Return the share of an array's values that lies beyond a window, 0–1."""
    if window is None:
        return 0.0
    scale = full_scale(array) if array.dtype.kind == "u" else 1.0
    low, high = (scale * np.array([window.low, window.high])).astype(np.float32)
    beyond = np.count_nonzero(array < low) + np.count_nonzero(array > high)
    return beyond / array.size


def to_uint8(array: Array) -> Array:
    """Return levels 0–255 of uint8, uint16 or fractions; what has more depth is rounded."""
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.uint16:
        return ((array.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    _check_fractions(array)
    return np.rint(np.clip(array, 0, 1) * np.float32(255)).astype(np.uint8)


def _check_fractions(array: Array) -> None:
    low, high = float(array.min()), float(array.max())
    if low < -_SLACK or high > 1 + _SLACK:
        raise ImageError(
            f"holds values from {low:g} to {high:g}, where fractions from 0 to 1 are expected; a "
            "network is trained on other values with --intensity LOW:HIGH"
        )
