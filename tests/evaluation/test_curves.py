"""The points of the curves, as scikit-learn has them."""

import numpy as np
import pytest
from sklearn.metrics import precision_recall_curve, roc_curve

from cnncli.evaluation.curves import curve_points


@pytest.mark.parametrize("decimals", [1, 6], ids=["ties", "none"])
def test_they_are_those_of_scikit_learn(decimals):
    draw = np.random.default_rng(4)
    scores = draw.random(300).round(decimals)
    is_it = draw.random(300) < scores
    found = curve_points(is_it, scores)
    false, true, _ = roc_curve(is_it, scores, drop_intermediate=False)
    np.testing.assert_allclose(found.false_alarms, false)
    np.testing.assert_allclose(found.recall, true)
    precision, recall, _ = precision_recall_curve(is_it, scores)
    np.testing.assert_allclose(found.precision, precision[::-1])
    np.testing.assert_allclose(found.recall, recall[::-1])


def test_two_images():
    found = curve_points(np.array([False, True]), np.array([0.9, 0.1]))
    np.testing.assert_array_equal(found.false_alarms, [0, 1, 1])
    np.testing.assert_array_equal(found.recall, [0, 0, 1])
    np.testing.assert_array_equal(found.precision, [1, 0, 0.5])
