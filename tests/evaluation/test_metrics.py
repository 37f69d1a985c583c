"""Metrics against scikit-learn, and against formulas written out on tiny examples."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sklearn.metrics as reference

from cnncli.errors import RUNTIME_FAILURE, USAGE_ERROR, CnncliError
from cnncli.evaluation.metrics import (
    Counts,
    brier_scores,
    confusion_matrix,
    count_metrics,
    expected_calibration_error,
    log_loss,
    validation_metrics,
)

KAPPAS = ("kappa", "linear_kappa", "quadratic_kappa")


def sample(
    num_classes: int, images: int, seed: int = 0, skill: float = 0.6
) -> tuple[np.ndarray, np.ndarray]:
    """Draw targets in which every class occurs, and probabilities that lean towards them."""
    generator = np.random.default_rng(seed)
    targets = np.concatenate(
        [np.arange(num_classes), generator.integers(0, num_classes, images - num_classes)]
    )
    probabilities = generator.dirichlet(np.full(num_classes, 0.5), images)
    probabilities[np.arange(images), targets] += skill * generator.random(images)
    return targets, probabilities / probabilities.sum(axis=1, keepdims=True)


def of_pairs(targets, predictions, num_classes: int) -> dict[str, float]:
    matrix = confusion_matrix(np.array(targets), np.array(predictions), num_classes)
    return {name: float(value) for name, value in count_metrics(Counts.of(matrix)).items()}


@pytest.mark.parametrize(("num_classes", "images"), [(2, 50), (3, 200), (10, 1000), (100, 3000)])
def test_everything_equals_scikit_learn_where_every_class_occurs(num_classes, images):
    targets, probabilities = sample(num_classes, images)
    predictions = probabilities.argmax(axis=1)
    matrix = confusion_matrix(targets, predictions, num_classes)
    counts = Counts.of(matrix)
    values = count_metrics(counts)
    assert 0.2 < values["accuracy"] < 0.99  # otherwise agreement says little
    np.testing.assert_array_equal(matrix, reference.confusion_matrix(targets, predictions))
    expected = {
        "accuracy": reference.accuracy_score(targets, predictions),
        "balanced_accuracy": reference.balanced_accuracy_score(targets, predictions),
        "macro_f1": reference.f1_score(targets, predictions, average="macro"),
        "mcc": reference.matthews_corrcoef(targets, predictions),
        "kappa": reference.cohen_kappa_score(targets, predictions),
        "linear_kappa": reference.cohen_kappa_score(targets, predictions, weights="linear"),
        "quadratic_kappa": reference.cohen_kappa_score(targets, predictions, weights="quadratic"),
    }
    assert {name: float(value) for name, value in values.items()} == pytest.approx(expected)
    precision, recall, f1, images_of = reference.precision_recall_fscore_support(
        targets, predictions, zero_division=np.nan
    )
    np.testing.assert_allclose(counts.precision, precision)
    np.testing.assert_allclose(counts.recall, recall)
    np.testing.assert_allclose(counts.f1, f1)
    np.testing.assert_array_equal(counts.actual, images_of)
    for index in range(num_classes):  # specificity is the recall of all others
        others = reference.recall_score(targets != index, predictions != index)
        assert counts.specificity[index] == pytest.approx(others)
    assert log_loss(targets, probabilities) == pytest.approx(
        -np.log(probabilities[np.arange(images), targets]).mean()
    )


def test_a_hand_written_example():
    # true 0: 2 right, 1 taken for 2; true 1: 1 right; true 2: 1 taken for 1. N = 5, K = 3.
    values = of_pairs([0, 0, 0, 1, 2], [0, 0, 2, 1, 1], 3)
    assert values["accuracy"] == pytest.approx(3 / 5)
    assert values["balanced_accuracy"] == pytest.approx((2 / 3 + 1 + 0) / 3)
    # F1 = 2 right / (images of the class + images predicted as it)
    assert values["macro_f1"] == pytest.approx((4 / 5 + 2 / 3 + 0) / 3)
    # N right - sum(actual predicted) = 15 - (6 + 2 + 1); both sums of squares: 25 - 11, 25 - 9
    assert values["mcc"] == pytest.approx(6 / math.sqrt(14 * 16))
    # Observed: (0-2)² + (2-1)² = 5. By chance, actual 3,1,1 times predicted 2,2,1 over N:
    # (3·2·1 + 3·1·4 + 1·2·1 + 1·1·1 + 1·2·4 + 1·2·1) / 5 = 31/5
    assert values["quadratic_kappa"] == pytest.approx(1 - 5 / (31 / 5))


def test_quadratic_kappa_punishes_a_far_miss_more_than_a_near_one():
    near = of_pairs([0, 1, 2, 3], [1, 1, 2, 3], 4)
    far = of_pairs([0, 1, 2, 3], [3, 1, 2, 3], 4)
    assert near["accuracy"] == far["accuracy"]
    assert near["quadratic_kappa"] > far["quadratic_kappa"] + 0.3


def test_averages_are_over_the_classes_that_have_images():
    values = of_pairs([0, 0, 1, 1], [0, 0, 1, 2], 4)  # class 2 only predicted, class 3 nowhere
    assert values["balanced_accuracy"] == pytest.approx((1 + 0.5) / 2)
    assert values["macro_f1"] == pytest.approx((1 + 2 / 3) / 2)


def test_all_wrong_is_zero_not_undefined():
    values = of_pairs([0, 1, 2], [1, 2, 0], 3)
    assert values["accuracy"] == values["balanced_accuracy"] == values["macro_f1"] == 0
    assert values["mcc"] == pytest.approx(-0.5)  # (0·3 - 3) / (9 - 3)


@pytest.mark.parametrize(
    ("targets", "predictions", "undefined"),
    [
        ([1, 1, 1], [1, 1, 1], {"mcc", *KAPPAS}),
        ([1, 1, 1], [0, 1, 2], {"mcc", *KAPPAS}),
        ([0, 1, 2], [1, 1, 1], {"mcc"}),
        ([2], [2], {"mcc", *KAPPAS}),
        ([0, 1], [0, 1], set()),
    ],
)
def test_what_is_zero_divided_by_zero_is_nan_and_the_rest_is_not(targets, predictions, undefined):
    values = of_pairs(targets, predictions, 3)
    assert {name for name, value in values.items() if math.isnan(value)} == undefined


def test_log_loss_of_certain_answers():
    certain = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert log_loss(np.array([0, 1]), certain) == pytest.approx(0, abs=1e-12)
    clipped = -math.log(np.finfo(np.float64).eps)  # 36.04 nats
    assert log_loss(np.array([0, 0]), certain) == pytest.approx(clipped / 2)


def test_log_loss_takes_rows_rounded_to_float32_without_a_warning():
    targets, probabilities = sample(10, 50)
    rounded = probabilities.astype(np.float32).astype(np.float64)
    assert np.abs(rounded.sum(axis=1) - 1).max() > 1.5e-8  # where scikit-learn would warn
    assert log_loss(targets, rounded) == pytest.approx(log_loss(targets, probabilities), rel=1e-5)


@pytest.mark.parametrize("num_classes", [2, 3, 40])
def test_brier_is_scikit_learns(num_classes):
    targets, probabilities = sample(num_classes, 300)
    expected = reference.brier_score_loss(
        targets, probabilities[:, 1] if num_classes == 2 else probabilities
    )
    assert brier_scores(targets, probabilities).mean() == pytest.approx(expected)
    rounded = brier_scores(targets, probabilities.astype(np.float32))
    assert rounded.mean() == pytest.approx(expected, abs=1e-6)
    certain = np.eye(num_classes)
    assert brier_scores(np.arange(num_classes), certain).tolist() == [0] * num_classes


def test_ece_of_a_calibrated_classifier_is_zero():
    probabilities = np.tile([0.75, 0.25], (8, 1))
    targets = np.array([0, 0, 0, 1, 0, 0, 0, 1])  # right in 6 of 8
    assert expected_calibration_error(targets, probabilities) == pytest.approx(0)


def test_ece_by_hand():
    confidence = np.array([0.9, 0.92, 0.7, 0.6, 0.58])
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    targets = np.array([0, 1, 0, 1, 0])
    # Bins of width 1/15: 0.9 and 0.92 share (13/15, 14/15], 1 of 2 right; 0.7 is alone and right;
    # 0.58 and 0.6, which is the closed end, share (8/15, 9/15], 1 of 2 right.
    expected = (2 * abs(0.91 - 0.5) + abs(0.7 - 1) + 2 * abs(0.59 - 0.5)) / 5
    assert expected_calibration_error(targets, probabilities) == pytest.approx(expected)
    # In one bin over- and under-confidence cancel: mean confidence 3.7 / 5, 3 of 5 right
    assert expected_calibration_error(targets, probabilities, bins=1) == pytest.approx(0.14)


def test_ece_of_certain_answers_at_both_ends():
    certain = np.array([[1.0, 0.0], [1.0, 0.0]])
    assert expected_calibration_error(np.array([0, 0]), certain) == 0
    assert expected_calibration_error(np.array([1, 1]), certain) == 1


def test_validation_metrics_are_the_three_fractions():
    targets, probabilities = sample(5, 200)
    predictions = probabilities.argmax(axis=1)
    values = validation_metrics(targets, probabilities)
    assert values == pytest.approx(
        {
            "accuracy": reference.accuracy_score(targets, predictions),
            "balanced_accuracy": reference.balanced_accuracy_score(targets, predictions),
            "macro_f1": reference.f1_score(targets, predictions, average="macro"),
        }
    )
    assert {type(value) for value in values.values()} == {float}


def test_an_empty_split_is_refused_in_plain_words():
    with pytest.raises(CnncliError, match="no image to evaluate") as caught:
        validation_metrics(np.empty(0, int), np.empty((0, 3)))
    assert caught.value.exit_code == USAGE_ERROR


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_probabilities_that_are_not_finite_are_refused_and_counted(bad):
    targets, probabilities = sample(3, 10)
    probabilities[[2, 5], 1] = bad
    with pytest.raises(CnncliError, match="not finite for 2 of 10 images") as caught:
        validation_metrics(targets, probabilities)
    assert caught.value.exit_code == RUNTIME_FAILURE


@pytest.mark.parametrize(
    ("targets", "probabilities", "message"),
    [
        ([0, 1], [[0.5, 0.5]], "do not fit"),
        ([0, 2], [[0.5, 0.5], [0.5, 0.5]], "outside 0 to 1"),
        ([-1, 0], [[0.5, 0.5], [0.5, 0.5]], "outside 0 to 1"),
        ([0, 1], [[3.0, -1.0], [0.2, 4.0]], "sum to 1"),  # logits by mistake
        ([0, 0], [[1.0], [1.0]], "two classes"),
    ],
)
def test_what_only_a_bug_can_pass_in_is_a_value_error(targets, probabilities, message):
    with pytest.raises(ValueError, match=message):
        validation_metrics(np.array(targets), np.array(probabilities))


def test_log_loss_is_that_of_scikit_learn_in_every_digit():
    from sklearn.metrics import log_loss as reference

    rng = np.random.default_rng(8)
    for _ in range(50):
        count, classes = rng.integers(1, 200), rng.integers(2, 30)
        targets = rng.integers(0, classes, count)
        probabilities = rng.dirichlet(np.full(classes, rng.choice([0.05, 1.0])), count)
        rows = probabilities / probabilities.sum(axis=1, keepdims=True)
        expected = reference(targets, rows, labels=np.arange(classes))
        assert log_loss(targets, probabilities) == expected
