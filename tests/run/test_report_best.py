"""What a run keeps of its best epoch: the predictions of test and val."""

import csv
import json

import pytest
from helpers import train, write_digits


def read_rows(path):
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def names_of(run, split):
    return [row["path"] for row in read_rows(run / "splits.csv") if row["split"] == split]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    write_digits(root, per_class=12)
    return root


def test_predictions_are_those_of_an_evaluation(cli, data, tmp_path):
    run = train(tmp_path / "runs", data=str(data), epochs=1)
    kept = read_rows(run / "predictions.csv")
    assert [row["path"] for row in kept] == names_of(run, "test")
    right = sum(row["label"] == row["target"] for row in kept)
    report = json.loads((run / "report.json").read_text())
    assert right / len(kept) == pytest.approx(report["accuracy"]["value"])
    said = cli("evaluate", "--checkpoint", run, "--split", "val", "--output", tmp_path / "val")
    assert said.code == 0, said.err
    val = read_rows(run / "val_predictions.csv")
    assert [row["path"] for row in val] == names_of(run, "val")
    assert val == read_rows(tmp_path / "val" / "predictions.csv")


def test_without_a_test_split_they_are_of_val(data, tmp_path):
    run = train(tmp_path / "runs", data=str(data), epochs=1, test_fraction=0)
    assert [row["path"] for row in read_rows(run / "predictions.csv")] == names_of(run, "val")
    assert not (run / "val_predictions.csv").exists()


def test_very_many_probabilities_are_not_written(data, tmp_path, monkeypatch):
    monkeypatch.setattr("cnncli.run.report_best._MOST_VALUES", 10)
    run = train(tmp_path / "runs", data=str(data), epochs=1)
    assert (run / "report.json").exists()
    assert not list(run.glob("*predictions.csv"))


def test_a_val_image_that_is_lost_at_the_end_has_no_row(data, tmp_path, monkeypatch):
    """The report is of test, which is whole."""
    monkeypatch.setattr("cnncli.run.opened_images.fits_in_memory", lambda *a: False)
    run = train(tmp_path / "first", data=str(data), epochs=1)
    lost = names_of(run, "val")[1]
    whole = (data / lost).read_bytes()
    from cnncli.run import report_best

    predict = report_best._predict

    def lose(run, split, *rest):
        if split == 1:
            (data / lost).write_bytes(b"")
        return predict(run, split, *rest)

    monkeypatch.setattr(report_best, "_predict", lose)
    try:
        again = train(tmp_path / "again", data=str(data), epochs=1)
    finally:
        (data / lost).write_bytes(whole)
    kept = [row["path"] for row in read_rows(again / "val_predictions.csv")]
    assert kept == [name for name in names_of(run, "val") if name != lost]
    assert (again / "report.json").read_bytes() == (run / "report.json").read_bytes()
