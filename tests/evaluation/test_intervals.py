"""Intervals: against formulas written out, SciPy's bootstrap, and at the edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sklearn.metrics as reference
from scipy import stats
from scipy.stats import bootstrap

from cnncli.evaluation.calibration_error import bound_calibration
from cnncli.evaluation.figures import compute_figures
from cnncli.evaluation.intervals import (
    Spread,
    Units,
    bound_agreement,
    bound_fraction,
    bound_mean,
    bound_proportion,
    wilson,
)

AGREEMENT = ("mcc", "kappa", "linear_kappa", "quadratic_kappa")


def answers(images: int, num_classes: int = 3, seed: int = 0):
    """Draw targets and probabilities that lean towards them."""
    generator = np.random.default_rng(seed)
    targets = np.arange(images) % num_classes
    probabilities = generator.dirichlet(np.ones(num_classes), images)
    probabilities[np.arange(images), targets] += 0.8 * generator.random(images)
    return targets, probabilities / probabilities.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(("hits", "trials"), [(0, 60), (60, 60), (1, 3), (37, 90), (999, 1000)])
def test_wilsons_interval_is_that_of_scipy(hits, trials):
    expected = stats.binomtest(hits, trials).proportion_ci(method="wilson")
    found = wilson(hits / trials, trials)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_a_proportion_of_groups_is_wilsons_with_a_design_effect():
    """Written out: the variance of a ratio between groups, and the trials that it is worth."""
    generator = np.random.default_rng(3)
    groups = np.repeat(np.arange(40), 5)
    rate = generator.beta(2, 1, 40)[groups]
    is_hit = generator.random(200) < rate
    share = is_hit.mean()
    rests = [(is_hit[groups == group] - share).sum() / 200 for group in range(40)]
    variance = 40 / 39 * np.square(rests).sum()
    trials = share * (1 - share) / variance
    assert trials < 150  # the groups differ, or this test says nothing
    t = stats.t.ppf(0.975, 39)
    middle = (share + t**2 / (2 * trials)) / (1 + t**2 / trials)
    half = math.sqrt(share * (1 - share) / trials + t**2 / (4 * trials**2)) * t
    half /= 1 + t**2 / trials
    found = bound_proportion(is_hit, Units(groups), np.arange(200))
    assert (found.low, found.high) == pytest.approx((middle - half, middle + half))


def test_without_a_mistake_a_proportion_is_that_of_as_many_images_as_groups():
    groups = np.repeat(np.arange(12), 10)
    found = bound_proportion(np.ones(120, bool), Units(groups), np.arange(120))
    assert (found.low, found.high) == pytest.approx((12 / (12 + 3.841459), 1), abs=1e-6)


def test_images_that_differ_within_a_group_as_much_as_between_gain_nothing():
    """Groups can make a sample worth less than independent images, and never more."""
    groups = np.repeat(np.arange(30), 2)
    is_hit = np.tile([True, False], 30)  # in each group one of two: no spread between groups
    found = bound_proportion(is_hit, Units(groups), np.arange(60))
    expected = stats.binomtest(30, 60).proportion_ci(method="wilson")
    assert found.low < expected.low  # by Student's t in place of the normal distribution
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.006)


QUICK = ("log_loss", "brier")  # the others take scikit-learn a second or more
MEASURES = {
    "balanced_accuracy": lambda t, p: reference.balanced_accuracy_score(t, p.argmax(1)),
    "macro_f1": lambda t, p: reference.f1_score(t, p.argmax(1), average="macro"),
    "mcc": lambda t, p: reference.matthews_corrcoef(t, p.argmax(1)),
    "kappa": lambda t, p: reference.cohen_kappa_score(t, p.argmax(1)),
    "linear_kappa": lambda t, p: reference.cohen_kappa_score(t, p.argmax(1), weights="linear"),
    "quadratic_kappa": lambda t, p: reference.cohen_kappa_score(
        t, p.argmax(1), weights="quadratic"
    ),
    "auroc": lambda t, p: reference.roc_auc_score(t, p, multi_class="ovr"),
    "average_precision": lambda t, p: reference.average_precision_score(np.eye(3)[t], p),
    "log_loss": lambda t, p: -np.log(p[np.arange(len(t)), t]).mean(),
    "brier": lambda t, p: ((p - np.eye(3)[t]) ** 2).sum(axis=1).mean(),
}


@pytest.fixture(scope="module")
def grouped():
    """Return 300 images in 100 groups that are alike inside, with their figures."""
    generator = np.random.default_rng(5)
    groups = np.repeat(np.arange(100), 3)
    targets = (np.arange(100) % 3)[groups]
    logits = 1.6 * np.eye(3)[targets] + generator.normal(size=(100, 3))[groups]
    logits += 0.7 * generator.normal(size=(300, 3))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return targets, probabilities, groups, compute_figures(targets, probabilities, groups)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n in QUICK else pytest.mark.slow) for n in MEASURES]
)
def test_an_interval_is_about_that_of_scipys_bootstrap_of_groups(name, grouped):
    targets, probabilities, _, figures = grouped
    found = figures.whole[name]

    def measure(drawn):
        images = (3 * drawn[:, None].astype(int) + np.arange(3)).ravel()
        return MEASURES[name](targets[images], probabilities[images])

    assert found.value == pytest.approx(MEASURES[name](targets, probabilities))
    result = bootstrap(
        (np.arange(100),), measure, n_resamples=400, vectorized=False, method="basic", rng=1
    )
    width = result.confidence_interval.high - result.confidence_interval.low
    assert found.high - found.low == pytest.approx(width, rel=0.25)
    percentile = np.quantile(result.bootstrap_distribution, [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx(percentile, abs=0.3 * width)


def test_groups_that_are_alike_inside_widen_every_interval(grouped):
    targets, probabilities, _, figures = grouped
    by_image = compute_figures(targets, probabilities)
    for name, found in figures.whole.items():
        if name != "ece":
            alone = by_image.whole[name]
            assert found.value == alone.value
            assert found.high - found.low > 1.2 * (alone.high - alone.low), name


def test_one_image_per_group_is_as_no_groups():
    targets, probabilities = answers(240)
    alone = compute_figures(targets, probabilities)
    grouped = compute_figures(targets, probabilities, np.random.default_rng(0).permutation(240))
    assert grouped.whole == alone.whole
    assert grouped.per_class == alone.per_class


@pytest.mark.parametrize("seed", range(5))
def test_an_interval_holds_its_value_and_stays_in_range(seed):
    targets, probabilities = answers(25, 10, seed)  # classes of two or three images
    figures = compute_figures(targets, probabilities, np.arange(25) // 2)
    estimates = dict(figures.whole)
    for name, of_classes in figures.per_class.items():
        estimates |= {f"{name} {index}": one for index, one in enumerate(of_classes)}
    for name, found in estimates.items():
        if math.isfinite(found.value):
            floor = -1 if name in AGREEMENT else 0
            assert floor <= found.low <= found.value <= found.high, name
            assert found.high <= (math.inf if name == "log_loss" else 2 if name == "brier" else 1)
            assert found.low < found.high, name


def test_where_no_resample_moves_a_value_it_is_wilsons():
    fixed = Spread(0.0, 30, 29)
    low = 30 / (30 + 3.841459)
    assert bound_fraction(1.0, fixed).low == pytest.approx(low)
    assert bound_agreement(1.0, fixed).low == pytest.approx(2 * low - 1)
    assert bound_mean(np.zeros(30), Units(), most=2.0).high == pytest.approx(2 * (1 - low))
    assert math.isnan(bound_mean(np.full(30, 0.25), Units()).low)  # a loss has no largest value
    certain = bound_calibration(0.0, np.full(30, 14), np.zeros(30), Units())
    assert (certain.low, certain.high) == pytest.approx((0, 1 - low))


def test_a_mean_with_a_long_tail_has_a_longer_upper_side():
    losses = np.random.default_rng(0).lognormal(-1, 1.2, 200)
    found = bound_mean(losses, Units())
    half = stats.t.ppf(0.975, 199) * losses.std(ddof=1) / math.sqrt(200)
    assert found.low > losses.mean() - half
    assert found.high > losses.mean() + half
    symmetric = np.concatenate([losses, 2 * losses.max() - losses])
    found = bound_mean(symmetric, Units())
    half = stats.t.ppf(0.975, 399) * symmetric.std(ddof=1) / math.sqrt(400)
    expected = (symmetric.mean() - half, symmetric.mean() + half)
    assert (found.low, found.high) == pytest.approx(expected)


def test_of_one_group_losses_have_no_interval_and_proportions_that_of_one_image():
    targets, probabilities = answers(30)
    figures = compute_figures(targets, probabilities, np.zeros(30, int))
    assert math.isnan(figures.whole["log_loss"].low)
    accuracy = figures.whole["accuracy"]
    expected = wilson(accuracy.value, 1)
    assert (accuracy.low, accuracy.high) == (expected.low, expected.high)


def test_a_calibrated_classifier_is_not_called_miscalibrated_on_few_images():
    lows = []
    for seed in range(20):
        generator = np.random.default_rng(seed)
        confidence = generator.uniform(0.5, 1, 300)
        probabilities = np.stack([confidence, 1 - confidence], axis=1)
        targets = (generator.random(300) > confidence).astype(int)
        found = compute_figures(targets, probabilities).whole["ece"]
        assert found.value > 0.02  # noise alone
        lows.append(found.low)
    assert lows.count(0) >= 18
