"""Abstaining: how much is answered, and how well, where unsure images get no answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cnncli.evaluation.intervals import Units, bound_proportion
from cnncli.evaluation.metrics import FloatArray
from cnncli.evaluation.operating_point import BoolArray

# The levels of the curve; 0 answers every image.
LEVELS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)


def measure_abstaining(
    is_right: BoolArray,
    confidence: FloatArray,
    below: float | None,
    units: Units,
    levels: Sequence[float] = LEVELS,
) -> list[dict[str, Any]]:
    """Measure coverage and accuracy at levels of confidence.

    Args:
        is_right: (N,) whether the label of an image is right.
        confidence: (N,) probability of that label.
        below: A level of the user's own among them; None for none.
        units: What was drawn independently: images, or groups.
        levels: Levels: images whose confidence lies below are not answered.

    Returns:
        A row per level, the lowest first: ``below``, the number of images ``answered``,
        ``coverage`` (their share), and ``accuracy`` among them with its interval ``low`` and
        ``high``; None where no image is answered.
    """
    rows = []
    for level in sorted({*levels, *(() if below is None else (below,))}):
        kept = np.flatnonzero(confidence >= level)
        found = bound_proportion(is_right[kept], units, kept)
        rows.append(
            {
                "below": level,
                "answered": len(kept),
                "coverage": len(kept) / len(is_right),
                "accuracy": found.value if len(kept) else None,
                "low": found.low if len(kept) else None,
                "high": found.high if len(kept) else None,
            }
        )
    return rows
