"""How far two classifiers differ on the same images, with a paired bootstrap interval."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from cnncli.arrays import Array
from cnncli.evaluation.metrics import FloatArray, IntArray

CONFIDENCE = 0.95
RESAMPLES = 1000
# Values of an array (images, resamples) that are computed at once: 32 MB.
_AT_ONCE = 1_000_000
# With more images times classes than this, the resamples of AUROC take tens of seconds.
MOST_RANKED = 100_000


@dataclass(frozen=True)
class Judged:
    """What one classifier says of N images.

    Attributes:
        predictions: (N,) class numbers. They may be those of classes that no image has.
        probabilities: (N, K) with the columns in the order of the classes; None if not known.
    """

    predictions: IntArray
    probabilities: FloatArray | None


@dataclass(frozen=True)
class Difference:
    """A figure of the first classifier minus that of the second.

    Attributes:
        value: The difference.
        low: Lower end of its 95 % interval; NaN where no resample moves the difference.
        high: Upper end; NaN as well.
    """

    value: float
    low: float
    high: float


def paired_differences(
    targets: IntArray,
    first: Judged,
    second: Judged,
    *,
    num_classes: int,
    units: IntArray | None = None,
    ordered: bool = False,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> dict[str, Difference]:
    """Compare two classifiers on the same images.

    Both are judged on the same resamples, so that what makes an image hard or easy for both of
    them cancels out. Where images belong to groups, whole groups are drawn with replacement: the
    images of one patient do not differ from each other as those of two patients do, and intervals
    that ignore it are too narrow.

    Args:
        targets: (N,) class numbers.
        first: What the first classifier says.
        second: What the second one says.
        num_classes: Number of classes among targets and predictions.
        units: (N,) numbers of the groups, each drawn as a whole; None draws images.
        ordered: Whether the classes are grades, which have a ``quadratic_kappa``.
        seed: Seed of the resampling.
        resamples: Number of resamples.

    Returns:
        By name: ``accuracy``, ``balanced_accuracy``, ``macro_f1``, ``mcc``, ``quadratic_kappa`` if
        the classes are ordered, and ``auroc`` if both have probabilities (its interval is left out
        where images times classes are more than ``MOST_RANKED``). Undefined ones are left out.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13 (percentiles);
    Field and Welsh, Journal of the Royal Statistical Society B 69 (2007) 369 (whole clusters).
    """
    numbers = np.arange(len(targets)) if units is None else np.unique(units, return_inverse=True)[1]
    count = int(numbers.max()) + 1
    figures: list[Callable[[FloatArray], dict[str, FloatArray]]] = []
    slow: list[Callable[[FloatArray], dict[str, FloatArray]]] = []
    for judged in (first, second):
        figures.append(_Counted(targets, judged.predictions, num_classes, ordered=ordered))
        if first.probabilities is not None and second.probabilities is not None:
            assert judged.probabilities is not None
            slow.append(_Ranked(targets, judged.probabilities))
    whole = np.ones((len(targets), 1))
    values = _subtract(figures, whole) | _subtract(slow, whole)
    parts: list[dict[str, FloatArray]] = []
    generator = np.random.default_rng(seed)
    at_once = max(1, _AT_ONCE // len(targets))
    if slow and first.probabilities is not None and first.probabilities.size > MOST_RANKED:
        slow = []
    for start in range(0, resamples, at_once):
        size = min(at_once, resamples - start)
        times = generator.multinomial(count, np.full(count, 1 / count), size=size)
        weights = np.ascontiguousarray(times.T, np.float64)[numbers]
        parts.append(_subtract(figures, weights) | _subtract(slow, weights))
    found, tail = {}, _find_tail(count)
    for name, value in values.items():
        if np.isfinite(value[0]):
            resampled = [part[name] for part in parts if name in part]
            drawn = np.concatenate(resampled or [np.empty(0)])
            found[name] = _bound(float(value[0]), drawn, tail)
    return found


def _subtract(
    figures: list[Callable[[FloatArray], dict[str, FloatArray]]], weights: FloatArray
) -> dict[str, FloatArray]:
    """Return (B,) first minus second of each figure, for weights (N, B) of the images."""
    if not figures:
        return {}
    first, second = (figure(weights) for figure in figures)
    return {name: values - second[name] for name, values in first.items()}


def _bound(value: float, resampled: FloatArray, tail: float) -> Difference:
    """Return a difference with the percentiles of its resamples, which hold its own value."""
    defined = resampled[np.isfinite(resampled)]
    if not len(defined) or np.ptp(defined) < 1e-12:  # rounding moves the last digit
        return Difference(value, float("nan"), float("nan"))
    low, high = np.quantile(defined, [tail, 1 - tail])
    return Difference(value, min(float(low), value), max(float(high), value))


def _find_tail(count: int) -> float:
    """Return the share of the resamples below the interval of ``count`` units, 0.025 for many.

    Resamples of few units scatter too little: by the factor sqrt((n - 1) / n), and as if the
    scatter were known and not estimated. Student's t is taken by its expansion, which is within
    1 % from 5 degrees of freedom on.

    Source: Hesterberg, The American Statistician 69 (2015) 371, the expanded percentile interval;
    Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.5.
    """
    if count < 2:
        return 0.0
    normal, freedom = NormalDist(), count - 1
    z = normal.inv_cdf((1 + CONFIDENCE) / 2)
    student = z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    return normal.cdf(-student * math.sqrt(count / freedom))


class _Counted:
    """The figures of weighted images that depend on targets and predictions alone."""

    def __init__(
        self, targets: IntArray, predictions: IntArray, num_classes: int, *, ordered: bool
    ) -> None:
        self._sides = [_Sum(targets, num_classes), _Sum(predictions, num_classes)]
        self._hits = np.flatnonzero(targets == predictions)
        self._correct = _Sum(targets[self._hits], num_classes)
        self._squares = ((targets - predictions) ** 2).astype(np.float64)
        self._ordered = ordered

    def __call__(self, weights: FloatArray) -> dict[str, FloatArray]:
        actual, predicted = (side(weights) for side in self._sides)
        correct = self._correct(weights[self._hits])
        images, hits = actual.sum(axis=1), correct.sum(axis=1)
        present = actual > 0
        recall = np.where(present, correct / np.maximum(actual, 1), 0)
        f1 = np.where(present, 2 * correct / np.maximum(actual + predicted, 1), 0)
        spread = images**2 - (actual**2).sum(axis=1)
        covariance = hits * images - (actual * predicted).sum(axis=1)
        variances = spread * (images**2 - (predicted**2).sum(axis=1))
        values = {
            "accuracy": hits / images,
            "balanced_accuracy": recall.sum(axis=1) / present.sum(axis=1),
            "macro_f1": f1.sum(axis=1) / present.sum(axis=1),
            "mcc": _divide(covariance, np.sqrt(variances)),
        }
        if self._ordered:
            rank = np.arange(actual.shape[1], dtype=np.float64)
            chance = images * (actual @ rank**2 + predicted @ rank**2)
            chance -= 2 * (actual @ rank) * (predicted @ rank)
            seen = (self._squares @ weights) * images
            values["quadratic_kappa"] = 1 - _divide(seen, np.where(spread > 0, chance, 0))
        return values


def _divide(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Divide; where the denominator is 0, the quotient is NaN."""
    quotient: FloatArray = np.full(len(numerator), np.nan)
    np.divide(numerator, denominator, out=quotient, where=denominator > 0)
    return quotient


class _Sum:
    """Sums weights (N, B) over the images of each class: (B, K)."""

    def __init__(self, classes: IntArray, num_classes: int) -> None:
        self._order = np.argsort(classes, kind="stable")
        self._present, self._starts = np.unique(classes[self._order], return_index=True)
        self._num_classes = num_classes

    def __call__(self, weights: FloatArray) -> FloatArray:
        sums = np.zeros((weights.shape[1], self._num_classes))
        if len(self._order):
            added = np.add.reduceat(weights[self._order], self._starts, axis=0)
            sums[:, self._present] = added.T
        return sums


class _Ranked:
    """AUROC of weighted images: of the second of two classes, or the mean over all classes."""

    def __init__(self, targets: IntArray, probabilities: FloatArray) -> None:
        classes = probabilities.shape[1]
        asked = [1] if classes == 2 else np.unique(targets).tolist()
        self._classes = [
            _sort_class(targets == target, probabilities[:, target]) for target in asked
        ]

    def __call__(self, weights: FloatArray) -> dict[str, FloatArray]:
        each = np.stack([_rank(weights.astype(np.float32), *ranks) for ranks in self._classes])
        known = np.isfinite(each)
        defined = np.maximum(known.sum(axis=0), 1)
        mean = np.where(known, each, 0).sum(axis=0) / defined
        return {"auroc": np.where(known.any(axis=0), mean, np.nan)}


def _sort_class(
    members: Array, scores: FloatArray
) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Return what ranks the images of a class among the others, whatever their weights.

    Args:
        members: (N,) bool: which images are of the class.
        scores: (N,) the class's probability for each image.

    Returns:
        The others by their probability, least first; the images of the class; and for each of
        these the number of others with a lower probability, and with one that is not higher.
    """
    own, others = np.flatnonzero(members), np.flatnonzero(~members)
    others = others[np.argsort(scores[others], kind="stable")]
    lower = np.searchsorted(scores[others], scores[own], "left")
    return others, own, lower, np.searchsorted(scores[others], scores[own], "right")


def _rank(
    weights: Array, others: IntArray, own: IntArray, lower: IntArray, not_higher: IntArray
) -> FloatArray:
    """Return (B,) the AUROC of one class for weights (N, B); a tie counts half."""
    below = np.zeros((len(others) + 1, weights.shape[1]), weights.dtype)  # whole numbers
    np.cumsum(weights[others], axis=0, out=below[1:])
    mine = weights[own]
    won = np.einsum("nb,nb->b", mine, below[lower] + below[not_higher], dtype=np.float64) / 2
    pairs = mine.sum(axis=0, dtype=np.float64) * below[-1]
    return _divide(won, pairs)
