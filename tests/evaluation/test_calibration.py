"""The temperature, beside a minimiser of another kind, torch and scikit-learn."""

import math
import tracemalloc

import numpy as np
import pytest
import torch
from scipy.optimize import brentq, minimize
from scipy.special import log_softmax, softmax
from scipy.stats import norm
from sklearn.metrics import log_loss

from cnncli.evaluation.abstaining import measure_abstaining
from cnncli.evaluation.calibration import (
    apply_temperature,
    fit_careful_temperature,
    fit_temperature,
)
from cnncli.evaluation.intervals import Units


def draw(classes, sharpness, seed=0, images=400):
    """Return logits that are ``sharpness`` times too sure, and targets drawn by the true ones."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 1.5, (images, classes))
    targets = np.array([random.choice(classes, p=row) for row in softmax(logits, axis=1)])
    return targets, sharpness * logits


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_it_is_the_smallest_loss_of_the_logits_themselves(classes, sharpness, dtype):
    targets, logits = draw(classes, sharpness)

    def loss(temperature):
        rows = log_softmax(logits / temperature[0], axis=1)
        return -rows[np.arange(len(targets)), targets].mean()

    expected = minimize(loss, [1.0], method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-12})
    found = fit_temperature(targets, softmax(logits, axis=1).astype(dtype))
    assert found == pytest.approx(expected.x[0], rel=1e-4)
    assert found == pytest.approx(sharpness, rel=0.25)  # what the logits were made by


@pytest.mark.parametrize("images", [5, 400])
def test_what_is_known_before_counts_less_the_more_images_there_are(images):
    targets, logits = draw(3, 4.0, images=images)

    def negative_log_posterior(point):
        rows = log_softmax(logits / math.exp(point[0]), axis=1)
        return -rows[np.arange(images), targets].sum() - norm.logpdf(point[0], scale=1.0)

    expected = minimize(negative_log_posterior, [0.0], method="Nelder-Mead")
    found = fit_careful_temperature(targets, softmax(logits, axis=1))
    assert found == pytest.approx(math.exp(expected.x[0]), rel=1e-3)


def test_a_careful_temperature_never_makes_surer():
    targets, logits = draw(2, 3.0)
    careful = fit_careful_temperature(targets, softmax(logits, axis=1))
    assert careful == pytest.approx(3, rel=0.25)
    unsure = softmax(logits / 9, axis=1)
    assert fit_temperature(targets, unsure) < 0.5
    assert fit_careful_temperature(targets, unsure) == 1
    right = np.array([[0.9, 0.1], [0.2, 0.8]])
    assert fit_careful_temperature(np.array([0, 1]), right) == 1
    wrong = fit_careful_temperature(np.array([1, 0]), right)  # two images do not say much
    assert 1 < wrong < 4


def test_a_network_that_is_always_sure_and_wrong_is_made_as_unsure_as_can_be():
    sure = np.array([[1.0, 0.0]] * 5_000)
    assert fit_careful_temperature(np.ones(5_000, int), sure) == pytest.approx(100, rel=1e-4)
    random = np.random.default_rng(0)
    loud = softmax(random.normal(0, 200, (2_000, 3)), axis=1)  # and the classes are drawn by lot
    assert fit_careful_temperature(random.integers(0, 3, 2_000), loud) > 30


def test_stored_probabilities_are_enough():
    _, logits = draw(4, 2.0)
    expected = torch.softmax(torch.from_numpy(logits) / 1.7, dim=1).numpy()
    for dtype, error in ((np.float64, 1e-12), (np.float32, 1e-6)):
        scaled = apply_temperature(softmax(logits, axis=1).astype(dtype), 1.7)
        assert scaled.dtype == dtype
        np.testing.assert_allclose(scaled, expected, atol=error)
    assert (scaled.argmax(axis=1) == logits.argmax(axis=1)).all()


def test_a_probability_of_0_stays_a_number():
    scaled = apply_temperature(np.array([[1.0, 0.0]], np.float32), 2.0)
    assert np.isfinite(scaled).all()
    assert scaled.sum() == pytest.approx(1)
    # Nine sure and right, one sure and wrong: best where the nine have a probability of 0.9, which
    # is a difference of ln 9 of the logits; so far it was -ln of the smallest float32.
    sure = np.array([[1.0, 0.0]] * 10, np.float32)
    found = fit_temperature(np.array([0] * 9 + [1]), sure)
    assert found == pytest.approx(-math.log(2.0**-126) / math.log(9), rel=1e-5)


def test_there_is_none_where_every_image_is_right():
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8]])
    assert math.isnan(fit_temperature(np.array([0, 1]), probabilities))
    assert math.isnan(
        fit_temperature(np.array([1, 0]), probabilities)
    )  # and where every one is wrong


def test_the_log_loss_falls_where_the_network_was_too_sure():
    targets, logits = draw(2, 3.0)
    probabilities = softmax(logits, axis=1)
    scaled = apply_temperature(probabilities, fit_temperature(targets, probabilities))
    assert log_loss(targets, scaled) < log_loss(targets, probabilities)


def test_coverage_and_accuracy_of_what_is_answered():
    is_right = np.array([True, True, False, True, False])
    confidence = np.array([0.99, 0.9, 0.8, 0.7, 0.6])
    rows = {row["below"]: row for row in measure_abstaining(is_right, confidence, 0.75, Units())}
    assert list(rows) == [0, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 0.95, 0.99]
    assert (rows[0]["coverage"], rows[0]["accuracy"]) == (1, 0.6)
    assert (rows[0.75]["answered"], rows[0.75]["coverage"]) == (3, 0.6)
    assert rows[0.75]["accuracy"] == pytest.approx(2 / 3)
    assert rows[0.9]["accuracy"] == 1  # a confidence of the level itself is answered
    (*_, none) = measure_abstaining(is_right, confidence, 0.995, Units())
    assert (none["answered"], none["accuracy"], none["low"]) == (0, None, None)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_it_is_where_the_slope_of_the_loss_is_zero(dtype):
    targets, logits = draw(5, sharpness=3)
    probabilities = softmax(logits, axis=1).astype(dtype)
    logarithms = np.log(probabilities.astype(np.float64))

    def slope(inverse):  # of the mean log loss, by 1/temperature
        mean = (softmax(logarithms * inverse, axis=1) * logarithms).sum(axis=1)
        return float((mean - logarithms[np.arange(len(targets)), targets]).mean())

    wanted = 1 / brentq(slope, 0.01, 100, xtol=1e-15)
    assert fit_temperature(targets, probabilities) == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("fit", [fit_temperature, fit_careful_temperature])
def test_it_needs_little_memory_beside_the_probabilities(fit):
    random = np.random.default_rng(7)
    targets = random.integers(0, 500, 3_000)
    logits = 3 * random.standard_normal((3_000, 500), dtype=np.float32)
    logits[np.arange(3_000), targets] += 8
    probabilities = softmax(logits, axis=1)  # 6 MB
    fit(targets[:20], probabilities[:20])  # imports
    tracemalloc.start()
    fit(targets, probabilities)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12e6  # a copy in float64 alone has 12 MB
