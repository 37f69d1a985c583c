"""``decision.json``: what is read of it, and how it is told."""

import json

import numpy as np
import pytest

from cnncli.errors import CnncliError
from cnncli.reporting import SilentReporter
from cnncli.run.decision import Decision, load_decision
from cnncli.run.report_decision import report_decision

NAMES = ("a", "b")
NUMBERS = ("threshold", "temperature", "temperature_of_weights")
STORED = {
    "format": 1,
    "weights": "digest",
    "class_names": list(NAMES),
    "positive": "a",
    "threshold": 0.25,
}


def load(folder, **changes):
    (folder / "decision.json").write_text(json.dumps(STORED | changes))
    return load_decision(folder / "best.safetensors", "digest", NAMES, SilentReporter())


def test_it_is_read(tmp_path):
    assert load(tmp_path).threshold == 0.25


@pytest.mark.parametrize(
    "key", ["threshold", "temperature", "temperature_of_weights", "abstain_below"]
)
@pytest.mark.parametrize("value", [10**400, -(10**400), float("nan"), float("inf"), True, "0.5"])
def test_what_is_no_number_in_range_is_one_line(tmp_path, key, value):
    with pytest.raises(CnncliError, match=rf"cannot be used \({key} is no number from"):
        load(tmp_path, **{key: value})


@pytest.mark.parametrize(
    ("threshold", "told"), [(0.31268, "0.3127"), (0.9999999, "0.9999999"), (1e-9, "1e-09")]
)
def test_a_threshold_is_not_rounded_to_1(threshold, told):
    decision = Decision(NAMES, positive="a", threshold=threshold)
    assert decision.describe() == f"threshold {told} for 'a'"


@pytest.mark.parametrize(
    ("of_weights", "told"),
    [
        (None, "temperature 1.1"),  # as earlier versions wrote it
        (1.0, "temperature 1.1"),
        (2.0, "temperature 1.1 on top of 2 from training (2.2 in all)"),
    ],
)
def test_a_temperature_is_told_with_that_of_the_weights(tmp_path, of_weights, told):
    values = {"temperature": 1.1, "temperature_of_weights": of_weights}
    assert load(tmp_path, positive=None, threshold=None, **values).describe() == told
    parts = report_decision(
        load(tmp_path, positive=None, threshold=None, **values),
        np.array([0, 1]),
        np.array([[0.9, 0.1], [0.2, 0.8]]),
        prevalence=None,
        groups=None,
        reporter=SilentReporter(),
    )
    assert parts["calibration"]["temperature_of_weights"] == of_weights
