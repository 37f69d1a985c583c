"""The page at the end of a command: in the folder, one line on stderr, nothing else changed."""

import json
import re
import shutil
import time
from pathlib import Path

import pytest
from helpers import Heard, train, write_digits

from cnncli.data.find_samples import find_samples
from cnncli.data.samples import CsvColumns
from cnncli.recipes.report import after
from cnncli.recipes.report import write as module
from cnncli.reporting import SilentReporter
from cnncli.run.afters import FinishedRun


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("page_at_end") / "figures"
    write_digits(root, classes=("0", "1", "7"), per_class=12)
    return root


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    return train(tmp_path_factory.mktemp("page_run") / "runs", data=str(data))


@pytest.fixture
def copy(run, tmp_path):
    return Path(shutil.copytree(run, tmp_path / "copy"))


@pytest.fixture(autouse=True)
def no_hurry(monkeypatch):
    """Let a page have all the time that it takes, on however slow a machine."""
    monkeypatch.setattr(after, "_MOST", 1e6)
    monkeypatch.setattr(after, "_SHARE", 1e6)


@pytest.fixture
def flags(data, tmp_path, monkeypatch):
    monkeypatch.setenv("CNNCLI_REPORT", "1")
    monkeypatch.chdir(tmp_path)
    return ("--data", data, "--model", "lenet5", "--epochs", 1, "--device", "cpu")


def content(path):
    page = path.read_text("utf-8")
    return json.loads(re.search(r'id="content">(.*?)</script>', page, re.S)[1])


def test_train_writes_it_and_says_so_on_stderr(cli, flags, tmp_path):
    result = cli("train", *flags)
    (folder,) = (tmp_path / "runs").iterdir()
    assert result.out == f"runs/{folder.name}\n"
    (line,) = [line for line in result.err.splitlines() if "report.html" in line]
    assert line.startswith(f"runs/{folder.name}/report.html: ")
    held = content(folder / "report.html")
    images = json.loads((folder / "report.json").read_text())["images"]
    assert len(held["names"]) == len(held["pictures"]) == images
    assert not list(folder.glob("*.part"))


def test_it_can_be_left(cli, flags, tmp_path):
    result = cli("train", *flags, "--no-report")
    assert result.code == 0
    assert not list(tmp_path.rglob("report.html"))
    assert "report.html" not in result.err


@pytest.mark.slow
def test_a_cross_validation_has_one_and_its_folds_none(cli, flags, tmp_path):
    result = cli("cross-validate", *flags, "--folds", 2, "--test-fraction", 0)
    assert result.code == 0, result.err
    (page,) = tmp_path.rglob("report.html")
    assert page.parent == tmp_path / result.out.strip()
    assert len(content(page)["names"]) == 36
    assert "<h3>Each fold</h3>" in page.read_text("utf-8")


def test_evaluate_writes_it_into_its_folder(cli, flags, tmp_path, data, copy):
    judged = ("evaluate", "--checkpoint", copy, "--data", data, "--split", "all")
    result = cli(*judged, "--output", "with")
    assert json.loads(result.out) == json.loads((tmp_path / "with" / "report.json").read_text())
    assert len(content(tmp_path / "with" / "report.html")["names"]) == 36
    assert "with/report.html: " in result.err
    page = (tmp_path / "with" / "report.html").read_text("utf-8")
    assert f"<dt>images judged</dt><dd><bdi>{data}</bdi>" in page
    assert cli(*judged).code == 0  # without --output there is no file
    assert not (copy / "report.html").exists()


def test_with_a_decision_it_is_of_the_network_itself(cli, flags, tmp_path, copy):
    flags = ("--positive", "7", "--threshold", "0.01", "--output", "with")
    result = cli("evaluate", "--checkpoint", copy, *flags)
    assert result.code == 0, result.err
    page = (tmp_path / "with" / "report.html").read_text("utf-8")
    assert "report.json was written with decision.json, and has other figures" in page
    held = content(tmp_path / "with" / "report.html")
    assert len(held["predicted"]) == json.loads(result.out)["images"]


def test_a_signal_leaves_a_whole_run_and_no_half_page(cli, flags, tmp_path, monkeypatch):
    def stop(content):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "render_page", stop)
    result = cli("train", *flags)
    assert result.code == 130
    (folder,) = (tmp_path / "runs").iterdir()
    assert f"runs/{folder.name} is finished; report.html was not made" in result.err
    assert {"report.json", "best.safetensors", "predictions.csv"} <= {
        path.name for path in folder.iterdir()
    }
    assert not list(folder.glob("report.html*"))
    assert not (folder / "run.lock").exists()


def finished(run, data, *, seconds, left=None):
    """Return a run that took so long, with so much left of its limit."""
    limit = None if left is None else seconds + left
    samples = find_samples(str(data), CsvColumns())
    return FinishedRun(run, time.monotonic() - seconds, limit, samples)


def test_without_time_there_is_no_page_and_a_line(copy, data):
    heard = Heard()
    after.page_after().make(finished(copy, data, seconds=100, left=0), heard)
    (line,) = heard.notes
    assert line.startswith("no report.html: 0.0 s are left of --time-limit; to make it: ")
    assert line.endswith(f"cnncli report {copy}")
    assert not (copy / "report.html").exists()


def test_in_haste_it_has_no_heat_maps_and_says_so(copy, data, monkeypatch):
    monkeypatch.setattr(after, "_SHARE", 0.0)
    after.page_after().make(finished(copy, data, seconds=0), SilentReporter())
    page = (copy / "report.html").read_text("utf-8")
    assert content(copy / "report.html")["heat"] == {}
    assert "heat maps: there was no time for them" in page
    assert "There was no time to read the files at the end of the run" in page


def test_a_run_without_predictions_has_a_page_of_its_figures(copy, data):
    (copy / "predictions.csv").unlink()
    heard = Heard()
    after.page_after().make(finished(copy, data, seconds=100), heard)
    assert "the run has kept no predictions.csv" in heard.warnings[0]
    assert "Headline figures" in (copy / "report.html").read_text("utf-8")
