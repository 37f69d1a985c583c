"""Bins of confidence: as scikit-learn's, with Wilson's intervals, of images or of groups."""

import math

import numpy as np
import pytest
from scipy.stats import t as student
from sklearn.calibration import calibration_curve

from cnncli.evaluation.intervals import Units
from cnncli.evaluation.reliability import reliability_bins


def test_the_bins_are_scikit_learns():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.full(4, 0.5), 500)
    targets = rng.integers(0, 4, 500)
    rows = reliability_bins(targets, probabilities, Units())
    right = probabilities.argmax(axis=1) == targets
    accuracy, confidence = calibration_curve(right, probabilities.max(axis=1), n_bins=15)
    np.testing.assert_allclose([row["accuracy"] for row in rows], accuracy)
    np.testing.assert_allclose([row["confidence"] for row in rows], confidence)
    assert sum(row["images"] for row in rows) == 500


def wilson(p, n, z):
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return pytest.approx((middle - half, middle + half))


def test_the_intervals_are_wilsons():
    probabilities = np.array([[0.9, 0.1]] * 4)
    (row,) = reliability_bins(np.array([0, 0, 0, 1]), probabilities, Units())
    assert (row["low"], row["high"]) == wilson(3 / 4, 4, 1.959963984540054)


def test_images_of_one_group_count_together():
    """Each image three times knows no more than once: the error is that of the 20 groups."""
    targets = np.repeat([0] * 15 + [1] * 5, 3)
    units = Units(np.repeat(np.arange(20), 3))
    (row,) = reliability_bins(targets, np.array([[0.9, 0.1]] * 60), units)
    assert (row["accuracy"], row["images"]) == (0.75, 60)
    assert (row["low"], row["high"]) == wilson(0.75, 19, student.ppf(0.975, 19))
