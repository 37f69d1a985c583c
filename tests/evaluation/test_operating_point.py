"""Thresholds and their figures, beside scikit-learn's curves and formulas written out."""

import math

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, precision_score, recall_score, roc_curve

from cnncli.choices.decision import OperatingRule
from cnncli.evaluation.intervals import Units
from cnncli.evaluation.operating_intervals import bound_figures
from cnncli.evaluation.operating_point import (
    Outcomes,
    call_classes,
    choose_threshold,
    compute_figures,
)

Z = 1.959963984540054  # of 95 %


def draw(seed, images=80, share=0.3, digits=2):
    """Return scores with many ties, and which images are positive."""
    random = np.random.default_rng(seed)
    is_positive = random.random(images) < share
    is_positive[:2] = True, False
    scores = 1 / (1 + np.exp(-random.normal(1.5 * is_positive - 1, 1)))
    return np.round(scores, digits).astype(np.float32), is_positive


def rates(scores, is_positive, threshold):
    """Return sensitivity and specificity by scikit-learn."""
    called = scores.astype(np.float64) >= threshold
    return recall_score(is_positive, called), recall_score(~is_positive, ~called)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("least", [0.5, 0.8, 0.95, 1.0])
def test_of_all_thresholds_that_reach_a_sensitivity_it_is_the_most_specific(seed, least):
    scores, is_positive = draw(seed)
    fpr, tpr, _ = roc_curve(is_positive, scores, drop_intermediate=False)
    found = choose_threshold(scores, is_positive, OperatingRule("sensitivity", least))
    sensitivity, specificity = rates(scores, is_positive, found)
    assert sensitivity >= least
    assert specificity == pytest.approx(1 - fpr[tpr >= least - 1e-12].min())


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("least", [0.5, 0.9, 1.0])
def test_of_all_thresholds_that_reach_a_specificity_it_is_the_most_sensitive(seed, least):
    scores, is_positive = draw(seed)
    fpr, tpr, _ = roc_curve(is_positive, scores, drop_intermediate=False)
    found = choose_threshold(scores, is_positive, OperatingRule("specificity", least))
    sensitivity, specificity = rates(scores, is_positive, found)
    assert specificity >= least
    assert sensitivity == pytest.approx(tpr[1 - fpr >= least - 1e-12].max())


@pytest.mark.parametrize("seed", range(20))
def test_youden_is_the_top_of_the_curve(seed):
    scores, is_positive = draw(seed)
    fpr, tpr, _ = roc_curve(is_positive, scores, drop_intermediate=False)
    found = choose_threshold(scores, is_positive, OperatingRule("youden"))
    assert sum(rates(scores, is_positive, found)) - 1 == pytest.approx((tpr - fpr).max())


def test_a_threshold_lies_in_the_middle_between_two_scores():
    scores, is_positive = np.array([0.1, 0.2, 0.6, 0.8]), np.array([False, False, True, True])
    for rule in (OperatingRule("youden"), OperatingRule("sensitivity", 1.0)):
        assert choose_threshold(scores, is_positive, rule) == pytest.approx(0.4)
    half = choose_threshold(scores, is_positive, OperatingRule("sensitivity", 0.5))
    assert half == pytest.approx(0.7)


def test_neighbouring_floats_are_told_apart():
    low = 0.3
    high = np.nextafter(low, 1)
    scores, is_positive = np.array([low, high]), np.array([False, True])
    threshold = choose_threshold(scores, is_positive, OperatingRule("youden"))
    assert rates(scores, is_positive, threshold) == (1, 1)


def test_a_specificity_that_no_threshold_up_to_1_reaches_has_none():
    scores, is_positive = np.array([1.0, 1.0, 0.5]), np.array([False, True, True])
    assert math.isnan(choose_threshold(scores, is_positive, OperatingRule("specificity", 0.5)))
    assert choose_threshold(scores, is_positive, OperatingRule("sensitivity", 1.0)) <= 0.5


def test_below_the_threshold_the_likeliest_other_class_is_called():
    probabilities = np.array([[0.3, 0.5, 0.2], [0.29, 0.3, 0.41], [0.9, 0.06, 0.04]], np.float32)
    assert call_classes(probabilities, 0, 0.295).tolist() == [0, 2, 0]
    assert call_classes(probabilities, 0, 0.95).tolist() == [1, 2, 1]
    # 0.3 in float32 is above 0.3, and the comparison is made in float64.
    assert call_classes(probabilities, 0, float(np.float32(0.3))).tolist()[0] == 0


def test_figures_are_those_of_scikit_learn():
    scores, is_positive = draw(3)
    called = scores > 0.4
    tn, fp, fn, _ = confusion_matrix(is_positive, called).ravel()
    figures = compute_figures(Outcomes.count(called, is_positive), 0.02)
    sensitivity, specificity = recall_score(is_positive, called), tn / (tn + fp)
    assert figures["sensitivity"] == pytest.approx(sensitivity)
    assert figures["specificity"] == pytest.approx(specificity)
    assert figures["ppv"] == pytest.approx(precision_score(is_positive, called))
    assert figures["npv"] == pytest.approx(precision_score(~is_positive, ~called))
    assert figures["positive_likelihood_ratio"] == pytest.approx(sensitivity / (1 - specificity))
    assert figures["negative_likelihood_ratio"] == pytest.approx((1 - sensitivity) / specificity)
    ill, healthy = 0.02, 0.98  # Bayes' theorem, of 100 people
    ppv = sensitivity * ill / (sensitivity * ill + (1 - specificity) * healthy)
    npv = specificity * healthy / (specificity * healthy + (1 - sensitivity) * ill)
    assert figures["ppv_at_prevalence"] == pytest.approx(ppv)
    assert figures["npv_at_prevalence"] == pytest.approx(npv)
    assert fn > 0 < fp


def test_at_the_prevalence_of_the_images_predictive_values_are_their_own():
    scores, is_positive = draw(4)
    figures = compute_figures(Outcomes.count(scores > 0.4, is_positive), is_positive.mean())
    assert figures["ppv_at_prevalence"] == pytest.approx(figures["ppv"])
    assert figures["npv_at_prevalence"] == pytest.approx(figures["npv"])


def bound(called, is_positive, *, groups=None, prevalence=None):
    """Return (value, low, high) of each figure."""
    found = bound_figures(called, is_positive, Units(groups), prevalence=prevalence)
    return {name: (one.value, one.low, one.high) for name, one in found.items()}


def test_intervals_by_formulas_written_out():
    """Simel et al. 1991, page 764, by hand; Wilson's as the roots of his quadratic equation."""
    tp, fn, fp, tn = 40, 10, 15, 85
    called = np.repeat([True, False, True, False], (tp, fn, fp, tn))
    is_positive = np.repeat([True, True, False, False], (tp, fn, fp, tn))
    figures = bound(called, is_positive, prevalence=0.1)
    for name, hits, trials in (
        ("sensitivity", tp, tp + fn),
        ("specificity", tn, tn + fp),
        ("ppv", tp, tp + fp),
        ("npv", tn, tn + fn),
    ):
        p = hits / trials
        # (p - x)² = z² x (1 - x) / n
        low, high = sorted(np.roots([1 + Z**2 / trials, -2 * p - Z**2 / trials, p**2]))
        assert figures[name] == pytest.approx((p, low, high))
    ratio = (tp / 50) / (fp / 100)
    error = math.sqrt((1 - 0.8) / tp + (1 - 0.15) / fp)
    bounds = ratio * math.exp(-Z * error), ratio * math.exp(Z * error)
    assert figures["positive_likelihood_ratio"] == pytest.approx((ratio, *bounds))
    other = (fn / 50) / (tn / 100)
    error = math.sqrt((1 - 0.2) / fn + (1 - 0.85) / tn)
    others = other * math.exp(-Z * error), other * math.exp(Z * error)
    assert figures["negative_likelihood_ratio"] == pytest.approx((other, *others))
    # Odds after = odds before × ratio.
    after = [value / 9 / (1 + value / 9) for value in (ratio, *bounds)]
    assert figures["ppv_at_prevalence"] == pytest.approx(after)
    low, high = (1 / (1 + value / 9) for value in reversed(others))
    assert figures["npv_at_prevalence"] == pytest.approx((1 / (1 + other / 9), low, high))


def test_where_a_count_is_0_an_interval_is_of_counts_with_a_half_more():
    called = np.repeat([True, False], (10, 20))
    figures = bound(called, called, prevalence=0.5)
    assert figures["sensitivity"] == pytest.approx((1, 10 / (10 + Z**2), 1))
    value, low, high = figures["positive_likelihood_ratio"]
    expected = (10.5 / 11) / (0.5 / 21)
    error = math.sqrt(1 / 10.5 - 1 / 11 + 1 / 0.5 - 1 / 21)
    assert (value, high) == (math.inf, math.inf)
    assert low == pytest.approx(expected * math.exp(-Z * error))
    value, low, high = figures["ppv_at_prevalence"]
    assert (value, high) == (1, 1)
    assert 0.5 < low < 1


def test_what_has_no_images_is_undefined():
    is_positive = np.zeros(5, bool)
    figures = bound(np.array([True, *[False] * 4]), is_positive)
    assert all(map(math.isnan, figures["sensitivity"]))
    assert all(map(math.isnan, figures["positive_likelihood_ratio"]))
    assert figures["specificity"][0] == 0.8


def cluster(random, groups, spread):
    """Draw images of patients of whom each has 4: alike, as the patient's own level has them."""
    is_positive = np.repeat(random.random(groups) < 0.4, 4)
    level = np.repeat(random.normal(0, spread, groups), 4)
    score = 1.2 * is_positive + level + random.normal(0, math.sqrt(1 - spread**2), 4 * groups)
    return score > 0.5, is_positive, np.repeat(np.arange(groups), 4)


def test_groups_of_equal_images_are_as_one_image_each():
    """Ten copies of each image know no more than one does, but for Student's t."""
    random = np.random.default_rng(5)
    is_positive = np.arange(60) < 25
    called = random.random(60) < np.where(is_positive, 0.8, 0.3)
    once = bound(called, is_positive)
    copies = (np.repeat(each, 10) for each in (called, is_positive, np.arange(60)))
    called, is_positive, groups = copies
    by_group = bound(called, is_positive, groups=groups)
    by_image = bound(called, is_positive)
    for name in ("sensitivity", "positive_likelihood_ratio", "negative_likelihood_ratio"):
        widths = [math.log(f[name][2] / f[name][1]) for f in (once, by_group, by_image)]
        assert widths[0] < widths[1] < 1.12 * widths[0]
        assert widths[2] < 0.4 * widths[0]


def test_a_ratio_of_groups_without_a_count_has_one_trial_for_each_group():
    called = np.repeat([True, False], (40, 80))
    figures = bound(called, called, groups=np.arange(120) // 4)
    expected = bound(*2 * [np.repeat([True, False], (10, 20))])
    for name in ("positive_likelihood_ratio", "negative_likelihood_ratio"):
        assert figures[name] == pytest.approx(expected[name])


@pytest.mark.slow
def test_intervals_hold_the_truth_as_often_as_they_say():
    """Of 600 draws: 95 % of independent images, and of groups only if whole groups are drawn."""
    random = np.random.default_rng(0)
    below = [0.5 * math.erfc(-x / math.sqrt(2)) for x in (0.5 - 1.2, 0.5)]
    truth = {"sensitivity": 1 - below[0], "specificity": below[1]}
    truth["positive_likelihood_ratio"] = truth["sensitivity"] / (1 - truth["specificity"])
    truth["negative_likelihood_ratio"] = (1 - truth["sensitivity"]) / truth["specificity"]
    for spread, wanted in ((0.0, True), (0.8, False)):
        held = {False: [], True: []}
        for _ in range(600):
            called, is_positive, groups = cluster(random, 80, spread)
            for by_group, found in held.items():
                figures = bound(called, is_positive, groups=groups if by_group else None)
                found.append([figures[n][1] <= truth[n] <= figures[n][2] for n in truth])
        shares = {by_group: np.mean(found, axis=0) for by_group, found in held.items()}
        assert (shares[True] >= 0.93).all(), shares
        assert (shares[False] >= 0.93).all() == wanted, shares
