"""95 % intervals hold the truth in at least 93 of 100 samples; those of images alone do not."""

from __future__ import annotations

import pytest
from interval_coverage import SCENARIOS, measure_coverage


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_intervals_hold_the_truth_as_often_as_they_say(scenario):
    coverage = measure_coverage(scenario, samples=1000)
    seen = {name: by_unit for name, (_, by_unit, _) in coverage.items()}
    assert {name: share for name, share in seen.items() if share < 93} == {}
    # Nor so wide that they say nothing; ECE's is known to be careful.
    assert {name for name, share in seen.items() if share > 98.5} <= {"ece"}
    if scenario.is_grouped and scenario.of_group:
        alone = {name: by_image for name, (_, _, by_image) in coverage.items()}
        assert alone["accuracy"] < 92
        assert alone["log_loss"] < 90
        assert alone["brier"] < 90
