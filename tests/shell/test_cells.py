"""Texts cut and wrapped by the cells that they take."""

import pytest
from rich.cells import cell_len

from cnncli.shell.cells import cut_middle, cut_path, format_cells, wrap_words


@pytest.mark.parametrize(
    ("text", "width", "cut"),
    [
        ("resnet18", 8, "resnet18"),
        ("resnet18_cifar", 8, "resn…far"),
        ("日本語の画像", 8, "日本…像"),
        ("e\u0301" * 9, 5, "e\u0301e\u0301…e\u0301e\u0301"),
        ("👩‍⚕️" * 8, 5, None),
    ],
)
def test_names_are_cut_in_their_middle(text, width, cut):
    got = cut_middle(text, width)
    assert cell_len(got) <= width
    assert cut is None or got == cut
    assert not got.startswith("\u0301")


@pytest.mark.parametrize(
    ("path", "width", "cut"),
    [
        ("data/cats/img_0042.png", 22, "data/cats/img_0042.png"),
        ("data/cats/img_0042.png", 20, "data/…/img_0042.png"),
        ("data/cats/img_0042.png", 15, "…/img_0042.png"),
        ("data/cats/img_0042.png", 10, "img_0….png"),
        ("/home/ana/data/img_0042.png", 19, "/…/img_0042.png"),
        ("/home/ana/data/img_0042.png", 22, "/home/…/img_0042.png"),
        ("runs/of/this/week/", 12, "runs/…/week/"),
        ("img_0042_of_the_ward.png", 12, "img_00…d.png"),
        ("Covid-19/03BF7561-A9BA-4C3C-B8A0.jpeg", 24, "Covid-19/03BF756…A0.jpeg"),
        ("xray/Covid-19/03BF7561-A9BA-4C3C-B8A0.jpeg", 24, "…/Covid-19/03BF75…0.jpeg"),
    ],
)
def test_paths_lose_folders_first(path, width, cut):
    assert cut_path(path, width) == cut


def test_words_wrap_by_cells_and_long_ones_stay_whole():
    assert wrap_words("日本 日本 日本", 9, indent="  ") == ["日本 日本", "  日本"]
    assert wrap_words("see /a/very/long/path now", 10) == ["see", "/a/very/long/path", "now"]
    assert wrap_words("  a  b\nc", 10) == ["  a  b", "c"]


def test_figures_of_a_column_have_as_many_decimals():
    assert format_cells([1.0312, 0.8988, 1.2]) == ["1.0312", "0.8988", "1.2000"]
    assert format_cells([1.36, 120.5, 0.0, 3, None]) == ["1.36", "120.50", "0.00", "3", ""]
    assert format_cells([0.000271, 0.0030], rounded=True) == ["0.0003", "0.0030"]
    assert format_cells([0.000271, 0.0030]) == ["0.000271", "0.0030"]  # a rate of learning
