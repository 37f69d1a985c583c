"""Which image an id means, and what the columns of a sample hold."""

import csv
from pathlib import Path

import pytest

from cnncli.data.submission import choose_answers, match_ids, read_sample, save_submission
from cnncli.errors import CnncliError

FLAG = "--sample-submission"


def sample_of(tmp_path, text, id_col=None):
    path = tmp_path / "sample.csv"
    path.write_bytes(text.encode())
    return read_sample(path, FLAG, id_col)


@pytest.mark.parametrize(
    ("name", "paths", "found"),
    [
        ("7", ["a/7.png", "a/17.png"], 0),
        ("7.png", ["a/7.png"], 0),
        ("7.PNG", ["a/7.png"], 0),
        ("7.png", ["a/7.JPG", "a/7.png"], 1),
        ("7.jpg", ["a/7.png", "x.png"], None),
        ("a.b", ["a.b.tif", "a.tif"], 0),
        ("test/7", ["data/train/7.png", "data/test/7.png"], 1),
        ("test/7.png", ["data/train/7.png", "data/test/7.PNG"], 1),
        ("test\\7.png", ["data/test/7.png"], 0),
        ("u\u0308ber", ["\u00fcber.png"], 0),
        ("\u00fcber", ["u\u0308ber.png"], 0),
        ("07", ["7.png", "x.png"], None),
    ],
)
def test_the_image_of_an_id(tmp_path, name, paths, found):
    """With another id that has an image, since a sample without any is refused."""
    sample = sample_of(tmp_path, f"id,label\n{name},\nother,\n")
    assert match_ids(sample, FLAG, [*paths, "other.png"]) == [found, len(paths)]


def test_ids_that_mean_two_images_or_one_twice(tmp_path):
    with pytest.raises(CnncliError, match=r"id '7' is ambiguous: a/7\.png, b/7\.png"):
        match_ids(sample_of(tmp_path, "id,x\n7,\n"), FLAG, ["a/7.png", "b/7.png"])
    with pytest.raises(CnncliError, match=r"ids '7' and '7.png' are both a/7.png"):
        match_ids(sample_of(tmp_path, "id,x\n7,\n7.png,\n"), FLAG, ["a/7.png"])


@pytest.mark.parametrize(
    ("text", "classes", "written"),
    [
        ("id,label\na,cat\n", ["cat", "dog"], "dog"),
        ("id,label\na,\n", ["cat", "dog"], "dog"),
        ("id,label\na,0\n", ["cat", "dog"], "1"),
        ("id,label\na,0.5\n", ["cat", "dog"], "0.700000"),
        ("id,label\na,1e-3\n", ["cat", "dog"], "0.700000"),
        ("id,dog\na,0\n", ["cat", "dog"], "0.700000"),
        ("id,cat\na,0\n", ["cat", "dog"], "0.300000"),
        ("id,level\na,0\n", ["1", "2"], "2"),
        ("id,level\na,1.0\n", ["0", "1"], "1"),
        ("id,level\na,0.5\n", ["0", "1"], "0.700000"),
    ],
)
def test_what_a_single_column_gets(tmp_path, text, classes, written):
    sample = sample_of(tmp_path, text)
    answers = choose_answers(sample, FLAG, classes)
    answers.fill(sample.rows[0], classes[1], {classes[0]: 0.3, classes[1]: 0.7})
    assert sample.rows == [["a", written]]
    answers.clear(sample.rows[0])
    assert sample.rows == [["a", ""]]


@pytest.mark.parametrize(
    "text",
    ["id,label\na,0.5\n", "id,label\na,bird\n", "id,label\na,-1\n", "id,cat\na,0.2\n"],
)
def test_what_no_column_of_three_classes_can_be(tmp_path, text):
    with pytest.raises(CnncliError, match="is no class"):
        choose_answers(sample_of(tmp_path, text), FLAG, ["cat", "dog", "eel"])


@pytest.mark.parametrize(
    ("header", "id_col", "place"),
    [
        ("label,id", None, 1),
        ("Id,Predicted", None, 0),
        ("ImageId,Label", None, 0),
        ("case,scan,label", "scan", 1),
    ],
)
def test_the_column_of_ids(tmp_path, header, id_col, place):
    row = ",".join(["a"] * (header.count(",") + 1))
    assert sample_of(tmp_path, f"{header}\n{row}\n", id_col).id_place == place


def test_excels_files_are_read_and_written_with_their_separator(tmp_path):
    sample = sample_of(tmp_path, "\ufeffid;label\r\n 1 ;a;b\r\n".replace("a;b", '"a;b"'))
    assert sample.rows == [["1", "a;b"]]
    save_submission(tmp_path / "out.csv", sample)
    with Path(tmp_path / "out.csv").open(newline="") as file:
        assert list(csv.reader(file, delimiter=";")) == [["id", "label"], ["1", "a;b"]]
