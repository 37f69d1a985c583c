"""The points of the ROC curve, and of that of precision and recall, at every threshold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cnncli.arrays import Array


@dataclass(frozen=True)
class CurvePoints:
    """Shares at M thresholds, the first of which no image reaches; all (M,), 0–1.

    Attributes:
        false_alarms: Of the negative images, those at or above the threshold: 1 - specificity.
        recall: Of the positive images, those at or above it: sensitivity.
        precision: Of the images at or above it, the positive ones; 1 where there are none.
    """

    false_alarms: Array
    recall: Array
    precision: Array


def curve_points(is_it: Array, scores: Array) -> CurvePoints:
    """Return the points of the curves.

    scikit-learn has the same, and its import takes longer than all else of the page of a run.

    Args:
        is_it: (N,) bool, whether each image is positive; some are, and some are not.
        scores: (N,) the larger, the more likely positive.
    """
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)  # of equal scores
    hits, called = np.cumsum(is_it[order])[last], last + 1
    positives = hits[-1]
    return CurvePoints(
        np.append(0.0, (called - hits) / (len(scores) - positives)),
        np.append(0.0, hits / positives),
        np.append(1.0, hits / called),
    )
