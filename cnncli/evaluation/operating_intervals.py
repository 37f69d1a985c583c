"""95 % intervals of the figures of an operating point."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from cnncli.evaluation.intervals import CONFIDENCE, Estimate, Units, bound_proportion
from cnncli.evaluation.metrics import FloatArray
from cnncli.evaluation.operating_point import (
    BoolArray,
    Outcomes,
    compute_figures,
    npv_of,
    ppv_of,
)

_Z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
POSITIVE_RATIO, NEGATIVE_RATIO = "positive_likelihood_ratio", "negative_likelihood_ratio"


def bound_figures(
    is_called: BoolArray, is_positive: BoolArray, units: Units, *, prevalence: float | None = None
) -> dict[str, Estimate]:
    """Compute the figures of an operating point with their intervals.

    Sensitivity, specificity, ppv and npv have the interval of a proportion, and the likelihood
    ratios that of the log method, whose standard error is of whole groups where there are groups.
    Where one of the four counts is 0, the logarithm of a ratio has no standard error: 0.5 is then
    added to each count, for the interval alone. Predictive values at another prevalence follow from
    a likelihood ratio by Bayes' theorem, and so does their interval.

    Args:
        is_called: (N,) whether an image was called positive.
        is_positive: (N,) whether it is.
        units: What was drawn independently: images, or groups.
        prevalence: Share of positive images where the classifier is to be used; None for none.

    Returns:
        The figures by the names of `compute_figures`.

    Source: Log method: Simel, Samsa and Matchar, Journal of Clinical Epidemiology 44 (1991) 763.
    Predictive values: Mercaldo, Lau and Zhou, Statistics in Medicine 26 (2007) 2170, whose logit
    interval this is.
    """
    values = compute_figures(Outcomes.count(is_called, is_positive), prevalence)
    shares = {
        "sensitivity": (is_called, is_positive),
        "specificity": (~is_called, ~is_positive),
        "ppv": (is_positive, is_called),
        "npv": (~is_positive, ~is_called),
    }
    found = {
        name: bound_proportion(is_hit[among], units, np.flatnonzero(among))
        for name, (is_hit, among) in shares.items()
    }
    for name, is_hit in ((POSITIVE_RATIO, is_called), (NEGATIVE_RATIO, ~is_called)):
        low, high = _bound_ratio(is_hit, is_positive, units)
        found[name] = _hold(float(values[name]), low, high)
    if prevalence is not None:
        ratio, other = found[POSITIVE_RATIO], found[NEGATIVE_RATIO]
        low, high = ppv_of(np.array([ratio.low, ratio.high]), prevalence)
        found["ppv_at_prevalence"] = _hold(float(values["ppv_at_prevalence"]), low, high)
        high, low = npv_of(np.array([other.low, other.high]), prevalence)
        found["npv_at_prevalence"] = _hold(float(values["npv_at_prevalence"]), low, high)
    return found


def _bound_ratio(is_hit: BoolArray, is_positive: BoolArray, units: Units) -> tuple[float, float]:
    """Return the interval of the share of hits among positive images to that among the others."""
    sides = [np.flatnonzero(is_positive), np.flatnonzero(~is_positive)]
    counts = [units.count(side) for side in sides]
    if 0 in counts:
        return math.nan, math.nan
    shares = [float(is_hit[side].mean()) for side in sides]
    if units.groups is None or not all(0 < share < 1 for share in shares):
        return _by_counts(shares, counts)
    influences = np.zeros(len(is_hit))
    for side, share, sign in zip(sides, shares, (1, -1), strict=True):
        influences[side] = sign * (is_hit[side] - share) / (len(side) * share)
    spread = units.spread(influences, units=min(counts))
    return _around(math.log(shares[0] / shares[1]), spread.quantile * spread.error)


def _by_counts(shares: list[float], counts: list[int]) -> tuple[float, float]:
    """Return the interval of the ratio of two shares, each of so many independent trials."""
    hits = [share * count for share, count in zip(shares, counts, strict=True)]
    rest = [count - hit for hit, count in zip(hits, counts, strict=True)]
    if not all((*hits, *rest)):
        hits, rest = [hit + 0.5 for hit in hits], [other + 0.5 for other in rest]
    trials = [hit + other for hit, other in zip(hits, rest, strict=True)]
    error = math.sqrt(sum(1 / hit - 1 / every for hit, every in zip(hits, trials, strict=True)))
    middle = math.log(hits[0] / trials[0]) - math.log(hits[1] / trials[1])
    return _around(middle, _Z * error)


def _around(middle: float, half: float) -> tuple[float, float]:
    return math.exp(middle - half), math.exp(middle + half)


def _hold(value: float, low: FloatArray | float, high: FloatArray | float) -> Estimate:
    """Return a value with its interval, which always holds it."""
    if math.isnan(value) or math.isnan(low):
        return Estimate(value)
    return Estimate(value, min(float(low), value), max(float(high), value))
