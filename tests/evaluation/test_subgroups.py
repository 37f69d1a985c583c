"""Dividing images by a column, and the largest gap: against NumPy, pandas and a written formula."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest, norm

from cnncli.evaluation.subgroups import (
    MOST_TEXTS,
    divide_numbers,
    divide_texts,
    find_gap,
    read_numbers,
)


def members(parts):
    """Return the numbers of the images of each part by its name."""
    return {
        name: np.flatnonzero(parts.numbers == number).tolist()
        for number, name in enumerate(parts.names)
    }


def test_texts_are_parts_and_missing_ones_too():
    assert members(divide_texts(["M", "", "F", "M"])) == {"F": [2], "M": [0, 3], "missing": [1]}
    parts = divide_texts(["missing", "", "F"])
    assert parts.names == ("F", "missing", "missing (empty)")
    assert divide_texts([f"w{n}" for n in range(MOST_TEXTS + 1)]) == MOST_TEXTS + 1
    assert len(divide_texts([f"w{n}" for n in range(MOST_TEXTS)]).names) == MOST_TEXTS
    assert divide_texts(["F", "M"], edges=(3,)) == 2


def test_few_numbers_are_parts_in_their_order():
    parts = divide_texts(["10", "2", "NA", "2.0", "10"])
    assert members(parts) == {"2": [1, 3], "10": [0, 4], "missing": [2]}
    assert not parts.are_bands


def test_many_numbers_are_quartiles():
    ages = np.random.default_rng(0).permutation(np.arange(18, 90))
    parts = divide_texts([str(age) for age in ages])
    expected = pd.qcut(ages, 4, labels=False)
    assert parts.numbers.tolist() == expected.tolist()
    assert parts.names == ("18–35", "36–53", "54–71", "72–89")
    assert parts.are_bands


def test_equal_numbers_are_in_one_band_and_empty_bands_are_none():
    numbers = np.array([0.0] * 60 + [*range(1, 11)])
    parts = divide_numbers(numbers)
    assert set(parts.numbers[:60].tolist()) == {0}
    assert parts.names == ("0", "1–10")
    assert divide_numbers(np.full(9, 3.0), always_bands=True).names == ("3",)


def test_bands_with_given_ends():
    parts = divide_numbers(np.array([39, 40, 59.5, 60, np.nan]), (40, 60))
    assert members(parts) == {
        "under 40": [0],
        "40 to under 60": [1, 2],
        "60 and more": [3],
        "missing": [4],
    }


@pytest.mark.parametrize("texts", [["1", "x"], ["nan", ""], ["1", "inf"], ["", ""]])
def test_what_is_no_column_of_numbers(texts):
    assert read_numbers(texts) is None


def figure(value, low, high):
    return {"value": value, "low": low, "high": high}


def test_the_interval_of_a_gap_is_that_of_a_difference():
    """With symmetric intervals it is the normal one: the errors add up as squares."""
    gap = find_gap([figure(0.7, 0.6, 0.8), figure(0.9, 0.85, 0.95)], [100, 100])
    assert (gap.low, gap.high, gap.pairs) == (0, 1, 1)
    half = math.sqrt(0.1**2 + 0.05**2)
    assert gap.ends == pytest.approx((0.2 - half, 0.2 + half))
    assert not gap.may_be_chance
    three = find_gap([figure(0.7, 0.6, 0.8)] * 2 + [figure(0.9, 0.85, 0.95)], [100] * 3)
    wide = half * norm.ppf(1 - 0.025 / 3) / norm.ppf(0.975)
    assert three.ends == pytest.approx((0.2 - wide, 0.2 + wide))


def test_the_interval_of_a_gap_ends_where_a_difference_does():
    """Bonferroni's rule widens the intervals beyond the figures' own ends."""
    parts = [figure(0.1, 0.0, 0.2), figure(0.9, 0.8, 1.0), *[figure(0.5, 0.4, 0.6)] * 8]
    gap = find_gap(parts, [50] * 10)
    wide = math.sqrt(2) * 0.1 * norm.ppf(1 - 0.025 / 45) / norm.ppf(0.975)
    assert 0.8 + wide > 1
    assert gap.ends == pytest.approx((0.8 - wide, 1))


def test_small_parts_do_not_make_the_gap_unless_there_are_no_others():
    figures = [figure(0.0, 0.0, 0.8), figure(0.8, 0.7, 0.9), figure(0.9, 0.8, 0.95), None]
    assert find_gap(figures, [1, 50, 50, 50]).low == 1
    assert find_gap(figures, [1, 50, 29, 50]).low == 0
    assert find_gap(figures[:1], [50]) is None
    without = find_gap([figure(1, None, None), figure(0.5, 0.4, 0.6)], [50, 50])
    assert without.ends is None
    assert without.may_be_chance


@pytest.mark.parametrize(("count", "images", "share"), [(2, 50, 0.8), (4, 50, 0.8), (6, 100, 0.9)])
def test_parts_that_are_equally_good_are_rarely_told_to_differ(count, images, share):
    """Nominal 5 % for all pairs of parts together."""
    ends = [binomtest(n, images).proportion_ci(method="wilson") for n in range(images + 1)]
    drawn = np.random.default_rng(0).binomial(images, share, (2000, count))
    told = 0
    for hits in drawn.tolist():
        parts = [figure(n / images, ends[n].low, ends[n].high) for n in hits]
        told += not find_gap(parts, [images] * count).may_be_chance
    assert told / len(drawn) <= 0.06
