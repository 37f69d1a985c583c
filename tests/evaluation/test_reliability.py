"""Bins of confidence: as scikit-learn's, with Wilson's intervals."""

import math

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from cnncli.evaluation.reliability import reliability_bins


def test_the_bins_are_scikit_learns():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.full(4, 0.5), 500)
    targets = rng.integers(0, 4, 500)
    rows = reliability_bins(targets, probabilities)
    right = probabilities.argmax(axis=1) == targets
    accuracy, confidence = calibration_curve(right, probabilities.max(axis=1), n_bins=15)
    np.testing.assert_allclose([row["accuracy"] for row in rows], accuracy)
    np.testing.assert_allclose([row["confidence"] for row in rows], confidence)
    assert sum(row["images"] for row in rows) == 500


def test_the_intervals_are_wilsons():
    z, n, p = 1.959963984540054, 4, 3 / 4
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    probabilities = np.array([[0.9, 0.1]] * 4)
    (row,) = reliability_bins(np.array([0, 0, 0, 1]), probabilities)
    assert (row["low"], row["high"]) == pytest.approx((middle - half, middle + half))
