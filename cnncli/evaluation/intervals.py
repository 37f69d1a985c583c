"""95 % intervals from the influence of each image, with images or whole groups as what is drawn.

The variance of a figure is the sum of squared influences of what is drawn independently: an image,
or all images of a group together. It is what the bootstrap estimates by a thousand resamples, at
the cost of one and without a random number. docs/numbers.md tells how often the intervals hold the
truth.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from cnncli.evaluation.metrics import FloatArray, IntArray

CONFIDENCE = 0.95
# With fewer images (or groups, where there are groups) than this, a figure says little.
FEW = 30
# Of an error that few units make up: Student's t for less is too long for any use.
_LEAST_FREEDOM = 4
UPPER = (1 + CONFIDENCE) / 2
_Z = NormalDist().inv_cdf(UPPER)
ROUNDING = 1e-12  # a relative error that is none


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval; NaN where it is undefined.

    Attributes:
        value: The figure.
        low: Lower end of its interval, at most ``value``; NaN if there is no interval.
        high: Upper end of its interval, at least ``value``.
    """

    value: float
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True)
class Spread:
    """How far a figure moves from one sample to another.

    Attributes:
        error: Its standard error.
        units: Number of images, or groups, that were drawn independently and count in it.
        freedom: Degrees of freedom of the error: how well it is known.
    """

    error: float
    units: int
    freedom: float

    @property
    def quantile(self) -> float:
        """Standard errors on each side of a 95 % interval, by Student's t; NaN of one unit."""
        return student(self.freedom)


def student(freedom: float) -> float:
    """Return the 97.5 % quantile of Student's t; NaN below one degree of freedom."""
    from scipy.special import stdtrit  # type: ignore[import-untyped]

    return float(stdtrit(freedom, UPPER)) if freedom >= 1 else math.nan


class Units:
    """What was drawn independently of each other: images, or groups of images.

    Attributes:
        groups: (N,) number of the group of each image, from 0; None where each image is by itself.
    """

    def __init__(self, groups: IntArray | None = None) -> None:
        is_alone = groups is None or int(groups.max()) + 1 == len(groups)
        self.groups = None if is_alone else groups

    def count(self, images: IntArray) -> int:
        """Return how many units some images belong to, given by their numbers (M,)."""
        if self.groups is None:
            return len(images)
        return int(np.count_nonzero(np.bincount(self.groups[images])))

    def sum(self, influences: FloatArray, images: IntArray | None = None) -> FloatArray:
        """Return (units,) the sum of the influences of each unit's images.

        Args:
            influences: (M,) of some images, or (N,) of all.
            images: (M,) numbers of the images; None for all.
        """
        if self.groups is None:
            return influences
        if images is None:
            return np.bincount(self.groups, weights=influences).astype(np.float64)
        groups = self.groups[images]
        sums = np.bincount(groups, weights=influences)[np.bincount(groups) > 0]
        return sums.astype(np.float64)

    def spread(
        self, influences: FloatArray, images: IntArray | None = None, *, units: int | None = None
    ) -> Spread:
        """Return how far a figure moves, from the influences on it.

        Args:
            influences: (M,) of the images that count in it, or (N,) of all.
            images: (M,) numbers of these images; None for all.
            units: Number of units that decide how well the error is known, for a figure in which
                few can make up most of it, such as the few that are ranked wrongly. The degrees of
                freedom are then those of a sum of squares with the fourth moment that is seen. None
                for a figure in which all count alike.

        Source: Satterthwaite, Biometrics Bulletin 2 (1946) 110.
        """
        sums = self.sum(influences, images)
        count = len(sums)
        if count < 2:
            return Spread(math.nan, count, math.nan)
        total = float(sums @ sums)
        error = math.sqrt(count / (count - 1) * total)
        if units is None:
            return Spread(error, count, count - 1)
        excess = float((sums**4).sum()) / total**2 - 1 / count if total > 0 else 0.0
        freedom = max(_LEAST_FREEDOM, 2 / excess) if excess > 0 else math.inf
        return Spread(error, units, min(units - 1, freedom))


def wilson(share: float, trials: float, quantile: float = _Z) -> Estimate:
    """Return a proportion with Wilson's score interval.

    Args:
        share: The proportion, 0–1.
        trials: The number of independent trials it is of; with a design effect, no whole number.
        quantile: Standard errors on each side.

    Source: Wilson, Journal of the American Statistical Association 22 (1927) 209.
    """
    if not trials or not math.isfinite(share + quantile):
        return Estimate(share)
    squared = quantile**2 / trials
    middle = (share + squared / 2) / (1 + squared)
    half = math.sqrt(share * (1 - share) * squared + squared**2 / 4) / (1 + squared)
    return Estimate(share, min(max(0.0, middle - half), share), max(min(1.0, middle + half), share))


def bound_proportion(is_hit: np.ndarray, units: Units, images: IntArray) -> Estimate:
    """Return the share of some images that have a property, with Wilson's interval.

    Where images are in groups, the number of trials is that of independent images which would know
    the share as well as these do, and the quantile is Student's t for the number of groups. A share
    of 0 or 1 is as well known as by one image of each group, and that of one group as by one image.

    Args:
        is_hit: (M,) whether each image has the property.
        units: What was drawn.
        images: (M,) the images' numbers.

    Source: Korn and Graubard, Survey Methodology 24 (1998) 193; Franco et al., Journal of Survey
    Statistics and Methodology 7 (2019) 334.
    """
    trials = len(images)
    if not trials:
        return Estimate(math.nan)
    share = float(is_hit.mean())
    if units.groups is None:
        return wilson(share, trials)
    spread = units.spread((is_hit - share) / trials, images)
    if share in (0, 1) or spread.units == 1:
        return wilson(share, spread.units)
    known = share * (1 - share) / spread.error**2 if spread.error else trials
    return wilson(share, min(known, trials), spread.quantile)


def bound_fraction(value: float, spread: Spread) -> Estimate:
    """Return a figure from 0 to 1 with its interval, a normal one of its logit.

    Where no resample moves the value, or there is one unit, it is Wilson's, of as many trials as
    there are units.
    """

    def logit(error: float) -> tuple[float, float]:
        middle = math.log(value / (1 - value))
        half = error / (value * (1 - value))
        return _expit(middle - half), _expit(middle + half)

    return _bound(value, spread, logit, wilson)


def bound_agreement(value: float, spread: Spread) -> Estimate:
    """Return a figure from -1 to 1 with its interval, a normal one of its Fisher transform.

    Where no resample moves the value, it is Wilson's on that range.
    """

    def fisher(error: float) -> tuple[float, float]:
        middle, half = math.atanh(value), error / (1 - value**2)
        return math.tanh(middle - half), math.tanh(middle + half)

    def on_range(share: float, trials: float) -> Estimate:
        found = wilson((share + 1) / 2, trials)
        return Estimate(share, min(2 * found.low - 1, share), max(2 * found.high - 1, share))

    return _bound(value, spread, fisher, on_range)


def _bound(
    value: float,
    spread: Spread,
    transformed: Callable[[float], tuple[float, float]],
    unmoved: Callable[[float, float], Estimate],
) -> Estimate:
    if not math.isfinite(value):
        return Estimate(value)
    if spread.units < 2 or spread.error <= ROUNDING or abs(value) >= 1:
        return unmoved(value, spread.units)
    low, high = transformed(spread.quantile * spread.error)
    return Estimate(value, min(low, value), max(high, value))


def _expit(value: float) -> float:
    return 1 / (1 + math.exp(-value)) if value > -700 else 0.0


def bound_mean(values: FloatArray, units: Units, *, most: float = math.inf) -> Estimate:
    """Return the mean of values that are at least 0, one per image, with its interval.

    The distribution of losses has a long tail to the right: Hall's transform of the t statistic
    takes its skewness into account. Where all values are equal there is no interval, unless they
    have a largest possible value; then it is Wilson's on their range.

    Args:
        values: (N,) one of each image.
        units: What was drawn.
        most: The largest possible value.

    Source: Hall, Journal of the Royal Statistical Society B 54 (1992) 221.
    """
    value = float(np.average(values))
    influences = (values - value) / len(values)
    spread = units.spread(influences)
    if spread.units < 2:
        return Estimate(value)
    if spread.error <= ROUNDING * max(value, ROUNDING):
        if not math.isfinite(most):
            return Estimate(value)
        found = wilson(value / most, spread.units)
        return Estimate(value, most * found.low, most * found.high)
    sums = units.sum(influences)
    skewness = float((sums**3).mean() / (sums**2).mean() ** 1.5)
    low, high = (
        value - spread.error * _undo_skewness(t, skewness, spread.units)
        for t in (spread.quantile, -spread.quantile)
    )
    return Estimate(value, min(max(low, 0.0), value), max(min(high, most), value))


def _undo_skewness(t: float, skewness: float, units: int) -> float:
    """Return the t statistic whose transform, which is symmetric, is ``t``."""
    slope = skewness / math.sqrt(units)
    if abs(slope) < 1e-6:
        return t
    return 3 / slope * (float(np.cbrt(1 + slope * (t - slope / 6))) - 1)


def combine_estimates(
    estimates: list[Estimate], value: float, joint: float, apart: float
) -> Estimate:
    """Return the mean of K figures, with the interval that follows from theirs.

    Half the length of each interval stands for 1.96 standard errors, also of a class without a
    mistake, of which no resample shows any. From these follows an interval on the logit of the
    mean. Close to 1 that can be longer than all the classes' lower sides together; the lower end is
    then that of these sides, as the method of variance estimates recovery (MOVER) takes them.

    Args:
        estimates: The K figures with their intervals.
        value: Their mean.
        joint: Sum of squares of the mean's influence, by unit.
        apart: The same if the K figures were independent of each other.

    Source: Zou and Donner, Statistics in Medicine 27 (2008) 1693.
    """
    scale = math.sqrt(joint / apart) if apart > 0 and joint > 0 else 1.0

    def add(lengths: list[float]) -> float:
        return scale * math.hypot(*lengths) / len(estimates)

    low = max(0.0, value - add([one.value - one.low for one in estimates]))
    high = min(1.0, value + add([one.high - one.value for one in estimates]))
    if 0 < value < 1:
        half = add([(one.high - one.low) / 2 for one in estimates]) / (value * (1 - value))
        middle = math.log(value / (1 - value))
        low, high = max(low, _expit(middle - half)), max(high, _expit(middle + half))
    return Estimate(value, min(low, value), max(high, value))
