"""The bands of ROC and of precision and recall, against formulas and made-up samples."""

import numpy as np
import pytest
from band_coverage import ALARMS, RECALLS, SCENARIOS, Scenario, ends_at, measure_coverage
from scipy.stats import norm
from sklearn.metrics import precision_recall_curve, roc_curve

from cnncli.evaluation.curve_bands import band_curves
from cnncli.evaluation.intervals import Units


def test_of_many_images_the_width_is_that_of_the_delta_method():
    share, skill, images = 0.3, 1.5, 40_000
    scenario = Scenario("", images, share, skill)
    is_it, scores, _ = scenario.draw(np.random.default_rng(0))
    roc, recall = band_curves(is_it, scores, Units())
    positive, negative = images * share, images * (1 - share)
    found, precision = scenario.truths()
    # Slope of a binormal curve: the ratio of the two densities at the threshold.
    slope = norm.pdf(norm.isf(found)) / norm.pdf(norm.isf(ALARMS))
    error = np.sqrt(found * (1 - found) / positive + slope**2 * ALARMS * (1 - ALARMS) / negative)
    low, high = ends_at(roc, ALARMS)
    assert (high - low) / 2 == pytest.approx(1.96 * error, rel=0.12)
    false = norm.sf(norm.isf(RECALLS) + skill)
    slope = norm.pdf(norm.isf(RECALLS)) / norm.pdf(norm.isf(false))
    of_false = false * (1 - false) / negative + RECALLS * (1 - RECALLS) / positive / slope**2
    # logit precision = log recall - log false alarms + logit share
    of_logit = of_false / false**2 + 1 / (images * share * (1 - share))
    low, high = ends_at(recall, RECALLS)
    expected = 1.96 * precision * (1 - precision) * np.sqrt(of_logit)
    assert (high - low) / 2 == pytest.approx(expected, rel=0.12)


@pytest.mark.parametrize("images", [4, 30, 3000])
@pytest.mark.parametrize("decimals", [0, 1, 9])
def test_the_curve_lies_inside_its_band(images, decimals):
    is_it, scores, _ = Scenario("", images, 0.5, 1.0).draw(np.random.default_rng(images))
    scores = scores.round(decimals)
    roc, recall = band_curves(is_it, scores, Units())
    for band in (roc, recall):
        assert (np.diff(band.x) >= 0).all()
        assert (band.low >= 0).all()
        assert (band.high <= 1).all()
        assert (band.low <= band.high).all()
    false, found, _ = roc_curve(is_it, scores, drop_intermediate=False)
    for x, y in zip(false, found, strict=True):
        near = np.abs(roc.x - x) <= 0.011
        assert roc.low[near].min() - 0.011 <= y <= roc.high[near].max() + 0.011
    precision, at, _ = precision_recall_curve(is_it, scores)
    for x, y in zip(at, precision, strict=True):
        near = np.abs(recall.x - x) <= 0.011
        assert recall.low[near].min() <= y <= recall.high[near].max()


def test_a_ranking_without_a_mistake_is_not_certain():
    is_it = np.array([True] * 10 + [False] * 10)
    roc, recall = band_curves(is_it, is_it.astype(float), Units())
    low, high = ends_at(roc, np.array([0.5]))
    assert high == 1
    assert low == pytest.approx(1 - 0.2775, abs=1e-4)  # Wilson's interval of 10 of 10
    assert ends_at(recall, np.array([0.99]))[0] < 0.8


def test_copies_in_one_group_do_not_make_the_band_narrower():
    is_it, scores, _ = Scenario("", 150, 0.4, 1.2).draw(np.random.default_rng(1))
    copies = [np.repeat(part, 4) for part in (is_it, scores)]
    groups = np.repeat(np.arange(150), 4)
    for places, alone, grouped, careless in zip(
        (ALARMS, RECALLS),
        band_curves(is_it, scores, Units()),
        band_curves(*copies, Units(groups)),
        band_curves(*copies, Units()),
        strict=True,
    ):
        widths = [np.subtract(*ends_at(band, places)[::-1]) for band in (alone, grouped, careless)]
        assert widths[1] == pytest.approx(widths[0], rel=0.1)
        assert (widths[2] < 0.75 * widths[0]).all()  # half, but for the steps


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_the_bands_hold_the_truth(scenario):
    for shares, *_, careless, _ in measure_coverage(scenario, 150).values():
        assert (shares > 0.91).all()  # 95 %, less two standard errors
        assert shares.mean() >= careless.mean()
