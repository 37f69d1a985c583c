"""95 % intervals of the figures of an operating point."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from cnncli.evaluation.intervals import CONFIDENCE
from cnncli.evaluation.metrics import FloatArray, IntArray
from cnncli.evaluation.operating_point import (
    BoolArray,
    Outcomes,
    compute_figures,
    npv_of,
    ppv_of,
)

Interval = tuple[float, float]
_Z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
POSITIVE_RATIO, NEGATIVE_RATIO = "positive_likelihood_ratio", "negative_likelihood_ratio"


def bound_figures(
    is_called: BoolArray,
    is_positive: BoolArray,
    *,
    prevalence: float | None = None,
    groups: IntArray | None = None,
    seed: int = 0,
) -> dict[str, tuple[float, float, float]]:
    """Compute the figures of an operating point with their intervals.

    Of independent images, sensitivity, specificity, ppv and npv have Wilson's interval, and the
    likelihood ratios that of the log method. Where one of the four counts is 0, the logarithm of a
    ratio has no standard error: 0.5 is then added to each count, for the interval alone. Predictive
    values at another prevalence follow from a likelihood ratio by Bayes' theorem, and so does
    their interval.

    Of images in groups, whole groups are drawn with replacement a thousand times, and the interval
    runs from the 2.5th to the 97.5th percentile. Resampling cannot move a proportion of 0 or 1, and
    cannot know what a count of 0 might have been: there, the interval is that of independent
    images, with as many of each side as there are groups with such an image.

    Args:
        is_called: (N,) whether an image was called positive.
        is_positive: (N,) whether it is.
        prevalence: Share of positive images where the classifier is to be used; None for none.
        groups: (N,) number of the group of each image; None where images are independent.
        seed: Seed of the resampling.

    Returns:
        (value, low, high) by the names of `compute_figures`; NaN where undefined.

    Source: Wilson, Journal of the American Statistical Association 22 (1927) 209. Log method:
    Simel, Samsa and Matchar, Journal of Clinical Epidemiology 44 (1991) 763. Predictive values:
    Mercaldo, Lau and Zhou, Statistics in Medicine 26 (2007) 2170, whose logit interval this is.
    """
    outcomes = Outcomes.count(is_called, is_positive)
    values = compute_figures(outcomes, prevalence)
    if groups is None:
        bounds = _bounds_of_images(outcomes, prevalence)
    else:
        drawn = Outcomes.resample(is_called, is_positive, groups, seed=seed)
        bounds = {
            name: _percentiles(column)
            for name, column in compute_figures(drawn, prevalence).items()
        }
        fewer = _bounds_of_images(_as_groups(is_called, is_positive, groups), prevalence)
        bounds |= {name: fewer[name] for name, value in values.items() if _is_edge(name, value)}
    return {name: _hold(float(value), bounds[name]) for name, value in values.items()}


def _is_edge(name: str, value: FloatArray) -> bool:
    """Return whether a figure is at an end of its range, from which resampling does not move it."""
    return float(value) in ((0, math.inf) if name.endswith("ratio") else (0, 1))


def _as_groups(is_called: BoolArray, is_positive: BoolArray, groups: IntArray) -> Outcomes:
    """Return counts in their proportions, of as many images of each side as it has groups."""
    outcomes = Outcomes.count(is_called, is_positive)
    sides = [
        len(np.unique(groups[side])) / max(1, side.sum()) for side in (is_positive, ~is_positive)
    ]
    return Outcomes(
        outcomes.true_positive * sides[0],
        outcomes.false_negative * sides[0],
        outcomes.false_positive * sides[1],
        outcomes.true_negative * sides[1],
    )


def wilson_interval(hits: float, trials: float) -> Interval:
    """Return Wilson's score interval of a proportion; (NaN, NaN) without a trial.

    Source: Wilson, Journal of the American Statistical Association 22 (1927) 209.
    """
    if trials == 0:
        return math.nan, math.nan
    share, squared = hits / trials, _Z**2 / trials
    middle = (share + squared / 2) / (1 + squared)
    half = _Z / (1 + squared) * math.sqrt(share * (1 - share) / trials + squared / (4 * trials))
    return max(0.0, middle - half), min(1.0, middle + half)


def _bounds_of_images(outcomes: Outcomes, prevalence: float | None) -> dict[str, Interval]:
    tp, fn = float(outcomes.true_positive), float(outcomes.false_negative)
    fp, tn = float(outcomes.false_positive), float(outcomes.true_negative)
    bounds = {
        "sensitivity": wilson_interval(tp, tp + fn),
        "specificity": wilson_interval(tn, tn + fp),
        "ppv": wilson_interval(tp, tp + fp),
        "npv": wilson_interval(tn, tn + fn),
        POSITIVE_RATIO: _ratio_interval(tp, fn, fp, tn),
        NEGATIVE_RATIO: _ratio_interval(fn, tp, tn, fp),
    }
    if prevalence is not None:
        bounds |= _at_prevalence(bounds[POSITIVE_RATIO], bounds[NEGATIVE_RATIO], prevalence)
    return bounds


def _ratio_interval(hits: float, rest: float, other_hits: float, other_rest: float) -> Interval:
    """Return the interval of the ratio of two proportions, by its logarithm.

    The ratio is hits / (hits + rest) to other_hits / (other_hits + other_rest).
    """
    if hits + rest == 0 or other_hits + other_rest == 0:
        return math.nan, math.nan
    if 0 in (hits, rest, other_hits, other_rest):
        hits, rest, other_hits, other_rest = (
            count + 0.5 for count in (hits, rest, other_hits, other_rest)
        )
    trials, other_trials = hits + rest, other_hits + other_rest
    middle = math.log(hits / trials) - math.log(other_hits / other_trials)
    error = math.sqrt(1 / hits - 1 / trials + 1 / other_hits - 1 / other_trials)
    return math.exp(middle - _Z * error), math.exp(middle + _Z * error)


def _at_prevalence(
    positive_ratio: Interval, negative_ratio: Interval, prevalence: float
) -> dict[str, Interval]:
    low, high = ppv_of(np.array(positive_ratio), prevalence)
    highest, lowest = npv_of(np.array(negative_ratio), prevalence)
    return {
        "ppv_at_prevalence": (float(low), float(high)),
        "npv_at_prevalence": (float(lowest), float(highest)),
    }


def _percentiles(drawn: FloatArray) -> Interval:
    """Return the interval of resamples; those in which a figure is undefined are left out."""
    defined = drawn[~np.isnan(drawn)]
    if len(defined) == 0:
        return math.nan, math.nan
    tail = (1 - CONFIDENCE) / 2
    # Sorted values and no percentiles between two: a likelihood ratio may be infinite.
    ranked = np.sort(defined)
    last = len(ranked) - 1
    return float(ranked[int(tail * last)]), float(ranked[math.ceil((1 - tail) * last)])


def _hold(value: float, bounds: Interval) -> tuple[float, float, float]:
    """Return a value and its interval, which always holds it."""
    low, high = bounds
    if math.isnan(value) or math.isnan(low):
        return value, math.nan, math.nan
    return value, min(low, value), max(high, value)
