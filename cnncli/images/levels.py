"""Which stored values of a deep picture are its content, and which are outliers or "no data".

A single hot pixel, a corner of 65535 or a fill value of -9999 must not decide what counts as black
and white. Pictures of 8 bits are left alone: their full scale is their range.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from cnncli.arrays import Array

# Number of values that are kept of each picture.
_KEPT = 4096
# Number of the least and of the greatest values of a picture that are looked at one by one.
_TAIL = 256
# The greatest value is no content if it is so many times as far from the next lower one as the
# other values are spread (percentiles 1 to 99); the least value likewise.
_FAR = 4.0
# A picture of fewer different values than this is a drawing or a mask, where every value counts.
_FEWEST_VALUES = 16
# At most so many different values at each end of one picture are taken for outliers.
_MOST_STEPS = 4
# A value that no content reaches counts as "no data" if so large a fraction of a picture has it.
_FILL_FRACTION = 0.001
# At least so large a fraction of a picture is content.
_LEAST_CONTENT = 0.05
# So large a fraction of the pictures may differ from all others without moving the range.
_ODD_FRACTION = 0.05
# In a set of at least so many pictures one may be odd, even if that is a larger fraction.
_FEWEST_FOR_ODD = 8
# The extremes stay in the range unless it is more than so many times as wide as the content.
WASTE = 4.0


@dataclass(frozen=True)
class Levels:
    """The stored values of one picture.

    Attributes:
        dtype: Number type: ``uint8``, ``uint16`` or ``float32``.
        lowest: Least stored value.
        highest: Greatest stored value.
        low: Least value that is content; ``lowest`` or more.
        high: Greatest value that is content; ``highest`` or less.
        fills: Values far from all others that a part of the picture has exactly: probably "no
            data".
        bits: The bits that a DICOM file declares, of which its values are fractions; 0 for others.
    """

    dtype: str
    lowest: float
    highest: float
    low: float
    high: float
    fills: tuple[float, ...] = ()
    bits: int = 0

    @property
    def reach(self) -> float:
        """How far fractions reach from black, or, of a picture that is inverted, from white."""
        return min(self.high, 1 - self.low)


@dataclass(frozen=True)
class Extent:
    """The stored values of a set of pictures.

    Attributes:
        lowest: Least stored value.
        highest: Greatest stored value.
        low: Least value that counts: ``lowest``, or more if a few values lie far from all others.
        high: Greatest value that counts: ``highest`` or less.
    """

    lowest: float
    highest: float
    low: float
    high: float

    @property
    def trimmed(self) -> bool:
        """Whether some stored values do not count."""
        return self.low > self.lowest or self.high < self.highest


def measure_levels(array: Array) -> Levels:
    """Return the least and the greatest value of a picture, with and without outliers.

    Single pixels and lines of one pixel are left out by a median over 3×3 pixels; then values that
    are far from all others are.

    Args:
        array: (H, W, C) pixels of uint8, uint16 or float32.
    """
    name = array.dtype.name
    if name == "uint8":
        return Levels(name, 0.0, 255.0, 0.0, 255.0)
    lowest, highest = float(array.min()), float(array.max())
    smooth = _remove_specks(array)
    if smooth.min() == smooth.max():  # nothing is wider than a pixel
        smooth = array
    low, high, fills = _trim(sample_values(smooth), _find_tails(smooth))
    return Levels(name, lowest, highest, low, high, fills)


def sample_values(array: Array) -> Array:
    """Return some 4,096 values of a picture, sorted, float64, with its least and greatest one."""
    flat = array.reshape(-1)
    some = flat[:: max(1, flat.size // _KEPT)]
    return np.sort(np.concatenate([some, [flat.min(), flat.max()]]).astype(np.float64))


def find_extent(pictures: Sequence[Levels]) -> Extent:
    """Return the values that count in a set of pictures.

    The extremes count unless the range would be more than 4 times (``WASTE``) as wide as without
    the outliers of single pictures and without a few odd pictures (one in twenty).
    """
    lowest, highest = min(p.lowest for p in pictures), max(p.highest for p in pictures)
    count = len(pictures)
    odd = max(int(_ODD_FRACTION * count), int(count >= _FEWEST_FOR_ODD))
    low = sorted(p.low for p in pictures)[odd]
    high = sorted(p.high for p in pictures)[count - 1 - odd]
    if high <= low:
        low, high = min(p.low for p in pictures), max(p.high for p in pictures)
    # Each end by itself, so that a fill value at one end does not cost bright objects at the other.
    reach = (WASTE - 1) * (high - low)
    return Extent(
        lowest,
        highest,
        min(value for p in pictures for value in (p.lowest, p.low) if low - value <= reach),
        max(value for p in pictures for value in (p.highest, p.high) if value - high <= reach),
    )


def _remove_specks(array: Array) -> Array:
    """Return the median over 3×3 pixels of each channel of (H, W, C)."""
    planes = [cv2.medianBlur(np.ascontiguousarray(plane), 3) for plane in np.moveaxis(array, 2, 0)]
    return np.stack(planes, axis=2)


def _find_tails(array: Array) -> Array:
    """Return the 256 (``_TAIL``) least and greatest values of a picture, float64.

    Small bright objects have many values between the ground and the brightest one, which a sample
    would miss.
    """
    flat = array.reshape(-1)
    if flat.size <= 2 * _TAIL:
        return flat.astype(np.float64)
    parted = np.partition(flat, (_TAIL - 1, flat.size - _TAIL))
    return np.concatenate([parted[:_TAIL], parted[-_TAIL:]]).astype(np.float64)


def _trim(values: Array, tails: Array) -> tuple[float, float, tuple[float, ...]]:
    """Take the few values that are far from all others off both ends.

    Args:
        values: (M,) sorted values of a sample of the picture's pixels.
        tails: The least and the greatest values of all its pixels.

    Returns:
        The least and the greatest value that are left, and those of the others that a part of the
        picture has.
    """
    distinct = np.unique(np.concatenate([values, tails]))
    most = min(_MOST_STEPS, (len(distinct) - _FEWEST_VALUES) // 2)
    steps = [(a, b) for a in range(most + 1) for b in range(most + 1) if a + b]
    for below, above in sorted(steps, key=sum):
        inner = distinct[below : len(distinct) - above]
        start, end = np.searchsorted(values, inner[0]), np.searchsorted(values, inner[-1], "right")
        core = values[start:end]
        if len(core) < _LEAST_CONTENT * len(values):
            continue
        spread = _FAR * (core[round(0.99 * (len(core) - 1))] - core[round(0.01 * (len(core) - 1))])
        far_below = not below or inner[0] - distinct[below - 1] > spread
        far_above = not above or distinct[len(distinct) - above] - inner[-1] > spread
        if spread > 0 and far_below and far_above:
            ends = [*distinct[:below], *distinct[len(distinct) - above :]]
            least = max(2, _FILL_FRACTION * len(values))
            fills = tuple(float(end) for end in ends if np.count_nonzero(values == end) > least)
            return float(inner[0]), float(inner[-1]), fills
    return float(values[0]), float(values[-1]), ()
