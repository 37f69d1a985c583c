"""The report: its shape, and that nothing undefined passes for a number."""

from __future__ import annotations

import json
import math
from itertools import pairwise

import numpy as np
import pytest
import sklearn.metrics as reference

from cnncli.errors import CnncliError
from cnncli.evaluation.class_figures import CLASS_FIGURES
from cnncli.evaluation.report import FIGURES, build_report

KAPPAS = ("kappa", "linear_kappa", "quadratic_kappa")
KEYS = [
    "split",
    "images",
    "groups",
    "resampled",
    "class_names",
    "accuracy",
    "balanced_accuracy",
    "macro_f1",
    "mcc",
    "auroc",
    "average_precision",
    "kappa",
    "linear_kappa",
    "quadratic_kappa",
    "log_loss",
    "brier",
    "ece",
    "per_class",
    "confusion_matrix",
]


def report_of(targets, probabilities, class_names, **options):
    """Build a report, and hold what must be true of every one."""
    settings = {"split": "test", "ordered": False} | options
    report, undefined = build_report(
        np.array(targets), np.array(probabilities, dtype=float), class_names, **settings
    )
    assert list(report) == KEYS
    text = json.dumps(report, allow_nan=False)
    assert json.loads(text) == report
    for line in undefined:
        assert "\n" not in line
        assert ": " in line
    explained = " ".join(undefined)
    for name, value in report.items():
        if name in ("linear_kappa", "quadratic_kappa") and not settings["ordered"]:
            assert value is None  # nobody asked for it: nothing to explain
        elif name == "groups" and settings.get("groups") is None:
            assert value is None
            assert report["resampled"] == "image"
        elif value is None or (isinstance(value, dict) and value["low"] is None):
            assert name in explained, f"{name} is None without a reason"
    assert np.sum(report["confusion_matrix"]) == report["images"] == len(targets)
    return report, undefined


def answers(predictions, num_classes, sure=0.8):
    """Turn predicted classes into probabilities: ``sure`` for it, the rest shared evenly."""
    rest = (1 - sure) / (num_classes - 1)
    return np.where(np.eye(num_classes)[predictions] == 1, sure, rest)


def test_a_whole_report():
    generator = np.random.default_rng(0)
    targets = generator.integers(0, 3, 400)
    probabilities = generator.dirichlet(np.ones(3), 400)
    probabilities = (probabilities + 0.4 * np.eye(3)[targets]) / 1.4
    names = ["ant", "bee", "나비"]
    report, undefined = report_of(targets, probabilities, names, ordered=True)
    predictions = probabilities.argmax(axis=1)
    assert undefined == []
    assert report["split"] == "test"
    assert report["class_names"] == names
    assert report["accuracy"]["value"] == reference.accuracy_score(targets, predictions)
    assert report["quadratic_kappa"]["value"] == pytest.approx(
        reference.cohen_kappa_score(targets, predictions, weights="quadratic")
    )
    assert report["auroc"]["value"] == pytest.approx(
        reference.roc_auc_score(targets, probabilities, multi_class="ovr")
    )
    assert report["average_precision"]["value"] == pytest.approx(
        reference.average_precision_score(targets, probabilities)
    )
    assert report["log_loss"]["value"] == pytest.approx(reference.log_loss(targets, probabilities))
    for name in FIGURES:
        assert report[name]["low"] < report[name]["value"] < report[name]["high"]
    bee = report["per_class"][1]
    assert list(bee) == ["class_name", "images", *CLASS_FIGURES]
    assert bee["class_name"] == "bee"
    assert bee["images"] == (targets == 1).sum()
    is_bee, said_bee = targets == 1, predictions == 1
    expected = {
        "precision": reference.precision_score(is_bee, said_bee),
        "recall": reference.recall_score(is_bee, said_bee),
        "specificity": reference.recall_score(~is_bee, ~said_bee),
        "f1": reference.f1_score(is_bee, said_bee),
        "auroc": reference.roc_auc_score(is_bee, probabilities[:, 1]),
        "average_precision": reference.average_precision_score(is_bee, probabilities[:, 1]),
    }
    assert {name: bee[name]["value"] for name in expected} == pytest.approx(expected)
    for name in expected:
        assert bee[name]["low"] < bee[name]["value"] < bee[name]["high"]


def test_rows_are_true_and_columns_predicted():
    report, _ = report_of([0, 0, 1], answers([0, 1, 1], 2), ["a", "b"])
    assert report["confusion_matrix"] == [[1, 1], [0, 1]]


def test_two_classes_take_the_second_as_positive():
    probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.45, 0.55], [0.2, 0.8], [0.7, 0.3]])
    report, _ = report_of([0, 0, 1, 1, 0], probabilities, ["healthy", "ill"])
    first, second = (row["average_precision"] for row in report["per_class"])
    assert report["average_precision"] == second != first
    assert report["auroc"] == report["per_class"][1]["auroc"]
    # Ranked by P(ill): ill, healthy, ill, …: precision 1 at the first, 2/3 at the second
    assert second["value"] == pytest.approx((1 + 2 / 3) / 2)


def test_one_class_present():
    report, undefined = report_of([0, 0, 0], answers([0, 0, 1], 2), ["a", "b"], ordered=True)
    for name in ("auroc", "average_precision", "mcc", *KAPPAS):
        assert report[name] is None
    assert report["accuracy"]["value"] == pytest.approx(2 / 3)
    assert report["balanced_accuracy"]["value"] == pytest.approx(2 / 3)
    assert undefined[0] == (
        "mcc, auroc, average_precision, kappa, linear_kappa, quadratic_kappa are undefined: "
        "only class 'a' occurs in this split"
    )
    absent = report["per_class"][1]
    precision = absent.pop("precision")
    assert precision["value"] == 0  # predicted once, wrongly: that is defined
    assert absent.pop("specificity")["value"] == pytest.approx(2 / 3)
    assert absent == {
        "class_name": "b",
        "images": 0,
        "recall": None,
        "f1": None,
        "auroc": None,
        "average_precision": None,
    }


def test_a_constant_answer_has_no_mcc_and_no_precision_elsewhere():
    report, undefined = report_of([0, 1, 2], answers([1, 1, 1], 3), ["a", "b", "c"], ordered=True)
    assert report["mcc"] is None
    assert report["quadratic_kappa"]["value"] == pytest.approx(0)  # no better than chance: defined
    first, second, third = (row["precision"] for row in report["per_class"])
    assert first is None
    assert third is None
    assert second["value"] == pytest.approx(1 / 3)
    assert [row["f1"]["value"] for row in report["per_class"]] == [0, pytest.approx(0.5), 0]
    assert "mcc is undefined: every image is predicted as 'b'" in undefined
    assert "precision of 'a', 'c' is undefined: no image was predicted as one of them" in undefined


def test_an_absent_class_is_left_out_of_the_averages_and_named():
    report, undefined = report_of([0, 0, 1, 1], answers([0, 0, 1, 0], 3), ["a", "b", "c"])
    assert report["balanced_accuracy"]["value"] == pytest.approx(0.75)
    aurocs = [row["auroc"] for row in report["per_class"]]
    assert aurocs[2] is None
    assert report["auroc"]["value"] == pytest.approx((aurocs[0]["value"] + aurocs[1]["value"]) / 2)
    assert any(
        "of 'c' are undefined: no image" in line and "2 of 3 classes" in line for line in undefined
    )


def test_many_absent_classes_stay_one_line():
    names = [f"kind {index}" for index in range(100)]
    report, undefined = report_of([0, 1, 0], answers([0, 1, 1], 100, sure=0.5), names)
    assert len(report["per_class"]) == 100
    assert any("'kind 2', 'kind 3', 'kind 4' and 95 more" in line for line in undefined)
    assert max(map(len, undefined)) < 200


def test_quadratic_kappa_only_where_the_order_means_something():
    arguments = ([0, 1, 2, 2], answers([0, 1, 2, 1], 3), ["0", "1", "2"])
    report, undefined = report_of(*arguments, ordered=False)
    assert report["quadratic_kappa"] is None
    assert undefined == []  # nobody asked for grades
    report, undefined = report_of(*arguments, ordered=True)
    assert report["quadratic_kappa"]["value"] > 0.5
    assert undefined == []


def test_no_mistake_is_not_certainty():
    targets = np.arange(60) % 3
    report, undefined = report_of(targets, answers(targets, 3), ["a", "b", "c"])
    assert report["accuracy"] == {"value": 1, "low": pytest.approx(60 / 63.841459), "high": 1}
    for row in report["per_class"]:
        recall = {"value": 1, "low": pytest.approx(20 / 23.841459), "high": 1}
        assert row["recall"] == row["precision"] == recall
    # The mean of three recalls is known better than each of them
    lost = (1 - 20 / 23.841459) / math.sqrt(3)
    assert report["balanced_accuracy"]["low"] == pytest.approx(1 - lost)
    assert undefined == ["log_loss has no interval: no resampling changes the value"]


def test_one_image():
    report, undefined = report_of([1], [[0.25, 0.75]], ["a", "b"], ordered=True)
    assert report["images"] == 1
    assert report["accuracy"]["value"] == 1
    assert report["log_loss"] == {
        "value": pytest.approx(-math.log(0.75)),
        "low": None,
        "high": None,
    }
    assert report["ece"]["value"] == pytest.approx(0.25)
    assert "no interval: there is only one image" in " ".join(undefined)


def test_certain_and_wrong_everywhere():
    report, _ = report_of([0, 1], [[0.0, 1.0], [1.0, 0.0]], ["a", "b"])
    assert report["accuracy"]["value"] == 0
    assert report["auroc"]["value"] == 0
    assert report["ece"]["value"] == 1
    assert report["log_loss"]["value"] == pytest.approx(36.0437, abs=1e-3)  # -log(2^-52)


def test_a_hundred_classes_with_one_image_each():
    targets = np.arange(100)
    names = [str(index) for index in targets]
    report, _ = report_of(targets, answers((targets + 1) % 100, 100), names, ordered=True)
    assert report["accuracy"]["value"] == 0
    assert len(report["confusion_matrix"]) == 100


def test_groups_are_counted_for_the_whole_and_for_each_class():
    groups = np.array([0, 0, 1, 1, 2, 2, 3])
    targets = [0, 0, 0, 1, 1, 1, 1]
    report, _ = report_of(targets, answers([0, 0, 1, 1, 1, 0, 1], 2), ["a", "b"], groups=groups)
    assert (report["images"], report["groups"], report["resampled"]) == (7, 4, "group")
    assert [row["images"] for row in report["per_class"]] == [3, 4]
    assert [row["groups"] for row in report["per_class"]] == [2, 3]


def test_one_group_is_told():
    groups = np.zeros(4, int)
    _, undefined = report_of([0, 1, 0, 1], answers([0, 1, 1, 1], 2), ["a", "b"], groups=groups)
    assert undefined == ["log_loss, brier, ece have no interval: there is only one group"]


def test_a_threshold_decides_the_confusions_and_no_ranking():
    targets, probabilities = np.array([0, 0, 1, 1]), answers([0, 0, 0, 1], 2)
    plain, _ = report_of(targets, probabilities, ["a", "b"])
    given, _ = report_of(targets, probabilities, ["a", "b"], predictions=np.array([0, 1, 1, 1]))
    assert plain["accuracy"]["value"] == given["accuracy"]["value"] == 0.75
    assert plain["confusion_matrix"] == [[2, 0], [1, 1]]
    assert given["confusion_matrix"] == [[1, 1], [0, 2]]
    assert plain["auroc"] == given["auroc"]


def test_more_images_narrow_the_interval():
    widths = []
    for images in (40, 400, 4000):
        targets = np.arange(images) % 2
        predictions = np.where(np.arange(images) % 10 == 0, 1 - targets, targets)
        accuracy = report_of(targets, answers(predictions, 2), ["a", "b"])[0]["accuracy"]
        widths.append(accuracy["high"] - accuracy["low"])
    for wide, narrow in pairwise(widths):
        assert 2.5 < wide / narrow < 4  # sqrt(10) = 3.2


def test_an_empty_split_and_a_wrong_number_of_names():
    with pytest.raises(CnncliError, match="split is empty"):
        report_of(np.empty(0, int), np.empty((0, 2)), ["a", "b"])
    with pytest.raises(ValueError, match="3 names for 2 classes"):
        report_of([0], [[1.0, 0.0]], ["a", "b", "c"])
