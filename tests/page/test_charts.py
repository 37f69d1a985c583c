"""The charts: their lines are scikit-learn's curves, and thinning does not change their areas."""

import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from cnncli.evaluation.report import build_report
from cnncli.page.chart import Axis, Chart, Line, axis_of
from cnncli.page.charts import learning_charts, ranking_charts


def draw(images=4000, classes=3):
    rng = np.random.default_rng(1)
    targets = rng.integers(0, classes, images)
    logits = rng.normal(size=(images, classes)) + 1.5 * np.eye(classes)[targets]
    return targets, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def area_as_drawn(chart, line):
    """Return the area under a line by its points in the drawing."""
    left, top, right, bottom = chart.box
    x, y = np.array(chart.points(line)).T
    return np.trapezoid((bottom - y) / (bottom - top), (x - left) / (right - left))


@pytest.mark.parametrize("classes", [2, 3])
def test_the_areas_as_drawn_are_scikit_learns(classes):
    targets, probabilities = draw(classes=classes)
    names = [f"class {number}" for number in range(classes)]
    report, _ = build_report(targets, probabilities, names, split="test", ordered=False)
    roc, recall = ranking_charts(targets, probabilities, names, report)
    drawn = [line for line in roc.lines if line.style is not None]
    assert [line.name for line in drawn] == (names[1:] if classes == 2 else names)
    for line, other in zip(drawn, recall.lines, strict=True):
        index = names.index(line.name)
        truth = targets == index, probabilities[:, index]
        assert area_as_drawn(roc, line) == pytest.approx(roc_auc_score(*truth), abs=2e-3)
        assert area_as_drawn(recall, other) == pytest.approx(
            average_precision_score(*truth), abs=5e-3
        )
        assert len(roc.points(line)) <= 400
        assert f"{roc_auc_score(*truth):.4f}" in line.note


def test_one_class_alone_has_no_curve():
    _, probabilities = draw(20)
    targets = np.zeros(20, int)
    report, _ = build_report(targets, probabilities, list("abc"), split="test", ordered=False)
    assert ranking_charts(targets, probabilities, list("abc"), report) == []


@pytest.mark.parametrize("values", [[0.003, 0.0001], [2.3, 0.01], [5.0], [1234.0, 7.0], [0.0]])
def test_an_axis_holds_its_values_and_has_few_ticks(values):
    axis = axis_of("loss", values, from_zero=True)
    assert axis.low <= min(values)
    assert max(values) <= axis.high
    ticks = axis.ticks()
    assert 2 <= len(ticks) <= 7
    assert axis.low - 1e-9 <= ticks[0] < ticks[-1] <= axis.high + 1e-9


def test_ticks_of_epochs_are_whole():
    for last in (2, 3, 24, 300):
        assert all(tick == int(tick) for tick in Axis("epoch", 1, last, whole=True).ticks())


def test_an_epoch_without_a_loss_leaves_a_gap_and_no_error():
    rows = [
        {"epoch": 0, "val_loss": 1.0},
        {"epoch": 1, "train_loss": math.nan, "val_loss": 0.7, "train_accuracy": 0.5, "lr": 0.1},
        {"epoch": 2, "train_loss": 0.5, "val_loss": 0.6, "train_accuracy": 0.6, "lr": 0.1},
    ]
    loss, _, rate = learning_charts(rows, 2)
    assert [len(loss.points(line)) for line in loss.lines] == [1, 2]
    assert rate.title == "Learning rate"
    assert learning_charts(rows[:1], 0) == []


def test_the_loss_that_decides_has_a_line_where_it_is_another_one():
    rows = [{"epoch": n, "train_loss": 1.0, "val_loss": 1.5, "lr": 0.1} for n in (1, 2)]
    for calibrated, names in (
        ([], ["train", "val"]),  # as in runs of earlier versions
        ([1.5, 1.5], ["train", "val"]),
        ([1.5, 1.1], ["train", "val", "val, calibrated"]),
    ):
        for row, value in zip(rows, calibrated, strict=False):
            row["val_calibrated_loss"] = value
        loss = learning_charts(rows, 2)[0]
        assert [line.name for line in loss.lines] == names
        assert ("Calibrated is" in loss.told) == (len(names) == 3)
    assert list(loss.lines[2].y) == [1.5, 1.1]


def test_one_learning_rate_is_not_called_that_of_the_head():
    rows = [{"epoch": 1, "train_loss": 0.5, "val_loss": 0.6, "train_accuracy": 0.6, "lr": 0.1}]
    told = [learning_charts(rows, 1, one_rate=one)[-1].told for one in (True, False)]
    assert told == [
        f"{whose} learning rate in the first step of each epoch." for whose in ("The", "The head’s")
    ]


def test_counts_of_images_do_not_touch():
    counts = [(0.5, "1.2k"), (0.52, "31k"), (0.54, "7"), (0.9, "950")]
    raised = Chart("", "", Axis("x"), Axis("y"), [], counts=counts).raised_counts()
    assert [text for _, _, text in raised] == [text for _, text in counts]
    for number, (x, y, text) in enumerate(raised):
        for x_before, y_before, before in raised[:number]:
            # At a size of 11, a digit is some 7 units wide and 8 high.
            is_beside = x - x_before >= 7 * (len(text) + len(before)) / 2
            assert is_beside or abs(y - y_before) > 8
    assert raised[0][1] == raised[-1][1]


def test_dots_are_all_drawn():
    line = Line("dots", (0, 0.5, 1), (1, 1, 1), dots=True)
    assert len(Chart("", "", Axis("x"), Axis("y"), [line]).points(line)) == 3
