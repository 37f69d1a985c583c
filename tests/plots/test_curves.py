"""The learning curves: gaps, single points and the best epoch, however short the history is."""

import numpy as np
import pytest

from cnncli.plots.curves import save_curves

ROW = {
    "epoch": 1,
    "train_loss": 1.2,
    "val_loss": 1.3,
    "train_accuracy": 0.5,
    "val_accuracy": 0.4,
    "val_macro_f1": 0.35,
    "lr": 1e-3,
}


def history(epochs: int) -> list[dict]:
    return [
        {**ROW, "epoch": epoch, "val_loss": 2 / epoch, "train_loss": 1.5 / epoch}
        for epoch in range(1, epochs + 1)
    ]


def test_curves_are_titled_labelled_and_mark_the_best_epoch(tmp_path, figures):
    save_curves(tmp_path / "curves.png", history(12), best_epoch=7)
    left, right = figures[0].axes
    assert (left.get_title(), right.get_title()) == ("Loss", "Accuracy and macro F1")
    assert "nats" in left.get_ylabel()
    assert "fraction" in right.get_ylabel()
    assert left.get_xlabel() == right.get_xlabel() == "epoch"
    lines = {line.get_label(): line for line in left.lines}
    assert set(lines) == {"train", "val", "kept epoch: 7"}
    assert set(lines["kept epoch: 7"].get_xdata()) == {7}
    np.testing.assert_allclose(lines["val"].get_ydata(), [2 / epoch for epoch in range(1, 13)])
    assert {line.get_label() for line in right.lines} == {
        "train accuracy",
        "val accuracy",
        "val macro F1",
        "kept epoch: 7",
    }


def test_the_loss_that_decides_is_drawn_where_it_is_another_one(tmp_path, figures):
    rows = [{**row, "val_calibrated_loss": row["val_loss"]} for row in history(5)]
    save_curves(tmp_path / "same.png", rows)
    rows[3]["val_calibrated_loss"] = 0.25
    save_curves(tmp_path / "curves.png", rows, best_epoch=4)
    same, left = (figure.axes[0] for figure in figures)
    assert {line.get_label() for line in same.lines} == {"train", "val"}
    drawn = {line.get_label(): line.get_ydata() for line in left.lines}
    np.testing.assert_allclose(drawn["val, calibrated"], [2, 1, 2 / 3, 0.25, 0.4])


@pytest.mark.parametrize("best_epoch", [None, 1])
def test_one_epoch_is_points_inside_the_axes(tmp_path, figures, best_epoch):
    save_curves(tmp_path / "curves.png", [ROW], best_epoch=best_epoch)
    for axes in figures[0].axes:
        low, high = axes.get_ylim()
        for line in axes.lines[:2]:
            assert line.get_marker() == "o"
            assert low < line.get_ydata()[0] < high
        inside = [tick for tick in axes.get_xticks() if 0.5 <= tick <= 1.5]
        assert inside == [1]
        assert len(axes.lines) - ("loss" not in axes.get_ylabel()) == 2 + (best_epoch is not None)


def test_missing_values_are_gaps_and_a_lone_point_is_seen(tmp_path, figures):
    rows = history(40)
    rows[3]["val_loss"] = None
    rows[5]["val_loss"] = ""
    rows[9]["val_loss"] = float("nan")
    rows[10]["val_loss"] = float("inf")
    del rows[11]["val_loss"]
    rows[20]["val_loss"] = "0.25"  # as csv reads it
    for row in rows:
        row["val_macro_f1"] = None
    save_curves(tmp_path / "curves.png", rows)
    left, right = figures[0].axes
    val = next(line for line in left.lines if line.get_label() == "val")
    assert np.flatnonzero(np.isnan(val.get_ydata())).tolist() == [3, 5, 9, 10, 11]
    assert val.get_markevery() == [4]  # epoch 5 stands between two gaps
    assert val.get_ydata()[20] == 0.25
    assert "val macro F1" not in {line.get_label() for line in right.lines}


def test_a_history_without_a_single_value_is_still_a_picture(tmp_path, size_of):
    save_curves(tmp_path / "curves.png", [{"epoch": 1}, {"epoch": 2}])
    assert size_of(tmp_path / "curves.png")
    with pytest.raises(ValueError, match="no epoch"):
        save_curves(tmp_path / "none.png", [])


def test_the_accuracy_axis_never_passes_one(tmp_path, figures):
    rows = [{**row, "val_accuracy": 0.97, "train_accuracy": 1.0} for row in history(3)]
    save_curves(tmp_path / "curves.png", rows)
    right = figures[0].axes[1]
    assert max(right.get_yticks()) <= 1 + 1e-9
    assert len(right.get_yticks()) >= 3
    assert right.get_ylim()[1] > 1  # a line at 1 is not cut in half
