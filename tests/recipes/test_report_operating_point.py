"""The stored operating point on the page: in words, and as a threshold of raw probabilities."""

import json

import numpy as np
import pytest

from cnncli.errors import CnncliError
from cnncli.recipes.report.operating_point import read_operating_point

STORED = {
    "format": 1,
    "weights": "abc",
    "class_names": ["benign", "malignant"],
    "temperature": None,
    "positive": "malignant",
    "threshold": 0.3127,
    "operating_point": "sens=0.95",
    "abstain_below": 0.6,
}


def read(folder, **changes):
    (folder / "decision.json").write_text(json.dumps(STORED | changes))
    names = (STORED | changes)["class_names"]
    return read_operating_point(folder, "abc", names)


def test_none_is_none(tmp_path):
    assert read_operating_point(tmp_path, "abc", ["a", "b"]) is None


def test_it_is_told(tmp_path):
    point = read(tmp_path)
    assert (point.positive, point.threshold, point.abstain) == (1, 0.3127, 0.6)
    assert "threshold 0.3127 for class malignant (sens=0.95, chosen on val)" in point.told


def test_a_temperature_moves_the_threshold_of_two_classes(tmp_path):
    point = read(tmp_path, temperature=2.5)
    logits = np.random.default_rng(0).normal(size=(1000, 2)) * 3
    soft = [np.exp(z) / np.exp(z).sum(axis=1, keepdims=True) for z in (logits, logits / 2.5)]
    np.testing.assert_array_equal(soft[0][:, 1] >= point.threshold, soft[1][:, 1] >= 0.3127)
    np.testing.assert_array_equal(soft[0].max(1) >= point.abstain, soft[1].max(1) >= 0.6)


def test_with_more_classes_a_temperature_leaves_no_threshold(tmp_path):
    point = read(tmp_path, temperature=2.5, class_names=["benign", "malignant", "other"])
    assert (point.threshold, point.abstain) == (None, None)
    assert "temperature 2.5" in point.told


@pytest.mark.parametrize("changes", [{"weights": "other"}, {"threshold": "x"}, {"positive": "no"}])
def test_one_that_cannot_be_used_is_refused(tmp_path, changes):
    with pytest.raises(CnncliError, match=r"decision\.json"):
        read(tmp_path, **changes)
