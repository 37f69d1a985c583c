"""Two classifiers on the same images: is the difference more than chance?"""

from __future__ import annotations

import math


def mcnemar_p(only_first: int, only_second: int) -> float:
    """Return the two-sided p value of McNemar's exact test.

    Images that both have right, or both wrong, say nothing of a difference. Of the others, were
    both equally good, each would be right on half: a fair coin's tosses.

    Args:
        only_first: Images that the first alone has right.
        only_second: Images that the second alone has right.

    Source: McNemar, Psychometrika 12 (1947); the exact form is the binomial test at 1/2.
    """
    tosses, fewer = only_first + only_second, min(only_first, only_second)
    # In logarithms: the binomial coefficients of thousands overflow a float.
    log_all = math.lgamma(tosses + 1) - tosses * math.log(2)
    tail = math.fsum(
        math.exp(log_all - math.lgamma(k + 1) - math.lgamma(tosses - k + 1))
        for k in range(fewer + 1)
    )
    return min(1.0, 2 * tail)
