"""Learning rates over a run."""

from __future__ import annotations

import math


def warmup_cosine(step: int, steps: int, warmup: int, *, floor: float = 0.001) -> float:
    """Return the factor on the peak learning rate at a step.

    Linear from near 0 to 1 over the warm-up, then half a cosine down to ``floor``.

    Args:
        step: From 0.
        steps: Of the whole run.
        warmup: Steps of the linear rise, fewer than ``steps``.
        floor: The factor at the end, 0–1.

    Source: I. Loshchilov & F. Hutter (2017), SGDR, arXiv:1608.03983, eq. 5, without restarts.
    """
    if step < warmup:
        return (step + 1) / (warmup + 1)
    progress = min(1.0, (step - warmup) / max(1, steps - warmup))
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))
