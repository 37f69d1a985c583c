"""Pictures of two scales or depths in one set: those of the smaller one are nearly black."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, pairwise
from statistics import median

from cnncli.images.levels import Levels

# What the values of float pictures may be fractions or levels of.
_FULL_SCALES = (1.0, 255.0, 4095.0, 65535.0)
# Pictures are of two scales if no picture ends between the two, the upper being so many times the
# lower; a picture of the lower one then has 16 of 255 levels at most.
_GAP = 16.0
# So many times is enough where the pictures of either scale, two at least, end close together: the
# greatest value of the brightest is no more than twice that of the darkest.
_NEAR_GAP, _CLOSE = 5.0, 2.0
# Pictures of two declared depths hold the same values if those of the deeper ones fit into the bits
# of the others, and become at least so many times as dark.
_DARKER = 3.0
# Resampling may leave values so far beyond a scale, as a fraction of it.
_BEYOND = 1e-3


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
        gap = highs[above] / max(end, 1.0) if end > 0 else 0.0
        is_apart = gap >= _GAP or (
            gap >= _NEAR_GAP
            and all(_are_close(highs, part) for part in (order[:position], order[position:]))
        )
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
        f"{tops[1]:.5g} (such as {named[1]}); beside these the first are "
        f"{'nearly black' if tops[1] >= _GAP * tops[0] else 'dark'}: bring all to one scale"
    )


def tell_dark_bytes(count: int, total: int, top: int, name: str) -> str:
    """Return a sentence on pictures of 8 bits without a level above ``DARK_BYTE``.

    Args:
        count: Their number.
        total: Number of all pictures.
        top: Their greatest level.
        name: The path of one of them.
    """
    among = f"all {count:,}" if count == total else f"{count:,} of {total:,}"
    return (
        f"{among} images are nearly black: no level above {top} of 255 (such as {name}); if they "
        "hold fractions or the numbers of classes, as a mask does, bring them to 0–255"
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


def _are_close(highs: Mapping[int, float], order: Sequence[int]) -> bool:
    """Return whether two pictures or more, in the order of where they end, end close together."""
    return len(order) > 1 and highs[order[-1]] <= _CLOSE * highs[order[0]]


def _is_scale(end: float) -> bool:
    """Return whether values that end there use more than half of a full scale."""
    return any(scale / 2 < end <= scale * (1 + _BEYOND) for scale in _FULL_SCALES)
