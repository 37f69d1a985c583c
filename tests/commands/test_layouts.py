"""Layouts of data through the commands: all of them understand a layout in the same way."""

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
from helpers import write_digits

QUICK = ("--model", "lenet5", "--epochs", "1", "--device", "cpu", "--precision", "fp32")


@pytest.fixture
def brain(tmp_path, monkeypatch):
    """Return a folder with Training/ and Testing/, and folders of systems beside them."""
    monkeypatch.chdir(tmp_path)
    write_digits("brain/Training", per_class=12)
    write_digits("brain/Testing", per_class=5, start=20)
    Path("brain/__MACOSX").mkdir()
    Path("brain/@eaDir").mkdir()
    os.link(next(Path("brain/Training/0").iterdir()), "brain/@eaDir/thumb.png")
    return Path("brain")


def test_every_command_understands_splits(cli, brain):
    told = "the folders are splits, not classes: Training is train, Testing is test"
    split = cli("split", brain)
    assert (split.code, told in split.err) == (0, True)
    with Path(split.out.strip()).open() as file:
        rows = list(csv.DictReader(file))
    assert {row["label"] for row in rows} == {"0", "1", "2"}
    assert {row["split"] for row in rows if row["path"].startswith("Testing/")} == {"test"}
    assert len(rows) == 51
    check = cli("check-data", brain)
    assert told in check.err
    assert "missing-class" not in check.out
    run = cli("train", brain, *QUICK)
    assert (run.code, told in run.err) == (0, True)
    report = json.loads((Path(run.out.strip()) / "report.json").read_text())
    assert (report["split"], report["images"], report["class_names"]) == (
        "test",
        15,
        ["0", "1", "2"],
    )
    evaluated = cli("evaluate", "--data", brain, "--checkpoint", run.out.strip())
    assert (evaluated.code, told in evaluated.err) == (0, True)
    assert "Testing" not in evaluated.out
    found = cli("find-lr", brain, "--model", "lenet5", "--steps", "20", "--device", "cpu")
    assert told in found.err
    drawn = cli("augment", brain, "--augment", "hflip", "--output", "grid.png")
    assert (drawn.code, told in drawn.err) == (0, True)
    predicted = cli("predict", brain, "--checkpoint", run.out.strip(), "--format", "csv")
    assert len(predicted.out.splitlines()) == 1 + 51


def test_a_run_on_arrays_is_evaluated_and_compared(cli, tmp_path, monkeypatch):
    """The paths and hashes in splits.csv are those of the images as files."""
    from sklearn.datasets import load_digits

    monkeypatch.chdir(tmp_path)
    digits = load_digits()
    images = np.rint(digits.images * 255 / 16).astype(np.uint8)
    np.savez(
        "set.npz",
        x_train=images[:60],
        y_train=digits.target[:60] % 3,
        x_test=images[60:80],
        y_test=digits.target[60:80] % 3,
    )
    run = cli("train", "set.npz", *QUICK)
    assert run.code == 0, run.err
    report = json.loads((Path(run.out.strip()) / "report.json").read_text())
    assert (report["split"], report["images"]) == ("test", 20)
    again = cli("evaluate", "--checkpoint", run.out.strip(), "--output", "again")
    assert again.code == 0
    evaluated = json.loads(Path("again/report.json").read_text())
    assert evaluated["confusion_matrix"] == report["confusion_matrix"]
    np.savez("other.npz", images=images[:70], labels=digits.target[:70] % 3)
    new = cli("evaluate", "--data", "other.npz", "--checkpoint", run.out.strip())
    assert "that the run was trained on" in new.err
    assert cli("check-data", "set.npz").code in (0, 3)
    assert cli("augment", "set.npz", "--augment", "hflip", "--output", "g.png").code == 0
    assert cli("train", "--resume", run.out.strip()).code == 0
    refused = cli("train", "set.npz", "--label-col", "x", *QUICK)
    assert refused.code == 2
    np.savez("objects.npz", x_train=images[:60], y_train=np.array(["a", None] * 30, object))
    assert cli("split", "objects.npz").code == 2


def test_classes_spelt_in_two_ways_are_told(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_digits("set", names=("No findings", "no_findings", "ill"), per_class=8)
    told = "the classes 'No findings' and 'no_findings' may be one"
    split = cli("split", "set")
    assert (split.code, told in split.err) == (0, True)
    check = cli("check-data", "set", "--format", "json")
    found = {f["kind"]: f["text"] for f in json.loads(check.out)["findings"]}
    assert told in found["label-spelling"]


def test_grades_with_a_point_train_by_an_ordinal_loss(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_digits("set", names=("0.0", "1.0", "2.0"), per_class=12)
    run = cli("train", "set", "--loss", "ordinal", *QUICK)
    assert run.code == 0, run.err
    report = json.loads((Path(run.out.strip()) / "report.json").read_text())
    assert report["class_names"] == ["0.0", "1.0", "2.0"]
    assert report["quadratic_kappa"] is not None


def test_evaluate_from_another_folder_names_the_run(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_digits("set", per_class=8)
    run = Path(cli("train", "set", *QUICK).out.strip()).absolute()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    refused = cli("evaluate", "--checkpoint", run)
    assert refused.code == 2
    assert refused.error.startswith(f"{run}/config.yaml: its data, set, are not here")
    assert "--data" in refused.error
    assert "go to the folder in which the run was begun" in refused.error
    given = cli("evaluate", "--checkpoint", run, "--data", "set")
    assert given.error.startswith("--data set: no such file or folder")


def test_an_unlabelled_test_is_left_out_and_predicted(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_digits("set/train", per_class=8)
    Path("set/test").mkdir()
    for number, path in enumerate(sorted(Path("set/train/1").iterdir())[:3]):
        os.link(path, f"set/test/{number}.png")
    run = cli("train", "set", *QUICK)
    assert (run.code, "cnncli predict set/test predicts them" in run.err) == (0, True)
    assert "3 images without a class folder are left out" in run.err
