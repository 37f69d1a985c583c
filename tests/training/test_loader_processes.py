"""Loader processes are ended in order, whatever way the training ends."""

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from helpers import write_digits

from cnncli.data import socket_folder
from cnncli.errors import CnncliError

# Without garbage collection nothing ends loader processes by chance, as it does in most runs.
MAIN = """
import atexit, gc, multiprocessing.util, sys

def report():
    for process in multiprocessing.active_children():
        print("left alive:", process, file=sys.stderr)

atexit.register(report)  # it runs before multiprocessing kills what is left
gc.disable()
from cnncli.cli import main
main()
"""
ARGS = ("--model", "lenet5", "--device", "cpu", "--batch-size", "8", "--workers", "2")
RESNET = (
    "--model",
    "resnet_small",
    "--weights",
    "none",
    "--freeze",
    "backbone",
    "--image-size",
    "16",
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("processes") / "figures"
    write_digits(root, classes=("0", "1"), per_class=20)
    return root


def start(cwd, *args):
    return subprocess.Popen(
        [sys.executable, "-c", MAIN, *map(str, args)],
        cwd=cwd,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def check_quiet(process, code):
    _, err = process.communicate(timeout=120)
    assert process.returncode == code, err
    assert "Traceback" not in err
    assert "Exception ignored" not in err
    assert "left alive" not in err
    return err


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (("train", *ARGS, "--epochs", "1"), 0),
        pytest.param(("train", *ARGS, "--epochs", "2", "--lr", "1e30"), 1, marks=pytest.mark.slow),
        pytest.param(("finetune", *ARGS, *RESNET, "--epochs", "1"), 0, marks=pytest.mark.slow),
        pytest.param(("find-lr", *ARGS, "--steps", "20"), 0, marks=pytest.mark.slow),
    ],
    ids=["end", "error", "features", "find-lr"],
)
def test_no_loader_process_is_left_to_be_killed(data, tmp_path, args, code):
    with start(tmp_path, *args, "--data", data) as process:
        check_quiet(process, code)


@pytest.mark.parametrize(
    ("number", "code"),
    [pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow), (signal.SIGTERM, 143)],
)
def test_a_signal_ends_them_too(data, tmp_path, number, code):
    args = ("train", *ARGS, "--epochs", "1000", "--patience", "1000", "--data", data)
    with start(tmp_path, *args) as process:
        end = time.monotonic() + 60
        while not list(tmp_path.glob("runs/*/best.safetensors")):
            assert time.monotonic() < end
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.05)
        os.kill(process.pid, number)
        assert "stopped by" in check_quiet(process, code)


def test_a_closed_loader_has_no_processes_and_starts_new_ones():
    from tiny_network import data as images_and_targets
    from tiny_network import loader

    batches = loader(*images_and_targets(), 4, workers=2)
    first = [targets.tolist() for _, targets in batches.epoch(1)]
    assert len(multiprocessing.active_children()) == 2
    batches.close()
    assert not multiprocessing.active_children()
    batches.close()  # a second time does nothing
    assert [targets.tolist() for _, targets in batches.epoch(1)] == first
    batches.close()


@pytest.mark.slow
@pytest.mark.parametrize("length", [60, 90, 200])
def test_a_long_temporary_folder_does_not_stop_a_run(data, tmp_path, length):
    """The path of a UNIX socket has 107 bytes at most, and sockets lie below TMPDIR."""
    folder = Path("/tmp") / f"cnncli-{os.getpid()}"
    folder = folder / ("x" * (length - len(str(folder)) - 1))
    folder.mkdir(parents=True)
    try:
        done = subprocess.run(
            [sys.executable, "-c", MAIN, "train", "--data", str(data), *ARGS, "--epochs", "1"],
            cwd=tmp_path,
            env={**os.environ, "TMPDIR": str(folder)},
            text=True,
            capture_output=True,
            timeout=100,
        )
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        assert not list(folder.glob("pymp-*"))
    finally:
        shutil.rmtree(folder.parent)


def test_without_any_short_folder_an_error_says_what_to_set(tmp_path, monkeypatch):
    long = tmp_path / ("x" * 90)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    monkeypatch.setattr(socket_folder, "_SHORT_FOLDERS", ())
    with pytest.raises(CnncliError, match="set a shorter one, or --workers 0") as caught:
        socket_folder.choose_socket_folder(2)
    assert caught.value.exit_code == 2
