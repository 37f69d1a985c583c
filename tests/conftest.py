"""What several test files share: small data, one trained run, and ways to call the tool."""

import contextlib
import io
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from cnncli.models.registry import MODELS

# Before torch is imported, here and in every process that the tests start.
os.environ["OMP_NUM_THREADS"] = "1"
for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE"):
    os.environ.pop(name, None)
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


def smallest_of_each_family():
    """Return the names of the registry's lightest network of each family."""
    smallest = {}
    for entry in MODELS.values():
        best = smallest.get(entry.family)
        if best is None or (entry.parameters or 0) < (best.parameters or 0):
            smallest[entry.family] = entry
    return sorted(entry.name for entry in smallest.values())


def larger_are_slow(names=MODELS):
    """Return networks to test, those that have a smaller one of their kind among the slow tests."""
    small = smallest_of_each_family()
    return [name if name in small else pytest.param(name, marks=pytest.mark.slow) for name in names]


def pytest_collection_modifyitems(items):
    """Begin with the longest: two minutes that one process has to itself at the end otherwise."""
    items.sort(key=lambda item: "at_random_moments" not in item.name)


@dataclass(frozen=True)
class Result:
    """What a call of the tool left: its exit code and both streams."""

    code: int
    out: str
    err: str

    @property
    def error(self):
        """Return the one line of an error; fail if there is more than that (or less)."""
        lines = [line for line in self.err.splitlines() if not line.startswith("Warning: ")]
        assert len(lines) == 1, self.err
        assert lines[0].startswith("Error: "), self.err
        return lines[0].removeprefix("Error: ")


@pytest.fixture
def cli(capsys, monkeypatch):
    """Return a function that runs the tool in this process, as its entry point would."""
    from cnncli.cli import main

    def run(*args, stdin=""):
        monkeypatch.setattr(sys, "argv", ["cnncli", *map(str, args)])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        before = signal.getsignal(signal.SIGTERM)
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as error:
            code = error.code
        finally:
            signal.signal(signal.SIGTERM, before)
        out, err = capsys.readouterr()
        return Result(code, out, err)

    return run


def run_process(*args, cwd, stdin="", env=None, timeout=120):
    """Run the tool in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "cnncli", *map(str, args)],
        cwd=cwd,
        input=stdin,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    return Result(done.returncode, done.stdout, done.stderr)


def write_digits(root, classes=("0", "1", "2"), per_class=12, names=None, start=0):
    """Write real digits as PNG files ``root/<class>/<number>.png``; return their paths."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    paths = []
    for number, digit in enumerate(classes):
        folder = Path(root) / (names[number] if names else digit)
        folder.mkdir(parents=True, exist_ok=True)
        chosen = np.flatnonzero(digits.target == int(digit))[start : start + per_class]
        for index in chosen:
            path = folder / f"{index:04d}.png"
            assert cv2.imwrite(str(path), np.rint(digits.images[index] * 255 / 16).astype("uint8"))
            paths.append(path)
    return paths


def train(output, **settings):
    """Train by the recipe itself, saying nothing; return the run folder."""
    from cnncli.config import RunConfig
    from cnncli.recipes.train import train_run
    from cnncli.reporting import SilentReporter

    settings = {"model": "lenet5", "epochs": 1, "device": "cpu", "precision": "fp32"} | settings
    return train_run(RunConfig(output=str(output), **settings), SilentReporter())


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
    train(root / "runs", data=str(folder_data), epochs=2)
    return root


@pytest.fixture(scope="session")
def run_dir(workspace):
    """Return the folder of the shared run."""
    (path,) = (workspace / "runs").iterdir()
    return path


@pytest.fixture
def in_workspace(workspace, monkeypatch):
    """Go where the shared run is the newest."""
    monkeypatch.chdir(workspace)
    return workspace


@contextlib.contextmanager
def started(*args, cwd, **streams):
    """Start the tool and end it for certain."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(
        [sys.executable, "-m", "cnncli", *map(str, args)],
        cwd=cwd,
        text=True,
        # A shell's background jobs, and what they start, ignore SIGINT.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        **(pipes | streams),
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            with contextlib.suppress(OSError):  # what is buffered has no reader
                stream.close()
