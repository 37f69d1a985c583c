"""Whether two classifiers differ by more than chance on the same images."""

from __future__ import annotations

import math


def mcnemar_p(only_first: int, only_second: int) -> float:
    """Return the two-sided p value of McNemar's exact test.

    Images that both classifiers predict correctly, or both wrongly, say nothing about a difference.
    If both were equally good, each of the other images would be correct for the first or for the
    second with probability 1/2, like the tosses of a fair coin.

    Args:
        only_first: Number of images that only the first classifier predicts correctly.
        only_second: Number of images that only the second classifier predicts correctly.

    Returns:
        A probability from 0 to 1; a small one means that chance does not explain the difference.

    Source: McNemar, Psychometrika 12 (1947); the exact form is the binomial test at 1/2.
    """
    tosses, fewer = only_first + only_second, min(only_first, only_second)
    # The sum is over logarithms, because the binomial coefficients of thousands overflow a float.
    log_all = math.lgamma(tosses + 1) - tosses * math.log(2)
    tail = math.fsum(
        math.exp(log_all - math.lgamma(k + 1) - math.lgamma(tosses - k + 1))
        for k in range(fewer + 1)
    )
    return min(1.0, 2 * tail)
