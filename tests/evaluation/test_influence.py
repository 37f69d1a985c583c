"""What each image adds to a figure: against the change that more weight on the image makes."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics as reference

from cnncli.evaluation.influence import count_influences
from cnncli.evaluation.metrics import Counts, confusion_matrix

MEASURES = {
    "accuracy": reference.accuracy_score,
    "balanced_accuracy": reference.balanced_accuracy_score,
    "macro_f1": lambda *args, **options: reference.f1_score(*args, average="macro", **options),
    "mcc": reference.matthews_corrcoef,
    "kappa": reference.cohen_kappa_score,
    "linear_kappa": lambda *args, **options: reference.cohen_kappa_score(
        *args, weights="linear", **options
    ),
    "quadratic_kappa": lambda *args, **options: reference.cohen_kappa_score(
        *args, weights="quadratic", **options
    ),
}


@pytest.mark.parametrize("num_classes", [2, 5])
@pytest.mark.parametrize("name", MEASURES)
def test_an_influence_is_what_more_weight_on_an_image_adds(name, num_classes):
    generator = np.random.default_rng(7)
    targets = np.arange(80) % num_classes
    guesses = generator.integers(0, num_classes, 80)
    predictions = np.where(generator.random(80) < 0.6, targets, guesses)
    counts = Counts.of(confusion_matrix(targets, predictions, num_classes))
    influence = count_influences(counts, targets, predictions)[name]
    assert influence.sum() == pytest.approx(0, abs=1e-12)
    step = 1e-6
    for image in range(0, 80, 9):
        weights = np.ones((2, 80))
        weights[:, image] += step, -step
        more, less = (MEASURES[name](targets, predictions, sample_weight=w) for w in weights)
        assert influence[image] == pytest.approx((more - less) / (2 * step), abs=1e-7)


def test_a_class_without_images_has_no_part_in_the_averages():
    targets, predictions = np.array([0, 0, 1, 1, 1]), np.array([0, 2, 1, 1, 0])
    influences = count_influences(
        Counts.of(confusion_matrix(targets, predictions, 4)), targets, predictions
    )
    # Recalls 1/2 and 2/3: (1 or 0 - recall) / images of the class, halved
    expected = np.array([1 / 4, -1 / 4, 1 / 9, 1 / 9, -2 / 9]) / 2
    np.testing.assert_allclose(influences["balanced_accuracy"], expected)
    assert all(np.isfinite(values).all() for values in influences.values())


def test_where_a_figure_is_undefined_its_influences_are():
    targets, predictions = np.zeros(4, int), np.array([0, 0, 1, 1])
    influences = count_influences(
        Counts.of(confusion_matrix(targets, predictions, 2)), targets, predictions
    )
    assert np.isnan(influences["mcc"]).all()
