"""The default range of intensities: by what most values of most images are, not by the extremes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cnncli.arrays import Array
from cnncli.choices import IntensityRule
from cnncli.data.survey import ImageSurvey
from cnncli.errors import count_of
from cnncli.images.intensity import are_fractions
from cnncli.images.levels import WASTE, Extent, find_extent

# 16-bit files whose values fit into fewer bits than this use at most a quarter of the scale; those
# bits are then stretched to the whole scale.
_FEW_BITS = 14
# A scale of which the values use less than this fraction is replaced by their own range.
_LEAST_USED = 0.125
_FULL_16 = 65535
# The percentiles that are the range where no number of bits and no unit explains the values.
_PERCENTILES = (0.1, 99.9)


def hold_fractions(values: Array) -> bool:
    """Return whether sorted float values, (M,), are fractions of full scale."""
    return are_fractions(float(values[0]), float(values[-1]))


def choose_rule(survey: ImageSurvey, number: int) -> IntensityRule:
    """Choose the rule for one file of a sample by the values seen in it.

    Args:
        survey: What the images are like.
        number: Which of the files of a sample.

    Returns:
        ``full`` for 8 bits and for a scale that is used; the number of bits that 16-bit values
        need, if it is at most 13; for floats beyond 0–1 the percentiles 0.1 and 99.9 of the values
        that count; and for whole numbers and fractions that use less than an eighth of their
        scale, the least and the greatest value that count.
    """
    if survey.dtype == "uint8":
        return IntensityRule("full")
    extent = _find_extent(survey, number)
    width = extent.high - extent.low
    if survey.dtype == "float32":
        fractions = are_fractions(extent.low, extent.high)
        if fractions and hold_fractions(survey.values[number]):
            used = width >= _LEAST_USED or width <= 0
            return IntensityRule("full") if used else _exactly(extent)
        if fractions and width >= _LEAST_USED:  # fractions, and a few values that are none
            return IntensityRule("values", 0.0, 1.0)
        return _by_percentiles(survey, number, extent)
    bits = _count_bits(extent)
    top = 2**bits - 1 if bits < _FEW_BITS else _FULL_16
    if 0 < width < _LEAST_USED * top:
        return _exactly(extent)
    return IntensityRule("full") if top == _FULL_16 else IntensityRule("values", 0, top)


def explain_rule(survey: ImageSurvey) -> list[str]:
    """Return sentences on why the default range is not the full scale of the number type."""
    told = []
    for number in range(len(survey.files)):
        rule = choose_rule(survey, number)
        extent = None if survey.dtype == "uint8" else _find_extent(survey, number)
        if extent is None or (rule.kind == "full" and not extent.trimmed):
            continue
        file = f"file {number + 1} of each sample: " if len(survey.files) > 1 else ""
        told.append(file + "; ".join(_reasons(survey, number, rule, extent)))
    return told


def _reasons(
    survey: ImageSurvey, number: int, rule: IntensityRule, extent: Extent
) -> Iterator[str]:
    """Yield what was found in one file of a sample, in parts of a sentence."""
    low, high = (format_level(value) for value in (extent.low, extent.high))
    kind = "16-bit" if survey.dtype == "uint16" else "float"
    if rule.kind == "values" and survey.dtype == "uint16":
        yield f"the 16-bit files use {round(np.log2(rule.high + 1))} bits ({low} to {high})"
    else:
        yield f"the {kind} values that count go from {low} to {high}"
    levels = survey.levels[number] if survey.levels else ()
    fills = sorted({fill for picture in levels for fill in picture.fills})
    beyond = [f for f in fills if not extent.low <= f <= extent.high]
    if beyond:
        listed = ", ".join(map(format_level, beyond[:3]))
        yield f"{listed} is far from all other values, probably no data"
    if extent.trimmed:
        outside = sum(p.lowest < extent.low or p.highest > extent.high for p in levels)
        yield (
            f"{outside} of {count_of(len(levels), 'image')} looked at have values beyond that "
            "(from "
            f"{format_level(extent.lowest)} to {format_level(extent.highest)}), which are cut"
        )


def format_level(value: float) -> str:
    """Return a stored value as short text: whole numbers whole, others with six digits."""
    return f"{value:.0f}" if value == round(value) and abs(value) < 1e9 else f"{value:.6g}"


def _find_extent(survey: ImageSurvey, number: int) -> Extent:
    """Return the stored values that count in one file of a sample."""
    if survey.levels and survey.levels[number]:
        return find_extent(survey.levels[number])
    scale = _FULL_16 if survey.dtype == "uint16" else 1.0
    low, high = (float(survey.values[number][end]) * scale for end in (0, -1))
    return Extent(low, high, low, high)


def _count_bits(extent: Extent) -> int:
    """Return the number of bits of the values that count, at least 8."""
    top, counted = round(extent.highest), round(extent.high)
    # Without a gap between them, one bright pixel may decide: it costs no more than two bits.
    return max(8, (top if top < WASTE * counted else counted).bit_length())


def _exactly(extent: Extent) -> IntensityRule:
    """Return the range from the least to the greatest value that counts."""
    low, high = round_range(extent.low, extent.high, whole=extent.high > 1)
    return IntensityRule("values", low, high)


def _by_percentiles(survey: ImageSurvey, number: int, extent: Extent) -> IntensityRule:
    """Return the range between two percentiles of the float values that count."""
    if not extent.trimmed:
        return IntensityRule("percentiles", *_PERCENTILES)
    values = survey.values[number]
    values = values[(values >= extent.low) & (values <= extent.high)]
    low, high = np.percentile(values, _PERCENTILES) if len(values) else (0.0, 0.0)
    if not low < high:
        low, high = extent.low, extent.high
    return IntensityRule("values", *round_range(float(low), float(high), whole=False))


def round_range(low: float, high: float, *, whole: bool) -> tuple[float, float]:
    """Round both ends of a range so that it is changed by less than one part in 100,000.

    Args:
        low: The lower end.
        high: The upper end.
        whole: Whether the ends are to be whole numbers.
    """
    if whole:
        return round(low), round(high)
    digits = 5 - int(np.floor(np.log10(high - low))) if high > low else 6
    ends = [float(f"{value:.6g}") for value in (low, high)]
    if ends[1] - ends[0] < 0.999 * (high - low) or ends[1] - ends[0] > 1.001 * (high - low):
        ends = [round(value, digits) for value in (low, high)]
    return ends[0], ends[1]
