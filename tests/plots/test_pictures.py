"""Plots: written whole, whatever the classes are called and however short the history is."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnncli.plots import confusion_matrix, curves, lettering
from cnncli.plots.confusion_matrix import save_confusion_matrix
from cnncli.plots.curves import save_curves
from cnncli.plots.lettering import drawable_names

ROW = {
    "epoch": 1,
    "train_loss": 1.2,
    "val_loss": 1.3,
    "train_accuracy": 0.5,
    "val_accuracy": 0.4,
    "val_macro_f1": 0.35,
    "lr": 1e-3,
}


@pytest.fixture
def figures(monkeypatch):
    """Collect the figures that are saved, to look at what stands in them."""
    seen = []
    save = confusion_matrix.save_figure

    def keep(figure, path):
        seen.append(figure)
        save(figure, path)

    for module in (confusion_matrix, curves):
        monkeypatch.setattr(module, "save_figure", keep)
    return seen


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        image.load()
        assert image.format == "PNG"
        return image.size


def dark(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("L")) < 128


@pytest.mark.parametrize("num_classes", [2, 10, 100])
def test_a_cell_keeps_room_for_its_text(tmp_path, figures, num_classes):
    matrix = np.diag(np.arange(1, num_classes + 1))
    path = tmp_path / "confusion_matrix.png"
    save_confusion_matrix(path, matrix, [f"class {index}" for index in range(num_classes)])
    width, height = size_of(path)
    assert 300 < height < width < 5000
    (figure,) = figures
    axes = figure.axes[0]
    cell = axes.get_window_extent().width / num_classes
    renderer = figure.canvas.get_renderer()
    written = {text.get_text(): text for text in axes.texts}
    assert (f"{num_classes}\n100.0 %" if num_classes <= 30 else f"{num_classes}") in written
    for text in written.values():
        assert text.get_fontsize() >= 5
        assert text.get_window_extent(renderer).width < cell
    labels = axes.get_yticklabels()
    assert [label.get_text() for label in labels] == [f"class {i}" for i in range(num_classes)]
    assert min(label.get_fontsize() for label in labels) >= 6


def test_rows_are_true_columns_predicted_and_percentages_by_row(tmp_path, figures):
    save_confusion_matrix(tmp_path / "a.png", [[3, 1], [0, 4]], ["ants", "bees"])
    axes = figures[0].axes[0]
    at = {text.get_position(): text.get_text() for text in axes.texts}  # (column, row)
    assert at == {(0, 0): "3\n75.0 %", (1, 0): "1\n25.0 %", (0, 1): "0", (1, 1): "4\n100.0 %"}
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")
    assert axes.get_title() == "Confusion matrix, 8 images"


def test_a_class_without_images_has_a_grey_row_and_no_percentage(tmp_path, figures):
    save_confusion_matrix(tmp_path / "a.png", [[3, 1], [0, 0]], ["ants", "bees"])
    assert {text.get_position()[1] for text in figures[0].axes[0].texts} == {0}


def test_long_names_are_not_cut_off_at_the_edge(tmp_path):
    names = ["W" * 200, "a name of many words that goes on and on"]
    path = tmp_path / "a.png"
    save_confusion_matrix(path, [[3, 1], [0, 4]], names)
    edge = dark(path)
    edge[3:-3, 3:-3] = False
    assert not edge.any()
    save_confusion_matrix(path, [[3, 1], [0, 4]], ["a", "b"])
    assert dark(path).any()  # there is ink to find


def test_many_more_classes_keep_the_picture_bounded(tmp_path, figures):
    names = [f"n{index:05d}" for index in range(130)]
    save_confusion_matrix(tmp_path / "a.png", np.eye(130, dtype=int), names)
    assert max(size_of(tmp_path / "a.png")) < 5000
    axes = figures[0].axes[0]
    assert not axes.texts
    assert len(axes.get_yticklabels()) == 65  # every second


def test_names_are_never_read_as_formulas_or_lines(tmp_path, figures):
    names = ["$x^2$", "cost $5", "$\\frac{", "two\nlines", "under_score", ""]
    save_confusion_matrix(tmp_path / "a.png", np.eye(6, dtype=int), names)
    labels = figures[0].axes[0].get_yticklabels()
    assert [label.get_text() for label in labels] == [
        *names[:3],
        "two·lines",
        "under_score",
        "",
    ]
    assert not any(label.get_parse_math() for label in labels)


def test_a_name_no_font_can_draw_is_numbered_and_said_so(tmp_path, figures, monkeypatch):
    monkeypatch.setattr(lettering, "WIDE_FONTS", ())
    for cached in (lettering.installed_families, lettering._drawable_code_points):
        cached.cache_clear()
    try:
        save_confusion_matrix(tmp_path / "a.png", np.eye(3, dtype=int), ["폐렴", "Größe", "正常"])
    finally:
        for cached in (lettering.installed_families, lettering._drawable_code_points):
            cached.cache_clear()
    axes = figures[0].axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["class 0", "Größe", "class 2"]
    assert "draw 2 of the names" in axes.get_xlabel()


def test_names_of_this_machine_draw_without_a_warning_or_a_log_line(tmp_path, caplog):
    names = ["폐렴", "正常", "かぜ", "حديد", "Грипп", "🦋", "a\u0301"]
    save_confusion_matrix(tmp_path / "a.png", np.eye(7, dtype=int), names)  # warnings are errors
    assert size_of(tmp_path / "a.png")
    assert not caplog.records


def test_a_letter_that_an_installed_family_has_is_kept(monkeypatch):
    monkeypatch.setattr(lettering, "_drawable_code_points", lambda: frozenset(map(ord, "폐렴")))
    assert drawable_names(["폐렴", "폐x"], 32) == (["폐렴", "class 1"], 1)


def test_a_long_name_keeps_both_ends():
    (name,), missing = drawable_names(["left_lung_with_a_very_long_name_0001"], 15)
    assert (name, missing) == ("left_lu…me_0001", 0)
    assert drawable_names(["exactly fifteen"], 15) == (["exactly fifteen"], 0)


def test_a_matrix_that_does_not_fit_its_names_is_a_bug(tmp_path):
    with pytest.raises(ValueError, match="2 names"):
        save_confusion_matrix(tmp_path / "a.png", np.eye(3, dtype=int), ["a", "b"])


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
    assert set(lines) == {"train", "val", "best epoch: 7"}
    assert set(lines["best epoch: 7"].get_xdata()) == {7}
    np.testing.assert_allclose(lines["val"].get_ydata(), [2 / epoch for epoch in range(1, 13)])
    assert {line.get_label() for line in right.lines} == {
        "train accuracy",
        "val accuracy",
        "val macro F1",
        "best epoch: 7",
    }


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


def test_a_history_without_a_single_value_is_still_a_picture(tmp_path):
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


def test_a_picture_replaces_another_and_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "curves.png"
    path.write_bytes(b"old")
    save_curves(path, history(2))
    assert [entry.name for entry in tmp_path.iterdir()] == ["curves.png"]
    assert size_of(path)


def test_a_failure_keeps_the_old_picture_and_cleans_up(tmp_path, monkeypatch):
    path = tmp_path / "curves.png"
    path.write_bytes(b"old")

    def full_disk(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save_curves(path, history(2))
    assert [entry.name for entry in tmp_path.iterdir()] == ["curves.png"]
    assert path.read_bytes() == b"old"


def test_pictures_of_several_threads_do_not_mix(tmp_path):
    save_curves(tmp_path / "alone.png", history(5), best_epoch=2)
    threads = [
        threading.Thread(
            target=save_curves,
            args=(tmp_path / f"{index}.png", history(5)),
            kwargs={"best_epoch": 2},
        )
        for index in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    alone = (tmp_path / "alone.png").read_bytes()
    assert all((tmp_path / f"{index}.png").read_bytes() == alone for index in range(4))


def test_heavy_libraries_wait_and_pyplot_never_comes(tmp_path):
    script = (
        "import sys\n"
        "import cnncli.evaluation.report, cnncli.plots.confusion_matrix\n"
        "early = {'sklearn', 'matplotlib', 'pandas', 'torch', 'cv2'} & set(sys.modules)\n"
        "assert not early, early\n"
        "from pathlib import Path\n"
        "cnncli.plots.confusion_matrix.save_confusion_matrix("
        "Path(sys.argv[1]), [[1, 0], [0, 1]], 'ab')\n"
        "assert 'matplotlib.figure' in sys.modules\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    arguments = [sys.executable, "-c", script, str(tmp_path / "a.png")]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
