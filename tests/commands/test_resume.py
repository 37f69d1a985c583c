"""Exact resume: a run that was broken off ends as the one that was left alone, bit by bit."""

import csv
import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import started, write_digits
from written_run import write_run

from cnncli.config import RunConfig, dump_config
from cnncli.errors import CnncliError
from cnncli.recipes.train import resume_run, train_run
from cnncli.reporting import SilentReporter
from cnncli.run.folder import find_unfinished
from cnncli.training.checkpoint import load_checkpoint
from cnncli.training.history import TIME_COLUMNS
from cnncli.training.state import load_state, random_state, restore_random_state, save_state

OPTIMIZERS = ("sgd", "adamw", "ranger")
KINDS = {
    "plain": {},
    "all": {
        "ema": 0.9,
        "mixup": 0.4,
        "freeze": "stages:1",
        "unfreeze_at": ["3=none"],
        "dropout": 0.2,
        "accumulate": 2,
        "l1": 1e-5,
    },
}
EPOCHS = 4


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("resume") / "figures"
    write_digits(root, classes=("0", "1"), per_class=24)
    return root


def settings(data, output, **more):
    return {
        "data": str(data),
        "output": str(output),
        "model": "resnet_small",
        "image_size": "16",
        "batch_size": 4,
        "epochs": EPOCHS,
        "precision": "fp32",
        "device": "cpu",
        "keep_state": True,  # it is compared
        **more,
    }


class BrokenOffError(Exception):
    """What ends a run from outside in these tests."""


def break_off_after(epoch):
    def look(row):
        if row["epoch"] == epoch:
            raise BrokenOffError

    return look


def run_dir_in(output):
    (path,) = Path(output).iterdir()
    return path


def read_rows(run):
    rows = list(csv.DictReader((run / "metrics.csv").read_text().splitlines()))
    return [{k: v for k, v in row.items() if k not in TIME_COLUMNS} for row in rows]


def flatten(value, path=""):
    """Yield every leaf of a state with its place."""
    if isinstance(value, dict):
        for key in value:
            yield from flatten(value[key], f"{path}/{key}")
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from flatten(item, f"{path}/{number}")
    else:
        yield path, value


TIMES = ("seconds", "lead", "images_per_second")


def assert_same_state(one, other):
    mine, theirs = dict(flatten(one)), dict(flatten(other))
    assert mine.keys() == theirs.keys()
    for place, value in mine.items():
        if place.rsplit("/", 1)[-1] in TIMES:
            continue
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, theirs[place]), place
        else:
            assert value == theirs[place] or value != value, place


def assert_same_run(left_alone, resumed):
    assert_same_state(load_state(left_alone / "last.pt"), load_state(resumed / "last.pt"))
    one, other = (run / "best.safetensors" for run in (left_alone, resumed))
    assert one.read_bytes() == other.read_bytes()
    assert read_rows(left_alone) == read_rows(resumed)
    assert (left_alone / "report.json").read_bytes() == (resumed / "report.json").read_bytes()


@pytest.fixture(scope="module")
def left_alone(data, tmp_path_factory):
    """Return a function that gives the run of some settings that nothing interrupted."""
    runs = {}

    def run(optimizer, kind):
        if (optimizer, kind) not in runs:
            output = tmp_path_factory.mktemp("alone")
            config = settings(data, output, optimizer=optimizer, **KINDS[kind])
            runs[optimizer, kind] = train_run(RunConfig(**config), SilentReporter())
        return runs[optimizer, kind]

    return run


VARIANTS = list(itertools.product(OPTIMIZERS, KINDS, (0, 2)))
# One of each optimizer, kind and number of workers; the others take a minute.
QUICK = [("sgd", "plain", 2), ("adamw", "all", 0), ("ranger", "all", 2)]


@pytest.mark.parametrize(
    ("optimizer", "kind", "workers"),
    [*QUICK, *(pytest.param(*v, marks=pytest.mark.slow) for v in VARIANTS if v not in QUICK)],
)
def test_a_run_broken_off_after_epoch_2_ends_the_same(
    data, tmp_path, left_alone, optimizer, kind, workers
):
    config = settings(data, tmp_path, optimizer=optimizer, workers=workers, **KINDS[kind])
    with pytest.raises(BrokenOffError):
        train_run(RunConfig(**config), SilentReporter(), break_off_after(2))
    run = run_dir_in(tmp_path)
    assert len(read_rows(run)) == 2
    assert not (run / "report.json").exists()
    torch.manual_seed(999)  # whatever happened in between
    assert resume_run(run, SilentReporter()) == run
    assert_same_run(left_alone(optimizer, kind), run)


def test_within_an_epoch_it_is_as_exact(data, tmp_path, left_alone):
    """A state is saved after every 5th step; the run stops after the 15th."""
    config = settings(data, tmp_path, optimizer="adamw", checkpoint_every=5, workers=0)
    from cnncli.training import session

    saves = []
    save = session.save_state

    def save_and_stop(path, state):
        save(path, state)
        saves.append(state["progress"])
        if state["trainer"]["step"] == 15:
            raise BrokenOffError

    session.save_state = save_and_stop
    try:
        with pytest.raises(BrokenOffError):
            train_run(RunConfig(**config), SilentReporter())
    finally:
        session.save_state = save
    run = run_dir_in(tmp_path)
    assert len(read_rows(run)) == 1  # within the second epoch
    assert saves[-1]["epoch"] == 2
    assert 0 < saves[-1]["batches"] < 15
    resume_run(run, SilentReporter())
    assert_same_run(left_alone("adamw", "plain"), run)


@pytest.mark.parametrize("lost", ["row", "rest", "part"])
def test_a_kill_between_two_files_loses_nothing(data, tmp_path, left_alone, lost):
    config = settings(data, tmp_path, optimizer="sgd", workers=0)
    with pytest.raises(BrokenOffError):
        train_run(RunConfig(**config), SilentReporter(), break_off_after(2))
    run = run_dir_in(tmp_path)
    metrics = run / "metrics.csv"
    if lost == "row":  # last.pt is there, its row is not yet
        metrics.write_text("".join(metrics.read_text().splitlines(keepends=True)[:-1]))
    elif lost == "rest":  # more than was saved
        metrics.write_text(metrics.read_text() + "3,1.0,999,0.1,0")
    else:
        (run / "last.pt.part").write_bytes(b"half")
    resume_run(run, SilentReporter())
    assert_same_run(left_alone("sgd", "plain"), run)
    assert not (run / "last.pt.part").exists()


def test_a_run_killed_before_its_first_step_begins(data, tmp_path, left_alone):
    config = settings(data, tmp_path, optimizer="sgd", workers=0)
    with pytest.raises(BrokenOffError):
        train_run(RunConfig(**config), SilentReporter(), break_off_after(1))
    run = run_dir_in(tmp_path)
    for name in ("last.pt", "metrics.csv", "best.safetensors"):
        (run / name).unlink()
    resume_run(run, SilentReporter())
    assert_same_run(left_alone("sgd", "plain"), run)


def test_last_is_the_newest_unfinished_run(cli, data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        with pytest.raises(BrokenOffError):
            train_run(
                RunConfig(**settings(data, tmp_path / "runs", model="lenet5", epochs=2)),
                SilentReporter(),
                break_off_after(1),
            )
    old, new = sorted((tmp_path / "runs").iterdir(), key=lambda p: p.stat().st_mtime)
    said = cli("train", "--resume", "last")
    assert said.code == 0, said.err
    assert said.out.strip() == f"runs/{new.name}"
    assert "going on from the end of epoch 1" in said.err
    said = cli("finetune", "--resume", "last")
    assert said.out.strip() == f"runs/{old.name}"
    said = cli("train", "--resume", "last")
    assert said.code == 2
    assert "no unfinished run in runs/" in said.error
    said = cli("train", "--resume", f"runs/{new.name}")
    assert (said.code, said.out.strip()) == (0, f"runs/{new.name}")
    assert "is finished after 2 epochs; to train on from its weights: cnncli finetune" in said.err


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--lr", "0.1"), "--lr: a run goes on with the settings it has"),
        (("--config", "x.yaml"), "--config: a run goes on with the settings it has"),
        (("--epochs", "9"), "cnncli finetune --data DATA --weights"),
    ],
)
def test_flags_that_would_change_the_result_are_refused(cli, run_dir, flags, words):
    said = cli("train", "--resume", run_dir, *flags)
    assert said.code == 2
    assert words in said.error


def test_resume_by_a_part_of_the_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("d1_cnn", "d2_cnn", "d3_cnn_small", "d4_lenet5"):
        write_run(tmp_path / "runs" / name, [0.5], report=None)
    (tmp_path / "runs" / "d1_cnn" / "report.json").touch()
    for given, name in (
        ("d2", "d2_cnn"),
        ("d1", "d1_cnn"),  # of a finished run it is said
        ("lenet", "d4_lenet5"),
        ("d3_cnn_small", "d3_cnn_small"),
        ("runs/d4", "d4_lenet5"),
    ):
        assert find_unfinished(given, "runs") == Path("runs") / name
    with pytest.raises(CnncliError, match=r"--resume cnn: may be any of 2 runs: .*d2_cnn"):
        find_unfinished("cnn", "runs")
    with pytest.raises(CnncliError, match="no run of that name in runs/; did you mean d4_lenet5"):
        find_unfinished("d4_lennet5", "runs")
    assert find_unfinished("elsewhere", "nowhere") == Path("elsewhere")


def test_what_is_no_run_is_refused(cli, tmp_path):
    said = cli("train", "--resume", tmp_path / "nowhere")
    assert said.code == 2
    assert "no such folder" in said.error
    (tmp_path / "config.yaml").write_text("data: digits\nmodel: lenet5\n")
    (tmp_path / "last.pt").write_bytes(b"damaged")
    (tmp_path / "splits.csv").write_text("path,split\n")
    said = cli("train", "--resume", tmp_path)
    assert said.code == 2
    assert "damaged" in said.error


def test_images_that_are_not_there_are_told(cli, data, tmp_path, monkeypatch):
    shutil.copytree(data, tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    config = settings("data", "runs", model="lenet5")
    with pytest.raises(BrokenOffError):
        train_run(RunConfig(**config), SilentReporter(), break_off_after(1))
    run = run_dir_in(tmp_path / "runs")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    said = cli("train", "--resume", run)
    assert said.code == 2
    assert said.error.startswith(f"--resume {run}: its images, data, are not here")


def test_images_that_have_changed_are_told(data, tmp_path):
    shutil.copytree(data, tmp_path / "data")
    config = settings(tmp_path / "data", tmp_path / "runs", model="lenet5")
    with pytest.raises(BrokenOffError):
        train_run(RunConfig(**config), SilentReporter(), break_off_after(1))
    victim = next((tmp_path / "data").rglob("*.png"))
    victim.unlink()
    with pytest.raises(CnncliError, match=r"splits\.csv"):
        resume_run(run_dir_in(tmp_path / "runs"), SilentReporter())


def test_random_states_are_put_back():
    import random

    torch.manual_seed(1)
    np.random.seed(2)
    random.seed(3)
    random.gauss(0, 1)  # leaves half a pair behind
    np.random.normal()
    state = random_state()
    first = torch.rand(3), np.random.normal(size=3), [random.gauss(0, 1) for _ in range(3)]
    restore_random_state(state)
    second = torch.rand(3), np.random.normal(size=3), [random.gauss(0, 1) for _ in range(3)]
    assert torch.equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])
    assert first[2] == second[2]


ARGS = ("train", "--model", "lenet5", "--epochs", 400, "--patience", 400, "--device", "cpu")


def wait_for_rows(run_parent, count, process, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for path in Path(run_parent).glob("*/metrics.csv"):
            if len(path.read_text().splitlines()) > count:
                return path.parent
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    raise AssertionError("no epoch has ended")


@pytest.mark.parametrize(
    ("number", "code"),
    [
        pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow),
        (signal.SIGTERM, 143),
        pytest.param(signal.SIGHUP, 129, marks=pytest.mark.slow),
    ],
    ids=["SIGINT", "SIGTERM", "SIGHUP"],
)
def test_a_signal_saves_and_says_how_to_go_on(data, tmp_path, number, code):
    with started(*ARGS, "--data", data, cwd=tmp_path) as process:
        run = wait_for_rows(tmp_path / "runs", 2, process)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert out == ""
    heard, last = [line for line in err.splitlines() if not line.startswith("epoch")][-2:]
    assert heard == f"{number.name}: saving after this step; once more ends at once"
    assert last.startswith(f"Error: stopped by {number.name} in epoch ")
    assert last.endswith(f"go on with: cnncli train --resume runs/{run.name}")
    state = load_state(run / "last.pt")
    assert len(read_rows(run)) == state["epoch"] >= 2
    assert state["progress"] is None or state["progress"]["epoch"] == state["epoch"] + 1
    _, checkpoint = load_checkpoint(run / "best.safetensors")
    assert 1 <= checkpoint.epoch <= state["epoch"]
    assert not list(run.glob("*.part"))
    assert not (run / "run.lock").exists()


def train_process(*args):
    return subprocess.Popen(
        [sys.executable, "-m", "cnncli", "train", *map(str, args)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_sigkill_at_random_moments_loses_nothing(data, tmp_path):
    """Twenty kills, seeded; each run goes on until it is done, killed or not."""
    rng = np.random.default_rng(20)
    config = RunConfig(**settings(data, tmp_path / "runs", optimizer="adamw", **KINDS["all"]))
    (tmp_path / "run.yaml").write_text(dump_config(config))
    out, err = train_process(
        "--config", tmp_path / "run.yaml", "--output", tmp_path / "alone"
    ).communicate(timeout=600)
    assert out, err
    left_alone = Path(out.strip())
    kills = finished = 0
    run = None
    while kills < 20 or not finished:
        args = ("--resume", run) if run else ("--config", tmp_path / "run.yaml")
        process = train_process(*args)
        try:
            _, err = process.communicate(timeout=rng.uniform(3, 9) if kills < 20 else 600)
            assert process.returncode == 0, err
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
        runs = [p for p in (tmp_path / "runs").glob("*") if (p / "config.yaml").exists()]
        for path in runs:
            if (path / "report.json").exists():
                assert_same_run(left_alone, path)
                shutil.rmtree(path)
                finished += 1
        run = next((p for p in runs if p.exists()), None)
    print(f"{kills} kills, {finished} runs brought to their end")


def test_the_state_goes_when_all_else_is_on_the_disk(data, tmp_path, monkeypatch):
    """A run that dies before its report is written can still go on; one that is done needs not."""
    config = settings(data, tmp_path / "runs", model="lenet5", epochs=1) | {"keep_state": False}

    def die(path, report):
        raise BrokenOffError

    with monkeypatch.context() as patched:
        patched.setattr("cnncli.recipes.train.save_report", die)
        with pytest.raises(BrokenOffError):
            train_run(RunConfig(**config), SilentReporter())
    run = run_dir_in(tmp_path / "runs")
    assert (run / "last.pt").exists()
    resume_run(run, SilentReporter())
    assert (run / "report.json").exists()
    assert not (run / "last.pt").exists()


def test_a_run_of_an_earlier_version_goes_on_without_a_temperature(data, tmp_path):
    """It knew none: neither its settings nor its rows have one."""
    config = settings(data, tmp_path, model="lenet5", epochs=2, monitor="val_loss")
    with pytest.raises(BrokenOffError):
        train_run(RunConfig(**config), SilentReporter(), break_off_after(1))
    run = run_dir_in(tmp_path)
    written = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(written.replace("calibrate: temperature\n", ""))
    state = load_state(run / "last.pt")
    del state["settings"]["calibrate"]
    stopping = state["stopping"]
    stopping["best"]["val_loss"] = 0.0  # the epoch of that version stays the best
    for row in (stopping["best"], *state["rows"]):
        for name in ("val_calibrated_loss", "temperature", "kept"):
            row.pop(name, None)
    save_state(run / "last.pt", state)
    resume_run(run, SilentReporter())
    first, second = read_rows(run)
    assert (first["temperature"], second["kept"]) == ("", "0")
    assert load_checkpoint(run / "best.safetensors")[1].epoch == 1
    assert load_state(run / "last.pt")["settings"]["calibrate"] == "none"
