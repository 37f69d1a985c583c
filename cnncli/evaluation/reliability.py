"""How often a classifier is right, by how sure it is."""

from __future__ import annotations

import numpy as np

from cnncli.evaluation.metrics import FloatArray, IntArray


def reliability_bins(
    targets: IntArray, probabilities: FloatArray, bins: int = 15
) -> list[dict[str, float]]:
    """Compare confidence and accuracy in the bins of the expected calibration error.

    Args:
        targets: (N,) class indices.
        probabilities: (N, K).
        bins: Number of bins (low, high] of equal width.

    Returns:
        A row for each bin that has images: the mean ``confidence`` (probability of the predicted
        class), ``accuracy`` with its 95 % Wilson interval ``low`` to ``high``, and ``images``.

    Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017, section 2.
    """
    from scipy.stats import binomtest  # type: ignore[import-untyped]

    confidence = probabilities.max(axis=1)
    right = (probabilities.argmax(axis=1) == targets).astype(np.int64)
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    rows = []
    for number in np.unique(place):
        inside = place == number
        count, hits = int(inside.sum()), int(right[inside].sum())
        low, high = binomtest(hits, count).proportion_ci(method="wilson")
        rows.append(
            {
                "confidence": float(confidence[inside].mean()),
                "accuracy": hits / count,
                "low": float(low),
                "high": float(high),
                "images": count,
            }
        )
    return rows
