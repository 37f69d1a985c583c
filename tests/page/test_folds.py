"""The folds of a cross-validation on the page."""

import math

import pytest

from cnncli.page.charts import MOST_CLASSES
from cnncli.page.folds import fold_charts, fold_table


def history(epochs, start):
    return [
        {"epoch": n, "train_loss": start / n, "val_loss": start, "train_accuracy": 0.5}
        for n in range(1, epochs + 1)
    ]


def test_each_fold_has_a_line_up_to_its_last_epoch():
    charts = fold_charts([history(3, 1.0), history(5, 2.0)])
    assert [chart.title for chart in charts] == [
        "Loss on train",
        "Loss on val",
        "Accuracy on train",
    ]
    first, second = charts[0].lines
    assert (first.name, list(first.x), list(first.y)) == ("fold 1", [1, 2, 3], [1, 1 / 2, 1 / 3])
    assert (second.name, list(second.x)) == ("fold 2", [1, 2, 3, 4, 5])
    assert (charts[0].x.low, charts[0].x.high) == (1, 5)
    assert charts[0].y.high >= 2


def test_a_fold_without_rows_has_no_line_in_the_legend():
    lines = fold_charts([history(2, 1.0), [], history(2, 1.0)])[0].lines
    assert [line.name for line in lines] == ["fold 1", "fold 3"]


def test_of_many_folds_the_mean_has_the_name():
    """It is over the folds that have the epoch."""
    folds = [history(2, 1.0)] * MOST_CLASSES + [history(3, 10.0)]
    lines = fold_charts(folds)[1].lines
    assert [line.name for line in lines] == [*[""] * (MOST_CLASSES + 1), "mean of the folds"]
    assert list(lines[-1].y) == pytest.approx([(MOST_CLASSES + 10) / (MOST_CLASSES + 1)] * 2 + [10])


def test_without_an_epoch_there_is_no_chart():
    assert fold_charts([[], []]) == []
    nothing = [{"epoch": 1, "train_loss": math.nan}]
    assert fold_charts([nothing, nothing]) == []


def test_the_table_says_what_is_undefined():
    rows = fold_table(
        [
            {"fold": "1", "images": 1200, "best_epoch": 3, "auroc": None},
            {"fold": "sd", "images": None, "best_epoch": None, "auroc": 0.25},
        ]
    )
    assert [list(row.values()) for row in rows] == [
        ["fold 1", "1,200", "3", "undefined"],
        ["standard deviation", "", "", "0.2500"],
    ]
