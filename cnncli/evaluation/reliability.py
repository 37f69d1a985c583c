"""How often a classifier is right, by how sure it is."""

from __future__ import annotations

import numpy as np

from cnncli.evaluation.intervals import Units, bound_proportion
from cnncli.evaluation.metrics import ECE_BINS, FloatArray, IntArray


def reliability_bins(
    targets: IntArray, probabilities: FloatArray, units: Units, bins: int = ECE_BINS
) -> list[dict[str, float]]:
    """Compare confidence and accuracy in the bins of the expected calibration error.

    Args:
        targets: (N,) class indices.
        probabilities: (N, K).
        units: What was drawn independently: images, or groups.
        bins: Number of bins (low, high] of equal width.

    Returns:
        A row for each bin that has images: the mean ``confidence`` (probability of the predicted
        class), ``accuracy`` with its 95 % interval ``low`` to ``high``, and ``images``.

    Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017, section 2.
    """
    confidence = probabilities.max(axis=1)
    is_right = probabilities.argmax(axis=1) == targets
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    rows = []
    for number in np.unique(place):
        inside = np.flatnonzero(place == number)
        accuracy = bound_proportion(is_right[inside], units, inside)
        rows.append(
            {
                "confidence": float(confidence[inside].mean()),
                "accuracy": accuracy.value,
                "low": accuracy.low,
                "high": accuracy.high,
                "images": len(inside),
            }
        )
    return rows
