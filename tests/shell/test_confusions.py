"""What is confused, on a terminal: legible at 80 columns, and no path is ever cut."""

import re

import numpy as np
import pytest
from rich.cells import cell_len

from cnncli.shell.confusions import print_confusions, print_mistakes

LONG = [
    "benign_keratosis_like_lesion_of_the_head",
    "melanoma_in_situ_of_the_trunk",
    *(f"a rare finding with a long name, number {number}" for number in range(6)),
    5 * "\uc591\uc131 \uc885\uc591 ",
    "\u826f\u6027\u80bf\u7624",
]


def report_of(matrix, names):
    return {
        "class_names": list(names),
        "confusion_matrix": np.asarray(matrix).tolist(),
        "images": int(np.sum(matrix)),
    }


@pytest.fixture
def printed(capsys, monkeypatch):
    """Return a function that prints something at a width and returns its lines."""

    def run(function, report, width):
        monkeypatch.setenv("COLUMNS", str(width))
        capsys.readouterr()
        function(report)
        return capsys.readouterr().out.splitlines()

    return run


def test_ten_long_names_are_legible_at_80_columns(printed):
    matrix = np.random.default_rng(0).integers(1, 1000, (10, 10))
    lines = printed(print_confusions, report_of(matrix, LONG), 80)
    assert max(map(cell_len, lines)) <= 80
    assert "rows are true classes, columns predicted ones" in lines[0]
    head = next(line for line in lines if line.startswith("true"))
    assert head.split()[1:] == [str(number) for number in range(1, 11)]
    rows = lines[-10:]
    for number, (line, counts) in enumerate(zip(rows, matrix, strict=True), start=1):
        assert line.split()[0] == str(number)
        assert [int(text) for text in line.split()[-10:]] == counts.tolist()
    assert len({cell_len(line) for line in rows}) == 1  # the columns stand below each other
    assert "\u826f\u6027\u80bf\u7624" in rows[-1]


def test_short_names_head_the_columns_and_none_is_a_dot(printed):
    lines = printed(print_confusions, report_of([[1200, 0], [3, 4]], ["no", "yes"]), 80)
    assert lines[-4].split() == ["true", "no", "yes"]
    assert [line.split() for line in lines[-2:]] == [["no", "1,200", "."], ["yes", "3", "4"]]


def test_too_many_classes_give_the_largest_confusions(printed):
    matrix = np.diag(np.full(60, 8))
    matrix[3, 5], matrix[7, 1] = 2, 24
    names = [f"kind {number}" for number in range(60)]
    lines = printed(print_confusions, report_of(matrix, names), 80)
    assert "60 classes is wider than the 80 columns here" in lines[0]
    assert "--output DIR" in lines[1]
    text = "\n".join(lines)
    assert "The 2 largest of 2 confusions" in text
    assert re.search(r"kind 7 +kind 1 +24 +0\.7500\nkind 3 +kind 5 +2 +0\.2000", text)
    lines = printed(print_confusions, report_of(np.diag(np.full(60, 8)), names), 80)
    assert lines[-1] == "No class is taken for another."


@pytest.mark.parametrize("width", [60, 140])
def test_a_path_is_never_cut(printed, monkeypatch, tmp_path, width):
    monkeypatch.chdir(tmp_path)
    near, far = tmp_path / "data" / "0" / "1.png", f"/{'folder/' * 20}1.png"
    row = {"target": LONG[0], "label": LONG[9], "probability": 0.91}
    report = report_of([[1, 3], [0, 1]], ["a", "b"])
    report["mistakes"] = [
        {**row, "path": "0/1.png", "file": str(near)},
        {**row, "path": "0/2.png", "file": far},
        {**row, "path": "test/0/000012.png", "file": None},
    ]
    lines = printed(print_mistakes, report, width)
    assert lines[1] == "All 3 mistakes, the surest first"
    ends = [line.split()[-1] for line in lines if line]
    assert "data/0/1.png" in ends
    assert far in ends
    assert "test/0/000012.png" in ends
    assert " ".join(lines).endswith("is the place in it, from 0.")
    assert sum("0.9100" in line for line in lines) == 3


def test_no_mistake_is_said(printed):
    report = report_of([[4, 0], [0, 4]], ["a", "b"]) | {"mistakes": []}
    assert printed(print_mistakes, report, 80) == ["", "No mistake among 8 images"]
