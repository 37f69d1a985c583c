"""What protects a run: its lock, its own settings, and what is kept of one that fails."""

import os
import pty
import signal
import time
from pathlib import Path

import pytest
import yaml
from helpers import run_process, started, train, write_digits

from cnncli.config import RunConfig
from cnncli.errors import CnncliError
from cnncli.recipes.train import resume_run, train_run
from cnncli.reporting import SilentReporter
from cnncli.training.state import load_state

PLAIN = {"model": "lenet5", "epochs": 3, "device": "cpu", "precision": "fp32", "workers": 0}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("safety") / "figures"
    write_digits(root, classes=("0", "1"), per_class=20)
    return root


class BrokenOffError(Exception):
    """What ends a run from outside in these tests."""


@pytest.fixture
def broken_off(data, tmp_path):
    """Return the folder of a run that was broken off after epoch 1."""

    def look(row):
        raise BrokenOffError

    config = RunConfig(data=str(data), output=str(tmp_path / "runs"), **PLAIN)
    with pytest.raises(BrokenOffError):
        train_run(config, SilentReporter(), look)
    (run,) = (tmp_path / "runs").iterdir()
    return run


def wait_for(find, process, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := find():
            return found
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    raise AssertionError("it has not come")


ARGS = ("train", "--model", "lenet5", "--epochs", 400, "--patience", 400, "--device", "cpu")


@pytest.mark.parametrize(
    "number",
    [pytest.param(signal.SIGTERM, marks=pytest.mark.slow), signal.SIGKILL],
    ids=["SIGTERM", "SIGKILL"],
)
def test_a_run_that_is_trained_is_not_resumed(cli, data, tmp_path, monkeypatch, number):
    monkeypatch.chdir(tmp_path)
    with started(*ARGS, "--data", data, cwd=tmp_path) as process:
        best = wait_for(lambda: next(Path("runs").glob("*/best.safetensors"), None), process)
        for given in (best.parent, "last"):
            said = cli("train", "--resume", given)
            assert said.code == 2
            assert f"process {process.pid} on " in said.err
            assert "is training it" in said.err
        process.send_signal(number)
        process.wait(timeout=60)
    assert (best.parent / "run.lock").exists() == (number == signal.SIGKILL)
    monkeypatch.setattr("cnncli.recipes.train._train", lambda *args, **more: None)
    said = cli("train", "--resume", "last")
    assert said.code == 0
    assert ("is taken over" in said.err) == (number == signal.SIGKILL)
    assert not (best.parent / "run.lock").exists()


def test_without_its_state_a_run_with_epochs_does_not_begin_anew(cli, broken_off):
    (broken_off / "last.pt").unlink()
    before = {path.name: path.read_bytes() for path in broken_off.iterdir()}
    said = cli("train", "--resume", broken_off)
    assert said.code == 2
    assert "last.pt is missing" in said.error
    assert f"--weights {broken_off}" in said.error
    assert {path.name: path.read_bytes() for path in broken_off.iterdir()} == before
    (broken_off / "best.safetensors").unlink()
    said = cli("train", "--resume", broken_off)
    assert said.code == 2
    assert f"cnncli train --config {broken_off / 'config.yaml'}" in said.error


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("lr", 0.1),
        ("epochs", 9),
        ("model", "resnet_small"),
        ("seed", 7),
        ("augment", "none"),
        ("batch_size", 4),
        ("optimizer", "sgd"),
    ],
)
def test_an_edited_setting_is_named(cli, broken_off, key, value):
    path = broken_off / "config.yaml"
    settings = yaml.safe_load(path.read_text())
    begun = settings[key]
    path.write_text(yaml.safe_dump(settings | {key: value}))
    said = cli("train", "--resume", broken_off)
    assert said.code == 2
    assert f"config.yaml has {key}: " in said.error
    if key == "lr":
        assert f"lr: 0.1, but the run was begun with lr: {begun}" in said.error
    path.write_text(yaml.safe_dump(settings | {"workers": 1, "output": "elsewhere"}))
    assert cli("train", "--resume", broken_off).code == 0


def test_a_repeated_command_resumes_with_the_settings_that_it_names(cli, broken_off, data):
    """The shell's history gives the command once more, and a person adds --resume."""
    same = [data, "--model", "lenet5", "--epochs", str(PLAIN["epochs"])]
    said = cli("train", *same, "--lr", "0.3", "--resume", broken_off)
    assert (said.code, said.out) == (2, "")
    assert said.error == "--lr: a run goes on with the settings it has; leave it out"
    said = cli("train", data.parent, "--resume", broken_off)
    assert said.error == "--data: a run goes on with the settings it has; leave it out"
    assert cli("train", *same, "--resume", broken_off).code == 0


def test_a_run_without_its_settings_is_resumed_as_before(cli, broken_off, monkeypatch):
    monkeypatch.setattr(
        "cnncli.run.resume.load_state",
        lambda path: {k: v for k, v in load_state(path).items() if k != "settings"},
    )
    path = broken_off / "config.yaml"
    written = path.read_text()
    path.write_text(written.replace("model: lenet5", "model: resnet_small"))
    said = cli("train", "--resume", broken_off)
    assert said.code == 2
    assert "last.pt is of another network" in said.err.splitlines()[-1]
    path.write_text(written)
    resume_run(broken_off, SilentReporter())
    assert len((broken_off / "metrics.csv").read_text().splitlines()) == 1 + 3


@pytest.mark.parametrize("every", [None, 2])
def test_what_was_trained_before_a_failure_is_kept(data, tmp_path, monkeypatch, every):
    """The disk is full when epoch 1 ends."""
    from cnncli.run import epochs

    def fail(path, *args):
        raise CnncliError(f"{path}: cannot be written: No space left on device", exit_code=1)

    monkeypatch.setattr(epochs, "save_checkpoint", fail)
    with pytest.raises(CnncliError, match="No space left"):
        train(tmp_path / "runs", data=str(data), batch_size=4, checkpoint_every=every)
    if every is None:  # nothing of it could be resumed
        assert not (tmp_path / "runs").exists()
        return
    (run,) = (tmp_path / "runs").iterdir()
    assert load_state(run / "last.pt")["trainer"]["step"] > 0
    monkeypatch.undo()
    resume_run(run, SilentReporter())
    alone = train(tmp_path / "alone", data=str(data), batch_size=4)
    assert (run / "report.json").read_bytes() == (alone / "report.json").read_bytes()


def test_a_kill_before_the_first_step_leaves_no_empty_folder(data, tmp_path):
    code = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n"
    said = run_process(
        *("train", "--data", data, "--model", "lenet5"),
        cwd=tmp_path,
        env={"PYTHONPATH": _with_hook(tmp_path, code)},
    )
    assert said.code == -signal.SIGKILL
    assert not (tmp_path / "runs").exists()


def _with_hook(tmp_path, code):
    """Return a PYTHONPATH with which ``code`` runs in place of reading the images."""
    folder = tmp_path / "hook"
    folder.mkdir()
    lines = "".join(f"    {line}\n" for line in code.splitlines())
    (folder / "sitecustomize.py").write_text(
        "import cnncli.data.store as store\n"
        f"def load_images(*args, **options):\n{lines}"
        "store.load_images = load_images\n"
    )
    return os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])


def ignore_hangup():
    """Ignore SIGHUP, as ``nohup`` does before it starts a program."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


@pytest.mark.slow
def test_under_nohup_a_closed_terminal_does_not_stop_a_run(data, tmp_path):
    with started(*ARGS, "--data", data, cwd=tmp_path, preexec_fn=ignore_hangup) as process:
        rows = lambda: len(next(iter(tmp_path.glob("runs/*/metrics.csv"))).read_text().split())  # noqa: E731
        wait_for(lambda: next(tmp_path.glob("runs/*/best.safetensors"), None), process)
        process.send_signal(signal.SIGHUP)
        before = rows()
        wait_for(lambda: rows() > before + 1, process)
        process.terminate()
        assert process.wait(timeout=60) == 143


def test_a_closed_terminal_ends_other_commands_with_129(tmp_path):
    with started("predict", "-", "--checkpoint", "none", cwd=tmp_path) as process:
        process.send_signal(signal.SIGHUP)
        process.communicate(timeout=60)
        assert process.returncode in (129, -signal.SIGHUP, 2)  # how far it was when that came


FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full here")


@pytest.mark.slow
@needs_full
def test_nothing_written_to_stderr_ends_a_run(data, tmp_path):
    flags = ("--model", "lenet5", "--epochs", 2, "--device", "cpu")
    with (
        FULL.open("w") as full,
        started("train", "--data", data, *flags, cwd=tmp_path, stderr=full) as process,
    ):
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 0
    assert (tmp_path / out.strip() / "report.json").exists()


@needs_full
@pytest.mark.parametrize(
    ("args", "code"),
    [
        (("train", "--data", "nowhere", "--epochs", "x"), 2),  # Typer's error
        (("train", "--data", "nowhere", "--model", "x"), 2),
        pytest.param(("check-data", "{data}"), 0, marks=pytest.mark.slow),
        (("check-data", "{bad}"), 3),
        pytest.param(
            ("predict", "{bad}/0/none.png", "--checkpoint", "{run}"), 3, marks=pytest.mark.slow
        ),
        pytest.param(("evaluate", "--checkpoint", "{run}"), 0, marks=pytest.mark.slow),
    ],
)
def test_a_full_stderr_keeps_the_exit_code(tmp_path, data, run_dir, args, code):
    bad = tmp_path / "bad"
    write_digits(bad, classes=("0", "1"), per_class=20)
    (bad / "0" / "none.png").write_bytes(b"")
    places = {"data": data, "bad": bad, "run": run_dir}
    args = [arg.format(**places) for arg in args]
    with FULL.open("w") as full, started(*args, cwd=tmp_path, stderr=full) as process:
        process.communicate(timeout=120)
        assert process.returncode == code


@needs_full
@pytest.mark.slow
def test_a_full_stdout_is_told_when_the_run_is_saved(data, tmp_path):
    flags = ("--model", "lenet5", "--epochs", 1, "--device", "cpu")
    with (
        FULL.open("w") as full,
        started("train", "--data", data, *flags, cwd=tmp_path, stdout=full) as process,
    ):
        _, err = process.communicate(timeout=120)
        assert process.returncode == 1
    assert err.splitlines()[-1] == "Error: output: No space left on device"
    assert next(tmp_path.glob("runs/*/report.json")).exists()


@pytest.mark.slow
def test_a_terminal_that_is_gone_does_not_end_a_run(data, tmp_path):
    """Each write to it fails with EIO."""
    master, slave = pty.openpty()
    flags = ("--model", "lenet5", "--epochs", 3, "--device", "cpu")
    with started("train", "--data", data, *flags, cwd=tmp_path, stderr=slave) as process:
        os.close(slave)
        os.read(master, 10)
        os.close(master)
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 0
    assert (tmp_path / out.strip() / "report.json").exists()
