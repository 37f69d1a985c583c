"""How much each image counts in the figures of a confusion matrix.

An influence is what an image adds to a figure to first order, as in `cnncli.evaluation.ranking`. It
is the derivative of the figure's formula, see `count_metrics`, after the image's weight.
"""

from __future__ import annotations

import numpy as np

from cnncli.evaluation.metrics import (
    Counts,
    FloatArray,
    IntArray,
    expect_squared_steps,
    expect_steps,
)


def count_influences(
    counts: Counts, targets: IntArray, predictions: IntArray
) -> dict[str, FloatArray]:
    """Return (N,) the influence of each image on each figure of `count_metrics`.

    Args:
        counts: Of the N images.
        targets: (N,) true classes.
        predictions: (N,) predicted classes.

    Returns:
        Influences by the figures' names, NaN where the figure is undefined.
    """
    images = len(targets)
    is_right = (targets == predictions).astype(np.float64)
    present = counts.actual > 0
    inverse = np.divide(
        1, counts.actual + counts.predicted, where=present, out=np.zeros(len(present))
    )
    f1_lost = np.where(present, counts.f1, 0) * inverse
    f1 = 2 * is_right * inverse[targets] - f1_lost[targets] - f1_lost[predictions]
    recall = np.where(present, counts.recall, 0)
    influences = {
        "accuracy": (is_right - is_right.mean()) / images,
        "balanced_accuracy": (is_right - recall[targets])
        / (counts.actual[targets] * present.sum()),
        "macro_f1": f1 / present.sum(),
        "mcc": _mcc(counts, targets, predictions, is_right),
    }
    steps = np.abs(targets - predictions).astype(np.float64)
    total = counts.actual.sum()
    for name, seen, expect in (
        ("kappa", 1 - is_right, lambda among: total - among),
        ("linear_kappa", steps, expect_steps),
        ("quadratic_kappa", steps**2, expect_squared_steps),
    ):
        # Kappa is 1 - seen / chance: the mean disagreement, and that of pairs made at random.
        by_target, by_prediction = expect(counts.predicted), expect(counts.actual)
        chance = counts.actual @ by_target / images**2
        chance_of = (by_target[targets] + by_prediction[predictions]) / images - 2 * chance
        mean = seen.mean()
        with np.errstate(divide="ignore", invalid="ignore"):
            influences[name] = (mean * chance_of / chance - (seen - mean)) / chance / images
    return influences


def _mcc(
    counts: Counts, targets: IntArray, predictions: IntArray, is_right: FloatArray
) -> FloatArray:
    actual, predicted = counts.actual / len(targets), counts.predicted / len(targets)
    by_chance = actual @ predicted
    covariance = is_right.mean() - by_chance
    variances = 1 - actual @ actual, 1 - predicted @ predicted
    covariance_of = is_right - is_right.mean() - predicted[targets] - actual[predictions]
    covariance_of += 2 * by_chance
    actual_of = -2 * (actual[targets] - actual @ actual)
    predicted_of = -2 * (predicted[predictions] - predicted @ predicted)
    with np.errstate(divide="ignore", invalid="ignore"):
        root = np.sqrt(variances[0] * variances[1])
        mcc = covariance / root
        changed = covariance_of / root
        changed -= mcc / 2 * (actual_of / variances[0] + predicted_of / variances[1])
    return np.asarray(changed / len(targets))
