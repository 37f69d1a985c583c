"""The fixtures: small data, one trained run, and the tool in this process."""

import io
import math
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest
from helpers import Heard, Result, train, write_digits

# Before torch is imported, here and in every process that the tests start. It is the most that a
# measurement of threads may choose too, so that nothing is measured and bits can be compared.
os.environ["OMP_NUM_THREADS"] = "1"
# Hundreds of runs are trained here: a page and an ONNX file of each would take minutes. The tests
# of these switch them on.
os.environ["CNNCLI_REPORT"] = os.environ["CNNCLI_ONNX"] = os.environ["CNNCLI_CHECK"] = "0"
for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "COLUMNS"):
    os.environ.pop(name, None)
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def pytest_collection_modifyitems(items):
    """Begin with the longest: two minutes that one process has to itself at the end otherwise."""
    items.sort(key=lambda item: "at_random_moments" not in item.name)


@pytest.fixture(scope="session", autouse=True)
def _quick_runs():
    """Let runs of this process flush no file, and draw empty curves: two thirds of a small run.

    No test takes the power away, and one module of tests has the curves drawn. Processes that tests
    start do both.
    """

    def save_blank(path, history, *, best_epoch=None):
        from matplotlib.figure import Figure

        from cnncli.plots.figure import save_figure

        assert history
        save_figure(Figure(figsize=(1, 1), dpi=50), path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        patch.setattr("cnncli.plots.curves.save_curves", save_blank)
        if "cnncli.run.fit" in sys.modules:  # else it takes what is there when it is imported
            patch.setattr("cnncli.run.fit.save_curves", save_blank)
        yield


@pytest.fixture
def cli(capsys, monkeypatch):
    """Return a function that runs the tool in this process, as its entry point would."""
    from cnncli.cli import main

    def run(*args, stdin=""):
        monkeypatch.setattr(sys, "argv", ["cnncli", *map(str, args)])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as error:
            code = error.code
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        out, err = capsys.readouterr()
        return Result(code, out, err)

    return run


@pytest.fixture(scope="session")
def folder_data(tmp_path_factory):
    """Return a folder of class folders: digits 0, 1 and 2 as three words, 30 images each."""
    root = tmp_path_factory.mktemp("data") / "figures"
    write_digits(root, per_class=30, names=("zero", "one", "two"))
    return root


@pytest.fixture(scope="session")
def workspace(tmp_path_factory, folder_data):
    """Return a folder with ``runs/``, in which one run of two epochs lies; read it only."""
    root = tmp_path_factory.mktemp("workspace")
    train(root / "runs", data=str(folder_data), epochs=2, keep_state=True)
    return root


@pytest.fixture(scope="session")
def run_dir(workspace):
    """Return the folder of the shared run."""
    (path,) = (workspace / "runs").iterdir()
    return path


@pytest.fixture(scope="session")
def exported_run(run_dir, tmp_path_factory):
    """Return a copy of the shared run with a decision and ``best.onnx``, and what was said."""
    from cnncli.recipes import export
    from cnncli.recipes.export import ExportSettings, export_run
    from cnncli.run.decision import Decision, save_decision
    from cnncli.training.checkpoint import load_checkpoint

    folder = tmp_path_factory.mktemp("exported") / run_dir.name
    shutil.copytree(run_dir, folder)
    _, checkpoint = load_checkpoint(folder / "best.safetensors")
    decision = Decision(checkpoint.class_names, temperature=2.0, abstain_below=0.4)
    save_decision(folder / "best.safetensors", checkpoint.digest, decision)
    heard = Heard()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "_SECONDS", math.inf)  # all val images, however slow the machine
        export_run(ExportSettings(str(folder)), heard)
    return folder, heard


@pytest.fixture
def in_workspace(workspace, monkeypatch):
    """Go where the shared run is the newest."""
    monkeypatch.chdir(workspace)
    return workspace
