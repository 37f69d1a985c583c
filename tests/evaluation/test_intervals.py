"""Bootstrap intervals: against analytic ones, the long way round, and at the edges."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cnncli.evaluation.intervals import _percentiles, bootstrap_intervals
from cnncli.evaluation.metrics import Counts, confusion_matrix, count_metrics


def matrix_of(num_classes: int, images: int, seed: int = 0) -> np.ndarray:
    """Count random answers, two in five of them right, with every class among the targets."""
    generator = np.random.default_rng(seed)
    targets = np.arange(images) % num_classes
    guesses = generator.integers(0, num_classes, images)
    predictions = np.where(generator.random(images) < 0.4, targets, guesses)
    return confusion_matrix(targets, predictions, num_classes)


def test_accuracy_interval_agrees_with_the_normal_one_for_many_images():
    matrix = np.array([[1700, 300], [100, 1900]])
    low, high = bootstrap_intervals(matrix, resamples=4000)["accuracy"]
    # 0.9 ± 1.96 sqrt(0.9 · 0.1 / 4000) = 0.9 ± 0.0093
    half = 1.959964 * math.sqrt(0.9 * 0.1 / 4000)
    assert low == pytest.approx(0.9 - half, abs=0.1 * half)
    assert high == pytest.approx(0.9 + half, abs=0.1 * half)


def test_intervals_are_those_of_resampled_images():
    """The multinomial over cells is a short cut: here is the long way, image by image."""
    matrix = 5 * np.array([[30, 5, 0], [4, 20, 6], [1, 0, 10]])
    rows, columns = np.indices(matrix.shape)
    targets, predictions = (np.repeat(side.ravel(), matrix.ravel()) for side in (rows, columns))
    generator = np.random.default_rng(1)
    long_way = []
    for _ in range(3000):
        drawn = generator.integers(0, len(targets), len(targets))
        drawn_matrix = confusion_matrix(targets[drawn], predictions[drawn], 3)
        long_way.append(count_metrics(Counts.of(drawn_matrix)))
    short_way = bootstrap_intervals(matrix, resamples=3000)
    for name in long_way[0]:
        low, high = np.percentile([values[name] for values in long_way], [2.5, 97.5])
        assert short_way[name] == pytest.approx((low, high), abs=0.05 * (high - low)), name


def test_a_seed_fixes_the_intervals_and_another_seed_moves_them():
    matrix = matrix_of(4, 300)
    assert bootstrap_intervals(matrix, seed=3) == bootstrap_intervals(matrix, seed=3)
    assert bootstrap_intervals(matrix, seed=3) != bootstrap_intervals(matrix, seed=4)


def test_drawing_in_parts_keeps_every_resample(monkeypatch):
    matrix = matrix_of(4, 300)
    whole = bootstrap_intervals(matrix, resamples=500)
    monkeypatch.setattr("cnncli.evaluation.intervals.CELLS_AT_ONCE", 7 * np.count_nonzero(matrix))
    assert bootstrap_intervals(matrix, resamples=500) == whole


@pytest.mark.parametrize("seed", range(5))
def test_an_interval_holds_its_value_and_stays_in_range(seed):
    matrix = matrix_of(10, 25, seed)  # classes of one image, which many resamples miss
    values = count_metrics(Counts.of(matrix))
    for name, (low, high) in bootstrap_intervals(matrix, seed=seed).items():
        floor = -1 if name in ("mcc", "quadratic_kappa") else 0
        assert floor <= low <= values[name] <= high <= 1, name
        assert low < high


def test_an_interval_is_widened_to_its_value():
    drawn = np.linspace(0.2, 0.4, 1001)
    assert _percentiles(drawn, 0.3) == pytest.approx((0.205, 0.395))
    assert _percentiles(drawn, 0.5) == pytest.approx((0.205, 0.5))
    assert _percentiles(drawn, 0.1) == pytest.approx((0.1, 0.395))


def test_accuracy_interval_covers_the_truth_about_as_often_as_it_says():
    generator = np.random.default_rng(0)
    covered = 0
    for seed in range(300):
        right = generator.binomial(200, 0.85)
        matrix = np.array([[right, 200 - right], [0, 1]])  # one more image, always right
        low, high = bootstrap_intervals(matrix, seed=seed, resamples=300)["accuracy"]
        covered += low <= (0.85 * 200 + 1) / 201 <= high
    assert 0.91 <= covered / 300 <= 0.98  # 0.95 give or take three standard errors (0.038)


@pytest.mark.parametrize("right", [True, False])
def test_without_a_single_mistake_accuracy_has_wilsons_interval_and_the_rest_none(right):
    matrix = np.diag([30, 30]) if right else np.diag([30, 30])[::-1]
    intervals = bootstrap_intervals(matrix)
    # Wilson at p = 1: low = N / (N + z²) = 60 / 63.8415
    low, high = (0.939828, 1.0) if right else (0.0, 1 - 0.939828)
    assert intervals["accuracy"] == pytest.approx((low, high), abs=1e-6)
    assert all(math.isnan(bound) for bound in intervals["balanced_accuracy"])


def test_one_image():
    intervals = bootstrap_intervals(np.array([[1, 0], [0, 0]]))
    assert intervals["accuracy"] == pytest.approx((1 / (1 + 3.841459), 1.0), abs=1e-6)
    assert all(math.isnan(low) for name, (low, _) in intervals.items() if name != "accuracy")
