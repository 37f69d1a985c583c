"""The surest mistakes: which they are, where their files lie, and their picture."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers import find_below, write_digits
from PIL import Image

from cnncli.data.samples import select_samples
from cnncli.images.preprocess import Preprocess
from cnncli.reporting import SilentReporter
from cnncli.run.mistakes import draw_mistakes, file_of, list_mistakes

GREY = Preprocess(8, 8, channels=1, mean=(0.5,), std=(0.5,))


class Notes(SilentReporter):
    def __init__(self):
        self.lines = []

    def note(self, text):
        self.lines.append(text)

    def warn(self, text):
        self.lines.append(text)


@pytest.fixture
def digits(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_digits("data", per_class=4)
    return find_below("data")


def answers(samples, seed=0):
    values = np.random.default_rng(seed).random((len(samples), len(samples.class_names)))
    return values / values.sum(axis=1, keepdims=True)


def test_they_are_those_of_a_plain_loop(digits):
    probabilities = answers(digits)
    expected = []
    for path, target, row in zip(digits.paths, digits.targets, probabilities, strict=True):
        if row.argmax() != target:
            expected.append((-row.max(), str(path), str(target), str(row.argmax())))
    expected.sort(key=lambda one: one[0])
    rows = list_mistakes(digits, probabilities, 5)
    assert [(r["path"], r["target"], r["label"]) for r in rows] == [e[1:] for e in expected[:5]]
    assert [r["probability"] for r in rows] == [round(-e[0], 6) for e in expected[:5]]
    for row in rows:
        assert Path(row["file"]).is_absolute()
        assert Path(row["file"]).read_bytes() == (Path("data") / row["path"]).read_bytes()


def test_a_file_is_found_behind_selections_and_an_array_has_none(digits):
    chosen = select_samples(select_samples(digits, np.array([5, 7, 2])), np.array([1]))
    assert file_of(chosen, 0) == str(Path("data").resolve() / str(digits.paths[7]))
    assert file_of(find_below("digits"), 3) is None


def test_several_files_are_joined(digits):
    pairs = zip(digits.paths, reversed(digits.paths), strict=True)
    lines = ["a,b,label", *(f"data/{one},data/{other},{one[0]}" for one, other in pairs)]
    Path("table.csv").write_text("\n".join(lines) + "\n")
    samples = find_below("table.csv", image="a,b")
    wanted = [str(Path("data", str(digits.paths[number])).resolve()) for number in (2, -3)]
    assert file_of(samples, 2).split("|") == wanted


def test_the_picture_has_a_tile_for_each_mistake(digits, tmp_path):
    deep = np.linspace(0, 65535, 400).astype(np.uint16).reshape(20, 20)
    for path in digits.paths[:3]:
        assert cv2.imwrite(f"data/{path}", deep)
    Path("data", str(digits.paths[3])).write_bytes(b"no image any more")
    probabilities = np.full((len(digits), 3), 0.1)
    probabilities[np.arange(len(digits)), (digits.targets + 1) % 3] = 0.8
    notes = Notes()
    path = tmp_path / "wrong.png"
    draw_mistakes(path, digits, probabilities, GREY, notes, count=10, split="test")
    assert any(line.startswith(f"{digits.paths[3]}: ") for line in notes.lines)
    assert notes.lines[-1] == f"mistakes drawn: {path}"
    whole = np.asarray(Image.open(path).convert("L"))
    draw_mistakes(path, digits, probabilities, GREY, notes, count=6, split="test")
    one_row = np.asarray(Image.open(path).convert("L"))
    assert whole.shape[0] > 1.7 * one_row.shape[0]  # nine tiles are two rows of five
    assert whole.shape[1] == pytest.approx(one_row.shape[1], abs=40)
    assert len(np.unique(one_row)) > 60  # the grey of sixteen bits is there
    assert whole[0, 0] == 255


def test_nothing_is_written_where_nothing_is_wrong(digits, tmp_path):
    notes = Notes()
    sure = np.eye(3)[digits.targets]
    path = tmp_path / "wrong.png"
    draw_mistakes(path, digits, sure, GREY, notes, count=5, split="test")
    assert notes.lines == [f"no mistake to draw: {path} is not written"]
    assert not path.exists()
