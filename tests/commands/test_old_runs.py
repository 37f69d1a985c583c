"""Runs made before the house was rebuilt are read as before.

``tests/fixtures/old_run`` holds a finished run, one of the same settings that was broken off after
epoch 2 of 5, their images, and what ``predict`` and ``compare`` said of them. They were made by the
version of 2026-11-21 (commit 1771c2c) on torch 2.14.1; never make them anew.
"""

import csv
import json
import shutil

import pytest
from helpers import ROOT

from cnncli.evaluation.report import figure_value
from cnncli.recipes.compare import find_differing
from cnncli.run import epochs
from cnncli.training.checkpoint import load_checkpoint

OLD = ROOT / "tests" / "fixtures" / "old_run"


@pytest.fixture
def old(tmp_path, monkeypatch):
    """Return a copy of the old runs, in the folder that they were made in."""
    shutil.copytree(OLD, tmp_path / "old")
    monkeypatch.chdir(tmp_path / "old")
    return tmp_path / "old"


def number_or_text(text):
    try:
        return float(text)
    except ValueError:
        return text


def read_rows(text):
    """Return a CSV's rows, with numbers in place of what can be read as one."""
    rows = csv.DictReader(text.splitlines())
    return [{name: number_or_text(value) for name, value in row.items()} for row in rows]


def assert_alike(text, expected):
    """Compare two CSVs; the last of six digits of a number is the processor's."""
    for row, other in zip(read_rows(text), read_rows(expected), strict=True):
        assert row == {
            name: pytest.approx(value, abs=2e-6) if isinstance(value, float) else value
            for name, value in other.items()
        }


def test_evaluate_gives_the_figures_of_then(cli, old):
    result = cli("evaluate", "--checkpoint", "finished")
    assert result.code == 0
    report, written = json.loads(result.out), json.loads((old / "finished/report.json").read_text())
    assert isinstance(written["ece"], float)  # then it had no interval
    for row, expected in zip(report.pop("per_class"), written.pop("per_class"), strict=True):
        for name, value in expected.items():  # a newer report may say more
            assert figure_value(row[name]) == figure_value(value), name
    for name, value in written.items():
        if name in ("log_loss", "ece"):  # the last digits are the processor's
            value = pytest.approx(value, abs=1e-6)
        assert figure_value(report[name]) == figure_value(value), name


@pytest.mark.parametrize("checkpoint", ["finished", "finished/best.safetensors"])
def test_predict_gives_the_answers_of_then(cli, old, checkpoint):
    args = ("figures/one", "figures/two", "--checkpoint", checkpoint, "--probabilities")
    result = cli("predict", *args, "--format", "csv")
    assert_alike(result.out, (old / "predictions.csv").read_text())


def test_compare_says_what_it_said(cli, old):
    result = cli("compare", "finished", "unfinished", "--format", "csv")
    assert_alike(result.out, (old / "compare.csv").read_text())


def test_a_run_broken_off_then_ends_as_the_one_left_alone(cli, old, monkeypatch):
    monkeypatch.setattr(epochs, "fit_careful_temperature", lambda *_: 3.0)
    result = cli("train", "--resume", "unfinished")
    assert result.code == 0, result.err
    assert "going on from the end of epoch 2" in result.err
    ended, whole = (
        list(csv.DictReader((old / name / "metrics.csv").read_text().splitlines()))
        for name in ("unfinished", "finished")
    )
    assert len(ended) == len(whole) == 5
    for row, expected in zip(ended, whole, strict=True):
        for name in set(expected) - {"seconds", "images_per_second"}:
            assert float(row[name]) == pytest.approx(float(expected[name]), rel=1e-4), name
    # There was no temperature then, and its config.yaml does not say so.
    assert load_checkpoint(old / "unfinished" / "best.safetensors")[1].temperature == 1


def test_resume_refuses_a_temperature_that_the_run_had_not(cli, old):
    result = cli("train", "--resume", "unfinished", "--calibrate", "temperature")
    assert (result.code, result.out) == (2, "")
    assert "--calibrate: a run goes on with the settings it has" in result.err


def test_a_finished_run_is_left_as_it_is(cli, old):
    before = {path.name: path.read_bytes() for path in (old / "finished").iterdir()}
    result = cli("train", "--resume", "finished")
    assert (result.code, result.out) == (0, "finished\n")
    assert {path.name: path.read_bytes() for path in (old / "finished").iterdir()} == before


def test_new_training_starts_from_old_weights(cli, old):
    network = "cnn: conv3x3 f4 relu; pool2; conv3x3 f8; bn; relu; gap; dense 3"
    args = ("--data", "figures", "--weights", "finished", "--epochs", "1", "--model", network)
    result = cli("finetune", *args)
    assert result.code == 0, result.err
    assert "weights finished: " in result.err


def test_compare_tells_that_an_older_run_has_no_temperature():
    assert find_differing([{"lr": 1}, {"lr": 1, "calibrate": "temperature"}]) == ["calibrate"]
    assert find_differing([{"lr": 1}, {"lr": 1, "calibrate": "none"}]) == []
