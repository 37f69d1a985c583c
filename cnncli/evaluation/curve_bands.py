"""Pointwise 95 % bands of a ROC curve and of a precision-recall curve.

At a fixed share of false alarms, a sensitivity moves for two reasons: the positive images are drawn
by chance, and so are the negative ones, which decide where the threshold lies. Each point of the
curve has Wilson's interval in both directions, and an ellipse with these as half axes. The band is
what the ellipses of all points cover: its half width at a place is then the root of the sum of
squares of the two parts, without an estimate of the densities of the scores.

docs/numbers.md tells how often the bands hold the truth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cnncli.evaluation.intervals import Estimate, Units, bound_proportion
from cnncli.evaluation.metrics import FloatArray
from cnncli.evaluation.operating_point import BoolArray

_POINTS = 150  # of a curve that have an interval of their own
_STEPS = 200  # between them


@dataclass(frozen=True)
class Band:
    """The band of a curve at M places.

    Attributes:
        x: (M,) the places on the x axis, ascending.
        low: (M,) where the band begins.
        high: (M,) where it ends.
    """

    x: FloatArray
    low: FloatArray
    high: FloatArray


@dataclass(frozen=True)
class _Shares:
    """M shares with their intervals, as arrays (M,)."""

    value: FloatArray
    below: FloatArray
    above: FloatArray

    @classmethod
    def of(cls, estimates: list[Estimate]) -> _Shares:
        """Return estimates as arrays: values, and how far their intervals reach down and up."""
        value, low, high = np.array([(e.value, e.low, e.high) for e in estimates]).T
        return cls(value, value - low, high - value)

    def at(self, place: FloatArray, places: FloatArray) -> _Shares:
        """Return the shares at other places, between neighbours by straight lines."""
        parts = (np.interp(place, places, part) for part in (self.value, self.below, self.above))
        return _Shares(*parts)


def band_curves(is_it: BoolArray, scores: FloatArray, units: Units) -> tuple[Band, Band]:
    """Return the bands of a class's ROC curve, and of its precision and recall.

    The first says where the sensitivity lies at each share of false alarms, the second where the
    precision lies at each recall. Each is pointwise: at one place it holds the truth in 95 of 100
    samples; a whole curve is inside less often. The precision at a recall follows from the share of
    false alarms there and from the class's share of the images, by Bayes' theorem, and so does its
    band.

    Args:
        is_it: (N,) whether an image is of the class; there are images of both kinds.
        scores: (N,) probabilities of the class.
        units: What was drawn independently: images, or groups.

    Source: Variance of a sensitivity at a fixed specificity: Linnet, Statistics in Medicine 6
    (1987) 147. From intervals of the parts: Zou and Donner, Statistics in Medicine 27 (2008) 1693.
    """
    found, false = _bound_points(is_it, scores, units)
    places = found.value + false.value
    place = np.union1d(places, np.linspace(0, 2, _STEPS + 1))
    found, false = found.at(place, places), false.at(place, places)
    low, high = _envelope(false, found)
    roc = Band(false.value, low, high)
    fewest, most = _envelope(found, false)
    share = bound_proportion(is_it, units, np.arange(len(is_it)))
    # Negative images for each positive one.
    ratio, least, largest = ((1 - p) / p for p in (share.value, share.high, share.low))
    alarms = false.value * ratio
    up = np.hypot(ratio * (most - false.value), false.value * (largest - ratio))
    down = np.hypot(ratio * (false.value - fewest), false.value * (ratio - least))
    worst, best = alarms + up, np.maximum(alarms - down, 0)
    with np.errstate(invalid="ignore"):
        low, high = (found.value / (found.value + side) for side in (worst, best))
    # At recall 0 no image is called the class.
    return roc, Band(found.value, np.nan_to_num(low, nan=0.0), np.nan_to_num(high, nan=1.0))


def _bound_points(is_it: BoolArray, scores: FloatArray, units: Units) -> tuple[_Shares, _Shares]:
    """Return sensitivities and shares of false alarms at thresholds, the strictest first."""
    positive, negative = np.flatnonzero(is_it), np.flatnonzero(~is_it)
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)  # of equal scores
    hits = np.cumsum(is_it[order])[ends]
    along = hits / len(positive) + (ends + 1 - hits) / len(negative)
    wanted = np.unique(np.searchsorted(along, np.linspace(0, 2, _POINTS) * (1 - 1e-12)))
    thresholds = [np.inf, *scores[order][ends[np.minimum(wanted, len(ends) - 1)]]]
    found, false = (
        [bound_proportion(scores[part] >= t, units, part) for t in thresholds]
        for part in (positive, negative)
    )
    return _Shares.of(found), _Shares.of(false)


def _envelope(across: _Shares, along: _Shares) -> tuple[FloatArray, FloatArray]:
    """Return the lowest and highest end, at each point's place, of what the ellipses cover.

    Args:
        across: The points' places with their intervals.
        along: Their values with theirs.
    """
    gap = across.value[:, None] - across.value[None, :]  # of a place to each point
    reach = np.where(gap < 0, across.below, across.above)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(gap == 0, 0.0, np.abs(gap) / reach)
    height = np.sqrt(np.maximum(1 - share**2, 0))
    covers = share <= 1
    low = np.where(covers, along.value - along.below * height, np.inf).min(axis=1)
    high = np.where(covers, along.value + along.above * height, -np.inf).max(axis=1)
    return np.clip(low, 0, 1), np.clip(high, 0, 1)
