"""``best.onnx`` at the end of a run: there, or one line that says why not."""

import math
import shutil
import time
from pathlib import Path

import pytest
from helpers import Heard, run_process

from cnncli.errors import CnncliError
from cnncli.export import graph
from cnncli.files import ONNX_FILE
from cnncli.recipes import export
from cnncli.recipes.export import onnx_after
from cnncli.run import write_onnx
from cnncli.run.afters import FinishedRun, make_afters
from cnncli.run.delete_run import list_foreign
from cnncli.shell.after_flags import WantedAfters


@pytest.fixture
def finished(run_dir, tmp_path):
    folder = tmp_path / run_dir.name
    shutil.copytree(run_dir, folder)
    return folder


def make(folder, limit=None):
    heard = Heard()
    make_afters([onnx_after()], FinishedRun(folder, time.monotonic(), limit), heard)
    return heard


def test_it_is_there_and_belongs_to_the_run(finished, monkeypatch):
    monkeypatch.setattr(export, "_SECONDS_AFTER", math.inf)  # all images, however slow
    heard = make(finished)
    assert heard.warnings == []
    assert heard.notes[-1].startswith(f"{finished / ONNX_FILE}: probabilities within ")
    assert heard.notes[-1].endswith("the same labels on 12 val images")
    assert (finished / ONNX_FILE).is_file()
    assert list_foreign(finished) == []


def test_no_time_left(finished):
    heard = make(finished, limit=0.5)
    (note,) = heard.notes
    assert note.startswith("no best.onnx: it takes some ")
    assert note.endswith(f"left of --time-limit; to make it: cnncli export {finished}")
    assert not (finished / ONNX_FILE).exists()


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ModuleNotFoundError("No module named 'onnxscript'"), "(ModuleNotFoundError: No module"),
        (CnncliError("lenet5: the exported network does not answer"), ": lenet5: the exported"),
    ],
)
def test_what_fails_is_a_warning(finished, monkeypatch, error, told):
    def fail(*args):
        raise error

    monkeypatch.setattr(write_onnx, "build_graph", fail)
    heard = make(finished)
    (warning,) = heard.warnings
    assert "best.onnx was not made" in warning
    assert told in warning
    assert warning.endswith(f"; to make it: cnncli export {finished}")
    assert not (finished / ONNX_FILE).exists()


@pytest.fixture
def ways(monkeypatch):
    """Return the ways in which graphs were built; the quick one fails, the other is quick, too."""
    asked, build = [], write_onnx.build_graph

    def build_graph(classifier, example, name, way):
        asked.append(way)
        if way == "trace":
            raise CnncliError(f"torch's ONNX exporter cannot write {name}: reason")
        return build(classifier, example, name, "trace")

    monkeypatch.setattr(write_onnx, "build_graph", build_graph)
    return asked


def test_the_slow_exporter_where_the_quick_one_fails(finished, ways):
    heard = make(finished)
    assert ways == ["trace", "capture"]
    assert heard.warnings == []
    assert heard.notes[0] == "lenet5 needs torch's slower exporter, which may take half a minute"
    assert (finished / ONNX_FILE).is_file()


def test_a_network_that_no_file_can_hold_hears_one_message(finished, ways, monkeypatch):
    monkeypatch.setattr(graph, "MOST_OF_FILE", 100)
    heard = make(finished)
    assert (ways, heard.notes) == ([], [])
    (warning,) = heard.warnings
    assert "an ONNX file holds 2 GiB at most" in warning
    assert "to make it" not in warning


def test_no_slow_exporter_within_a_time_limit(finished, ways):
    heard = make(finished, limit=1e6)
    assert ways == ["trace"]
    (warning,) = heard.warnings
    assert warning.endswith(f"reason; to make it: cnncli export {finished}")


@pytest.mark.parametrize("is_wanted", [True, False])
def test_the_flag(is_wanted):
    names = [after.name for after in WantedAfters(report=False, onnx=is_wanted).load()]
    assert names == [ONNX_FILE] * is_wanted


@pytest.mark.slow
def test_train_leaves_it_and_says_nothing_else(folder_data, tmp_path):
    args = ("train", folder_data, "--model", "lenet5", "--epochs", 1)
    done = run_process(*args, cwd=tmp_path, env={"CNNCLI_ONNX": "1"})
    assert done.code == 0, done.err
    assert (tmp_path / Path(done.out.strip()) / ONNX_FILE).is_file()
    (line,) = [line for line in done.err.splitlines() if "onnx" in line.lower()]
    assert line == done.err.splitlines()[-1]
