"""Which stored values of a deep picture are its content, and which are outliers or "no data".

A single hot pixel, a corner of 65535 or a fill value of -9999 must not decide what counts as black
and white. Pictures of 8 bits are left alone: their full scale is their range.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from statistics import median

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
# What the values of float pictures may be fractions or levels of.
_FULL_SCALES = (1.0, 255.0, 4095.0, 65535.0)
# Pictures are of two scales if no picture ends between the two, the upper being so many times the
# lower; a picture of the lower one then has 16 of 255 levels at most.
_GAP = 16.0
# Pictures of two declared depths hold the same values if those of the deeper ones fit into the bits
# of the others, and become at least so many times as dark.
_DARKER = 3.0
# Resampling may leave values so far beyond a scale, as a fraction of it.
_BEYOND = 1e-3
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


def find_scales(pictures: Sequence[Levels]) -> tuple[list[int], list[int]] | None:
    """Return which float pictures are of a small scale and which of a large one.

    Some are fractions from 0 to 1 (or -1 to 1), for example, and the others levels from 0 to 255.
    Physical units, whose values may be anything, are no scale.

    Args:
        pictures: The stored values of N pictures; those of other number types do not count, nor do
            pictures of one value.

    Returns:
        The positions of the pictures of either scale; None if all are of one.
    """
    highs = {
        number: picture.high
        for number, picture in enumerate(pictures)
        if picture.dtype == "float32" and picture.low < picture.high
    }
    lowest = min((pictures[number].low for number in highs), default=0.0)
    order = sorted(highs, key=highs.__getitem__)
    if not order or lowest < -1 - _BEYOND:
        return None
    top = highs[order[-1]]
    for position, (below, above) in enumerate(pairwise(order), start=1):
        end = highs[below]
        is_apart = end > 0 and highs[above] >= _GAP * max(end, 1.0)
        # Next to fractions everything is another scale, but next to levels only other levels are.
        if is_apart and _is_scale(end) and (end <= 1 + _BEYOND or _is_scale(top)):
            return sorted(order[:position]), sorted(order[position:])
    return None


def tell_scales(counts: Sequence[int], tops: Sequence[float], named: Sequence[str]) -> str:
    """Return a sentence on float pictures of two scales.

    Args:
        counts: Number of pictures of the small scale, and of the large one.
        tops: The greatest value of either.
        named: The path of one picture of either.
    """
    few, many = (f"{count:,} image{'s' * (count != 1)}" for count in counts)
    return (
        f"float values of two scales: {few} up to {tops[0]:.3g} (such as {named[0]}), {many} up to "
        f"{tops[1]:.5g} (such as {named[1]}); beside these the first are nearly black: bring all "
        "to one scale"
    )


def find_depths(pictures: Sequence[Levels]) -> tuple[list[int], list[int]] | None:
    """Return which DICOM pictures declare fewer bits and which more, though their values are alike.

    Two scanners store 0 to 4095, for example, and one declares 12 bits and the other 16: by what
    they declare, the pictures of the second are sixteen times as dark.

    Args:
        pictures: The stored values of N pictures; those without declared bits do not count, nor do
            pictures of one value, or of values that are no fractions.

    Returns:
        The positions of the pictures of either depth; None if there is no such pair of depths.
    """
    by_bits: dict[int, list[int]] = {}
    for number, picture in enumerate(pictures):
        if picture.bits and 0 <= picture.low < picture.high <= 1 + _BEYOND:
            by_bits.setdefault(picture.bits, []).append(number)
    for few, many in combinations(sorted(by_bits), 2):
        ends = [median(pictures[number].reach for number in by_bits[bits]) for bits in (few, many)]
        fits = ends[1] * (2**many - 1) <= 2**few - 1 + 0.5
        if fits and ends[0] >= _DARKER * ends[1]:
            return by_bits[few], by_bits[many]
    return None


def tell_depths(counts: Sequence[int], firsts: Sequence[Levels], named: Sequence[str]) -> str:
    """Return a sentence on DICOM pictures of two declared depths.

    Args:
        counts: Number of pictures that declare fewer bits, and of those that declare more.
        firsts: One picture of either.
        named: The path of each of them.
    """
    few, many = (f"{count:,} DICOM file{'s' * (count != 1)}" for count in counts)
    low, high = (picture.bits for picture in firsts)
    if firsts[1].low > 0.5:  # inverted, by the declared depth
        end = "nearly white: bring all to one depth"
    else:
        end = f"nearly black; --intensity 0:{2**low - 1} takes the stored values of both"
    return (
        f"{few} without a window of {low} bits (such as {named[0]}), {many} of {high} bits whose "
        f"values fit into {low} (such as {named[1]}): beside the first these are {end}"
    )


def _is_scale(end: float) -> bool:
    """Return whether values that end there use more than half of a full scale."""
    return any(scale / 2 < end <= scale * (1 + _BEYOND) for scale in _FULL_SCALES)


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
