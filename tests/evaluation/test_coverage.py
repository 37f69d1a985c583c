"""95 % intervals hold the truth in at least 93 of 100 samples; those of images alone do not."""

from __future__ import annotations

import numpy as np
import pytest
from interval_coverage import SCENARIOS, measure_coverage

from cnncli.evaluation.class_figures import CLASS_FIGURES


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_intervals_hold_the_truth_as_often_as_they_say(scenario):
    coverage = measure_coverage(scenario, samples=1000)
    seen = {name: by_unit for name, (_, by_unit, _) in coverage.items()}
    # Wilson's interval of independent images, very near to 1, goes up and down with their number:
    # each class's may be lower, their mean may not.
    is_uneven = {
        name
        for name, (truth, _, _) in coverage.items()
        if "of class" in name and truth > 0.99 and not scenario.is_grouped
    }
    assert {name: share for name, share in seen.items() if share < 93}.keys() <= is_uneven
    for figure in CLASS_FIGURES:
        of_classes = [seen[name] for name in seen if name.startswith(f"{figure} of class")]
        assert np.mean(of_classes) >= 93
    for name in ("accuracy", "mcc", "log_loss", "brier"):
        assert seen[name] < 98.5, "so wide that it says nothing"
    if scenario.is_grouped and scenario.of_group:
        alone = {name: by_image for name, (_, _, by_image) in coverage.items()}
        assert alone["accuracy"] < 93
        assert alone["log_loss"] < 90
        assert alone["brier"] < 92
