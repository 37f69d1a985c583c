"""95 % bootstrap intervals for the metrics that are computed from a confusion matrix."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from cnncli.evaluation.metrics import Counts, FloatArray, IntArray, count_metrics

CONFIDENCE = 0.95
# Number of cells of the matrix that are drawn at once: 16 MB of counts, for any number of classes.
CELLS_AT_ONCE = 2_000_000


def bootstrap_intervals(
    matrix: IntArray, *, seed: int = 0, resamples: int = 1000
) -> dict[str, tuple[float, float]]:
    """Estimate how far each metric would move on another sample of as many images.

    The N images are drawn N times with replacement, ``resamples`` times over, and the interval
    runs from the 2.5th to the 97.5th percentile of the metric. As these metrics see only (true,
    predicted) pairs, drawing images is drawing the matrix's cells from a multinomial: the same
    distribution, at a cost that does not grow with N.

    Percentiles, because they never leave the metric's range and need no formula per metric: a
    normal interval around 0.99 passes 1, and BCa needs a jackknife that breaks down near 1. The
    price is an interval slightly too narrow on few images. Resamples in which a metric is
    undefined are left out, and an interval always holds the metric's own value.

    Where no image, or every image, is wrong, resampling cannot move the accuracy, which is no
    proof of certainty: there its interval is Wilson's score interval. The other metrics have no
    such formula, and their interval is then undefined.

    Args:
        matrix: (K, K) counts; rows are true classes, columns predicted ones.
        seed: Seed of the resampling; the same seed gives the same intervals.
        resamples: Number of resamples.

    Returns:
        (low, high) of each metric, by the names of ``count_metrics``; (NaN, NaN) if undefined.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
    Wilson, Journal of the American Statistical Association 22 (1927) 209.
    """
    drawn = _resampled_metrics(matrix, seed, resamples)
    intervals = {}
    for name, value in count_metrics(Counts.of(matrix)).items():
        intervals[name] = _percentiles(drawn[name], float(value))
    images, hits = int(matrix.sum()), int(np.trace(matrix))
    if hits in (0, images):
        intervals["accuracy"] = _wilson_at_edge(hits, images)
    return intervals


def _resampled_metrics(matrix: IntArray, seed: int, resamples: int) -> dict[str, FloatArray]:
    """Resample the matrix and return (resamples,) values of each metric."""
    generator = np.random.default_rng(seed)
    # Empty cells are never drawn, so that at most N of the K² cells are needed.
    rows, columns = np.nonzero(matrix)
    counts = matrix[rows, columns]
    images = counts.sum()
    at_once = max(1, CELLS_AT_ONCE // len(counts))
    parts = []
    for start in range(0, resamples, at_once):
        size = min(at_once, resamples - start)
        cells = generator.multinomial(images, counts / images, size=size)
        parts.append(count_metrics(_sum_cells(cells, rows, columns, len(matrix))))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _sum_cells(cells: IntArray, rows: IntArray, columns: IntArray, num_classes: int) -> Counts:
    """Add up the drawn counts (B, cells) to the counts (B, K) that the metrics need."""
    by_column = np.argsort(columns, kind="stable")
    diagonal = rows == columns
    correct = np.zeros((len(cells), num_classes))
    correct[:, rows[diagonal]] = cells[:, diagonal]
    return Counts(
        correct=correct,
        actual=_sum_groups(cells, rows, num_classes),
        predicted=_sum_groups(cells[:, by_column], columns[by_column], num_classes),
        disagreement=(cells @ (rows - columns) ** 2).astype(np.float64),
    )


def _sum_groups(cells: IntArray, classes: IntArray, num_classes: int) -> FloatArray:
    """Sum the counts (B, cells) of each class: (B, K). ``classes`` (cells,) must be sorted."""
    present, starts = np.unique(classes, return_index=True)
    sums = np.zeros((len(cells), num_classes))
    sums[:, present] = np.add.reduceat(cells, starts, axis=1)
    return sums


def _percentiles(drawn: FloatArray, value: float) -> tuple[float, float]:
    defined = drawn[np.isfinite(drawn)]
    # Resamples that should be equal can differ in the last digit, because of rounding.
    if not np.isfinite(value) or len(defined) == 0 or np.ptp(defined) < 1e-12:
        return float("nan"), float("nan")
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(defined, [tail, 100 - tail])
    return min(float(low), value), max(float(high), value)


def _wilson_at_edge(hits: int, images: int) -> tuple[float, float]:
    """Return Wilson's interval for a proportion of 0 or 1; one end is the proportion itself."""
    squared = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) ** 2
    width = squared / (images + squared)
    return (0.0, width) if hits == 0 else (1 - width, 1.0)
