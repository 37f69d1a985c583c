"""Divides images by a property of theirs, and tells where figures differ most between the parts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist
from typing import Any

import numpy as np

from cnncli.choices.missing import is_missing
from cnncli.evaluation.intervals import FEW
from cnncli.evaluation.metrics import FloatArray, IntArray

# A column of numbers with more values than this is divided into bands.
MOST_NUMBERS = 8
# A column of texts with more values than this does not tell parts apart that can be judged.
MOST_TEXTS = 20
MISSING = "missing"
_BANDS = 4
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Parts:
    """Images divided into parts.

    Attributes:
        names: What each of the P parts is called, in their order; ``missing`` is the last one.
        numbers: (N,) the part of each image, from 0.
        are_bands: Whether the parts are bands of numbers.
    """

    names: tuple[str, ...]
    numbers: IntArray
    are_bands: bool = False

    def with_unit(self, unit: str) -> Parts:
        """Return the parts with a unit behind each name."""
        return Parts(tuple(f"{name} {unit}" for name in self.names), self.numbers, self.are_bands)


def divide_texts(texts: Sequence[str], edges: Sequence[float] = ()) -> Parts | int:
    """Divide images by the texts that a column has for them.

    Numbers are compared as numbers. More than eight different ones become four bands with about
    equally many images, unless the ends of bands are given. Empty texts are a part of their own,
    and so is what stands for a missing number where all others are numbers.

    Args:
        texts: The column's text for each of N images.
        edges: Ends of bands, ascending; empty for none.

    Returns:
        The parts; or the number of different texts, if these are no numbers and either more than
        twenty or to be divided into bands.
    """
    numbers = read_numbers(texts)
    if numbers is not None:
        return divide_numbers(numbers, edges)
    values = sorted({text for text in texts if text})
    if edges or len(values) > MOST_TEXTS:
        return len(values)
    missing = f"{MISSING} (empty)" if MISSING in values else MISSING
    names = [*values, *([missing] if "" in texts else [])]
    place = {text: index for index, text in enumerate(values)} | {"": len(values)}
    return Parts(tuple(names), np.array([place[text] for text in texts]))


def read_numbers(texts: Sequence[str]) -> FloatArray | None:
    """Return (N,) the numbers that texts are, NaN where one is missing; None for other texts."""
    numbers = np.full(len(texts), np.nan)
    for index, text in enumerate(texts):
        if is_missing(text):
            continue
        try:
            numbers[index] = float(text)
        except ValueError:
            return None
        if not math.isfinite(numbers[index]):
            return None
    return numbers if np.isfinite(numbers).any() else None


def divide_numbers(
    numbers: FloatArray, edges: Sequence[float] = (), *, always_bands: bool = False
) -> Parts:
    """Divide images by a number of theirs.

    Args:
        numbers: (N,) NaN where it is missing.
        edges: Ends of bands, ascending: each number is below the end of its band. Empty takes the
            numbers themselves if they are at most eight, and else quartiles: bands with about
            equally many images, none of which divides equal numbers.
        always_bands: Whether to divide a few numbers into bands too.
    """
    known = np.isfinite(numbers)
    values = np.unique(numbers[known])
    if edges:
        place = np.searchsorted(np.array(edges), numbers[known], "right")
        shown = [_write(edge) for edge in edges]
        inner = [f"{low} to under {high}" for low, high in pairwise(shown)]
        named = [f"under {shown[0]}", *inner, f"{shown[-1]} and more"]
    elif len(values) <= MOST_NUMBERS and not always_bands:
        place = np.searchsorted(values, numbers[known])
        named = [_write(value) for value in values]
    else:
        cuts = np.quantile(numbers[known], np.arange(1, _BANDS) / _BANDS)
        place = np.searchsorted(cuts, numbers[known], "left")
        members = [numbers[known][place == band] for band in range(_BANDS)]
        named = [_name_band(part) if len(part) else "" for part in members]
    used, dense = np.unique(place, return_inverse=True)
    names = [named[band] for band in used]
    parts = np.full(len(numbers), len(names))
    parts[known] = dense
    if not known.all():
        names.append(MISSING)
    return Parts(tuple(names), parts, bool(edges) or always_bands or len(values) > MOST_NUMBERS)


def _name_band(numbers: FloatArray) -> str:
    low, high = _write(numbers.min()), _write(numbers.max())
    return low if low == high else f"{low}–{high}"


def _write(number: float) -> str:
    """Return a number as it is read: whole where it is, else with at most six digits."""
    return f"{number:.0f}" if float(number).is_integer() else f"{number:.6g}"


@dataclass(frozen=True)
class Gap:
    """Two parts whose figures differ most.

    Attributes:
        low: Index of the part with the smaller figure.
        high: Index of the part with the larger one.
        value: The difference, at least 0.
        ends: Lower and upper end of its interval, from -1 to 1; None where a figure has none.
        pairs: Number of pairs of parts that it is the largest of.
    """

    low: int
    high: int
    value: float
    ends: tuple[float, float] | None
    pairs: int

    @property
    def may_be_chance(self) -> bool:
        """Whether the interval holds 0, or there is none."""
        return self.ends is None or self.ends[0] <= 0


def find_gap(figures: Sequence[Mapping[str, Any] | None], counts: Sequence[int]) -> Gap | None:
    """Find the largest difference of a figure between two parts.

    The interval comes from those of the two figures, as of independent images. It is widened by
    Bonferroni's rule, since the largest of many differences is large by chance alone.

    Args:
        figures: The figure of each part, ``value``, ``low`` and ``high``, from 0 to 1; None if
            undefined.
        counts: Number of images (or groups) of each part. If at least two are not small, the small
            ones do not take part.

    Returns:
        The gap; None if fewer than two parts have the figure.

    Source: Zou and Donner, Statistics in Medicine 27 (2008) 1693: an interval of a difference from
    those of its terms.
    """
    known = [index for index, figure in enumerate(figures) if figure is not None]
    large = [index for index in known if counts[index] >= FEW]
    chosen = large if len(large) >= 2 else known
    if len(chosen) < 2:
        return None
    values = {index: dict(figures[index] or {}) for index in chosen}
    low = min(chosen, key=lambda index: values[index]["value"])
    high = max((i for i in chosen if i != low), key=lambda index: values[index]["value"])
    pairs = len(chosen) * (len(chosen) - 1) // 2
    one, other = values[high], values[low]
    value = one["value"] - other["value"]
    ends = None
    if None not in (one["low"], one["high"], other["low"], other["high"]):
        normal = NormalDist()
        wide = normal.inv_cdf(1 - (1 - _CONFIDENCE) / 2 / pairs)
        wide /= normal.inv_cdf((1 + _CONFIDENCE) / 2)
        below = math.hypot(one["value"] - one["low"], other["high"] - other["value"])
        above = math.hypot(one["high"] - one["value"], other["value"] - other["low"])
        ends = (max(-1.0, value - wide * below), min(1.0, value + wide * above))
    return Gap(low, high, value, ends, pairs)
