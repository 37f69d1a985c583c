"""McNemar's test against scipy's binomial test."""

import pytest
from scipy.stats import binomtest

from cnncli.evaluation.paired import mcnemar_p


@pytest.mark.parametrize(("first", "second"), [(0, 0), (3, 3), (1, 9), (9, 1), (40, 60), (0, 1500)])
def test_mcnemar_is_the_binomial_test(first, second):
    expected = 1.0 if first + second == 0 else binomtest(first, first + second).pvalue
    assert mcnemar_p(first, second) == pytest.approx(expected, rel=1e-9)
