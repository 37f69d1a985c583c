"""Abstaining: how much is answered, and how well, where unsure images get no answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cnncli.evaluation.metrics import FloatArray
from cnncli.evaluation.operating_intervals import wilson_interval
from cnncli.evaluation.operating_point import BoolArray

# The levels of the curve; 0 answers every image.
LEVELS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)


def measure_abstaining(
    is_right: BoolArray,
    confidence: FloatArray,
    below: float | None,
    levels: Sequence[float] = LEVELS,
) -> list[dict[str, Any]]:
    """Measure coverage and accuracy at levels of confidence.

    Args:
        is_right: (N,) whether the label of an image is right.
        confidence: (N,) probability of that label.
        below: A level of the user's own among them; None for none.
        levels: Levels: images whose confidence lies below are not answered.

    Returns:
        A row per level, the lowest first: ``below``, the number of images ``answered``,
        ``coverage`` (their share), and ``accuracy`` among them with its interval ``low`` and
        ``high``; None where no image is answered.
    """
    rows = []
    for level in sorted({*levels, *(() if below is None else (below,))}):
        kept = is_right[confidence >= level]
        hits, answered = int(kept.sum()), len(kept)
        low, high = wilson_interval(hits, answered) if answered else (None, None)
        rows.append(
            {
                "below": level,
                "answered": answered,
                "coverage": answered / len(is_right),
                "accuracy": hits / answered if answered else None,
                "low": low,
                "high": high,
            }
        )
    return rows
