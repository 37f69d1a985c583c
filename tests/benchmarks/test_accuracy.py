"""The figures of the benchmark's rows, against formulas written out."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from cnncli.evaluation.report import build_report


@pytest.fixture(scope="module")
def accuracy():
    spec = importlib.util.spec_from_file_location(
        "accuracy", Path(__file__).with_name("accuracy.py")
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def runs_of(accuracy, *, confidence, right, images=1000, seeds=2):
    """Return runs of two classes, of which a share is right with one confidence."""
    targets = np.zeros(images, int)
    targets[: round((1 - right) * images)] = 1
    probabilities = np.tile([confidence, 1 - confidence], (images, 1))
    report, _ = build_report(targets, probabilities, ["a", "b"], split="test", ordered=False)
    return [accuracy.Run(seed, report, targets, probabilities, 10.0, 20.0) for seed in range(seeds)]


@pytest.mark.parametrize("fixed", [True, False])
def test_the_interval_is_wilsons_and_counts_a_fixed_split_once(accuracy, fixed):
    runs = runs_of(accuracy, confidence=0.9, right=0.9)
    images, low, high = accuracy.interval(runs, fixed=fixed)
    assert images == (1000 if fixed else 2000)
    z, p = 1.959964, 0.9
    middle = (p + z**2 / (2 * images)) / (1 + z**2 / images)
    half = z * np.sqrt(p * (1 - p) / images + z**2 / (4 * images**2)) / (1 + z**2 / images)
    assert (low, high) == pytest.approx((middle - half, middle + half), abs=1e-6)


@pytest.mark.parametrize("fixed", [True, False])
def test_calibrated_labels_have_the_ece_of_chance(accuracy, fixed):
    """Of one confidence the ECE is |right - 0.9|, by chance that of a binomial draw."""
    ece, chance = accuracy.calibration(runs_of(accuracy, confidence=0.9, right=0.7), fixed=fixed)
    assert ece == pytest.approx(0.2)
    images = 1000 if fixed else 2000
    deviation = np.sqrt(0.9 * 0.1 / images) * np.sqrt(2 / np.pi)  # mean of |a normal draw|
    assert chance == pytest.approx(deviation, rel=0.15)


def test_a_row_is_told_as_markdown(accuracy):
    runs = runs_of(accuracy, confidence=0.9, right=0.9)
    line = accuracy.describe(accuracy.ROWS["digits"], runs)
    assert line.startswith("| scikit-learn's digits, 15 % kept | 0.9000 (0.886–0.912, 2000 images)")
    assert "| 0.900, 0.900 | 0.500 | 0.325 | 0.000 (0.00" in line
    assert line.endswith(" | 10 s | 20 s |")
