"""The confusion matrix: every cell and label is legible, whatever the classes are called."""

import numpy as np
import pytest
from PIL import Image

from cnncli.plots import confusion_matrix, lettering
from cnncli.plots.confusion_matrix import save_confusion_matrix


def dark(path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("L")) < 128


@pytest.mark.parametrize("num_classes", [2, 10, 100])
def test_a_cell_keeps_room_for_its_text(tmp_path, figures, num_classes, size_of):
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


def test_many_more_classes_keep_the_picture_bounded(tmp_path, figures, size_of):
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


def test_names_of_this_machine_draw_without_a_warning_or_a_log_line(tmp_path, caplog, size_of):
    names = ["폐렴", "正常", "かぜ", "حديد", "Грипп", "🦋", "a\u0301"]
    save_confusion_matrix(tmp_path / "a.png", np.eye(7, dtype=int), names)  # warnings are errors
    assert size_of(tmp_path / "a.png")
    assert not caplog.records


def test_a_matrix_that_does_not_fit_its_names_is_a_bug(tmp_path):
    with pytest.raises(ValueError, match="2 names"):
        save_confusion_matrix(tmp_path / "a.png", np.eye(3, dtype=int), ["a", "b"])


def test_of_thousands_of_classes_no_mistake_is_left_out(tmp_path, monkeypatch):
    """Cells are drawn in blocks, each with the colour of its largest; 3 × 3 classes here."""
    monkeypatch.setattr(confusion_matrix, "CELLS_UP_TO", 3)
    shares = np.zeros((7, 7))
    shares[6, 0] = shares[1, 5] = 1.0
    shares[2] = np.nan  # a class without images
    expected = np.zeros((3, 3))
    expected[2, 0] = expected[0, 1] = 1.0
    np.testing.assert_array_equal(confusion_matrix._pool(shares), expected)
    shares[:3] = np.nan
    assert np.isnan(confusion_matrix._pool(shares)[0]).all()
    np.testing.assert_array_equal(confusion_matrix._pool(shares[3:6, 3:6]), shares[3:6, 3:6])
