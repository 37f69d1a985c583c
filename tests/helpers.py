"""What several test files share that is no fixture: ways to call the tool, and small data."""

import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from cnncli.data.find_samples import find_samples
from cnncli.data.samples import CsvColumns
from cnncli.errors import CnncliError
from cnncli.models.registry import MODELS
from cnncli.reporting import SilentReporter

ROOT = Path(__file__).parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"
TINY_PNG = cv2.imencode(".png", np.zeros((4, 4), np.uint8))[1].tobytes()


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


class Heard(SilentReporter):
    """A reporter that keeps what it is told."""

    def __init__(self):
        self.notes, self.warnings = [], []
        self.note, self.warn = self.notes.append, self.warnings.append


class HeardInOrder(SilentReporter):
    """A reporter that keeps what it is told as lines, in their order."""

    def __init__(self):
        self.lines = []

    def note(self, text):
        self.lines.append(text)

    def warn(self, text):
        self.lines.append(f"warning: {text}")


def cross_validate_figures(root, folds):
    """Cross-validate a LeNet-5 of one epoch on ``root/figures``; return the folder."""
    from cnncli.config import RunConfig
    from cnncli.recipes import cross_validate as recipe
    from cnncli.recipes.train import resume_run, train_run
    from cnncli.training.distributed import ALONE

    config = RunConfig(
        data=str(root / "figures"),
        output=str(root / "runs"),
        model="lenet5",
        epochs=1,
        device="cpu",
        precision="fp32",
        test_fraction=0.0,
    )
    trainers = recipe.Trainers(train_run, resume_run)
    return recipe.cross_validate(config, folds, SilentReporter(), trainers, world=ALONE, started=0)


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


def hear_signals():
    """Let signals do what they do by default, in a process that is about to start the tool."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@contextlib.contextmanager
def started(*args, cwd, **streams):
    """Start the tool and end it for certain."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(
        [sys.executable, "-m", "cnncli", *map(str, args)],
        cwd=cwd,
        text=True,
        # A shell's background jobs, and what they start, ignore SIGINT; under nohup SIGHUP.
        **({"preexec_fn": hear_signals} | pipes | streams),
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in filter(None, (process.stdin, process.stdout, process.stderr)):
            with contextlib.suppress(OSError):  # what is buffered has no reader
                stream.close()


def load_generator():
    """Return ``docs/generate.py`` as a module."""
    spec = importlib.util.spec_from_file_location("generate_docs", ROOT / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def stage_parameters(network, stage):
    """Yield path and parameter of all that lies in a stage."""
    for path, parameter in network.named_parameters():
        if any(path == part or path.startswith(part + ".") for part in stage.paths):
            yield path, parameter


def find_below(root, **columns):
    """Return the samples in a folder or CSV, whose columns may be named."""
    return find_samples(str(root), CsvColumns(**columns))


def refuses_to_find(root, why, **columns):
    """Check that there is an error of one line instead of samples."""
    with pytest.raises(CnncliError, match=why) as caught:
        find_below(root, **columns)
    assert "\n" not in str(caught.value)


def labels_by_path(samples):
    """Return the class name of each image by its path."""
    names = [samples.class_names[target] for target in samples.targets]
    return dict(zip(samples.paths.tolist(), names, strict=True))
