"""Names with any character that a file may have are read back as they were from every table."""

import csv
import os
import sys

import numpy as np
import pytest
from helpers import find_below, train, write_digits

from cnncli.data.samples import NO_SPLIT
from cnncli.data.split_match import apply_split_file
from cnncli.files import open_csv_writer
from cnncli.run.predictions import read_predictions
from cnncli.run.save_evaluation import save_predictions

ODD = ["a\rb", "\r", "a\r", "\ra", "a\r\nb", "a\nb", 'a"b', "a,b", " a ", "", "a;\tb", "'"]


def read(path):
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        return list(csv.reader(file, strict=True))


def test_a_table_is_read_back_as_it_was(tmp_path):
    rows = [[one, other, "x"] for one in ODD for other in ODD]
    with open_csv_writer(tmp_path / "t.csv") as writer:
        writer.writerow(ODD)
        writer.writerows(rows)
    assert read(tmp_path / "t.csv") == [ODD, *rows]


def test_a_plain_table_is_as_it_was(tmp_path):
    rows = [["path", "n"], ["a b.png", 1], ['say "a"', 2.5], ["a,b", ""]]
    with open_csv_writer(tmp_path / "new.csv") as writer:
        writer.writerows(rows)
    with (tmp_path / "old.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    assert (tmp_path / "new.csv").read_bytes() == (tmp_path / "old.csv").read_bytes()


def test_bytes_that_are_no_text_are_kept(tmp_path):
    name = os.fsdecode(b"\xe9.png")
    with open_csv_writer(tmp_path / "t.csv") as writer:
        writer.writerow([name])
    assert read(tmp_path / "t.csv") == [[name]]


@pytest.mark.skipif(sys.platform == "win32", reason="no file may be called so")
def test_a_carriage_return_goes_through_a_run(cli, tmp_path):
    root = tmp_path / "d"
    paths = write_digits(root, classes=("0", "1"), names=("a\rb", "c\r\nd"), per_class=20)
    for path in paths:
        path.rename(path.with_name(f"{path.stem}\r.png"))
    (root / "a\rb" / "bad\r.png").write_bytes(b"")
    run = train(tmp_path / "runs", data=str(root), on_bad_image="skip")
    samples = find_below(root)
    header, *rows = read(run / "splits.csv")
    found = {row[0]: row[1] for row in rows}
    assert len(header) == 6
    assert len(rows) == 40
    assert set(found) | {"a\rb/bad\r.png"} == set(samples.paths.tolist())
    assert set(found.values()) == {"a\rb", "c\r\nd"}
    assert [row[0] for row in read(run / "bad_images.csv")] == ["path", "a\rb/bad\r.png"]

    given = apply_split_file(samples, str(run), None, threads=1)
    assert (given.splits == NO_SPLIT).sum() == 1
    assert given.notes == ()

    said = cli("evaluate", root, "--checkpoint", run, "--split", "all", "--output", tmp_path / "e")
    assert said.code == 0, said.err
    header, *rows = read(tmp_path / "e" / "predictions.csv")
    assert header[4:] == ["probability_a\rb", "probability_c\r\nd", "file"]
    assert {row[0]: row[1] for row in rows} == found
    matrix = read(tmp_path / "e" / "confusion_matrix.csv")
    assert [row[0] for row in matrix] == matrix[0] == ["target", "a\rb", "c\r\nd"]


def test_a_label_names_its_column_where_no_cell_may_be_a_formula(tmp_path):
    write_digits(tmp_path / "d", classes=("0", "1", "2"), names=("-1", "+", "b"), per_class=2)
    samples = find_below(tmp_path / "d")
    probabilities = np.eye(3)[samples.targets] * 0.7 + 0.1
    folds = np.ones(len(samples), int)
    path = tmp_path / "predictions.csv"
    save_predictions(path, samples, probabilities, csv_safe=True, folds=folds)
    header, *rows = read(path)
    for row in rows:
        values = dict(zip(header, row, strict=True))
        assert values["label"] == values["target"] in {"'-1", "'+", "b"}
        assert values["probability"] == values[f"probability_{values['label']}"] == "0.800000"
    # So those who read it find every class.
    found = read_predictions(path)
    assert found.number(found.targets).tolist() == samples.targets.tolist()
    assert found.probabilities == pytest.approx(probabilities)


def test_half_a_character_is_no_label(cli, tmp_path):
    labels = np.array(["a", "\ud83d"] * 4)
    np.savez(tmp_path / "set.npz", images=np.zeros((8, 8, 8), np.uint8), labels=labels)
    said = cli("train", tmp_path / "set.npz", "--model", "lenet5")
    assert said.code == 2
    assert r"hold '\ud83d', which is no text" in said.error
