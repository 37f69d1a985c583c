"""Layouts of data through the commands: all of them understand a layout in the same way."""

import csv
import json
import os
from pathlib import Path

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
