"""A stored decision on the page: in words, and as a threshold of raw probabilities."""

import numpy as np

from cnncli.recipes.report.operating_point import as_operating_point
from cnncli.run.decision import Decision


def show(class_names=("benign", "malignant"), temperature=None):
    return as_operating_point(
        Decision(
            class_names=class_names,
            temperature=temperature,
            positive="malignant",
            threshold=0.3127,
            operating_point="sensitivity=0.95",
            abstain_below=0.6,
        )
    )


def test_it_is_told():
    point = show()
    assert (point.positive, point.threshold, point.abstain) == (1, 0.3127, 0.6)
    assert "threshold 0.3127 for 'malignant' (sensitivity=0.95 on val)" in point.told


def test_a_temperature_moves_the_threshold_of_two_classes():
    point = show(temperature=2.5)
    logits = np.random.default_rng(0).normal(size=(1000, 2)) * 3
    soft = [np.exp(z) / np.exp(z).sum(axis=1, keepdims=True) for z in (logits, logits / 2.5)]
    np.testing.assert_array_equal(soft[0][:, 1] >= point.threshold, soft[1][:, 1] >= 0.3127)
    np.testing.assert_array_equal(soft[0].max(1) >= point.abstain, soft[1].max(1) >= 0.6)


def test_with_more_classes_a_temperature_leaves_no_threshold():
    point = show(("benign", "malignant", "other"), temperature=2.5)
    assert (point.threshold, point.abstain) == (None, None)
    assert "temperature 2.5" in point.told
