"""docs/retinopathy.md: its script runs as it stands, on a few drawn eyes with a small network."""

import csv
import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from helpers import ROOT
from made_eyes import write_eyes

PAGE = ROOT / "docs" / "retinopathy.md"
SMALL = "--model lenet5 --epochs 2 --image-size 32 --device cpu"


def read(path):
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_the_script_runs_as_it_stands(tmp_path):
    """Only the line that chooses the network is another; no option of a step is."""
    answers = write_eyes(tmp_path / "eyes", patients=20, tested=4)
    (script,) = re.findall(r"^```sh\n(data=.*?)^```", PAGE.read_text("utf-8"), re.M | re.S)
    script, changed = re.subn(r'^flags=".*"$', f'flags="{SMALL}"', script, flags=re.M)
    assert changed == 1
    for needed in ("--loss ordinal", "--monitor val_quadratic_kappa", "--group-col patient"):
        assert needed in script
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr

    (folder,) = (tmp_path / "runs").iterdir()
    rows = read(folder / "predictions.csv")
    assert len(rows) == 40
    groups = {row["path"]: row["group"] for row in read(folder / "splits.csv")}
    folds = {}
    for row in rows:
        folds.setdefault(groups[row["path"]], set()).add(row["fold"])
    assert len(folds) == 20
    assert all(len(found) == 1 for found in folds.values()), "both eyes are in one fold"
    for fold in range(1, 6):
        splits = {}
        for row in read(folder / f"fold{fold}" / "splits.csv"):
            splits.setdefault(row["group"], set()).add(row["split"])
        assert all(len(found) == 1 for found in splits.values())

    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["split"], report["images"]) == ("out of fold", 40)
    assert "quadratic_kappa" in report
    assert len(report["folds"]["each"]) == 5

    sample, submission = (
        read(tmp_path / name) for name in ("eyes/sample_submission.csv", "submission.csv")
    )
    assert list(submission[0]) == ["id_code", "diagnosis"]
    assert [row["id_code"] for row in submission] == [row["id_code"] for row in sample]
    assert {row["id_code"] for row in submission} == set(answers)
    assert {row["diagnosis"] for row in submission} <= set("01234")
    listed = (tmp_path / "suspects.txt").read_text().splitlines()
    assert listed == [row["path"] for row in read(tmp_path / "suspects.csv")]
