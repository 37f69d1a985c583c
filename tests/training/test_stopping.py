"""Signals and the time limit end a run, in all processes at the same step."""

import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field

import pytest
import torch
from helpers import hear_signals

from cnncli.training import stopping
from cnncli.training.stopping import (
    Stopped,
    StopRequest,
    TimeLimit,
    process_start,
    sync_stop_request,
)


def test_a_second_signal_ends_at_once(tmp_path):
    (tmp_path / "run.lock").touch()
    code = (
        "import signal, os, time\n"
        "from cnncli.training.stopping import StopRequest, TimeLimit\n"
        "from pathlib import Path\n"
        "request = StopRequest(TimeLimit(None), lock=Path('run.lock'))\n"
        "with request.catch_signals():\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        # Another thread may have taken the signal: Python's handler runs a moment later.
        "    while request.received is None:\n"
        "        time.sleep(0.01)\n"
        "    assert request.received == signal.SIGINT\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    time.sleep(30)\n"
    )
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code],
        timeout=20,
        capture_output=True,
        cwd=tmp_path,
        preexec_fn=hear_signals,  # what a shell starts in the background ignores SIGINT
    )
    assert done.returncode == 143
    assert not (tmp_path / "run.lock").exists()
    assert time.monotonic() - start < 15


def test_a_second_signal_ends_a_long_step_too():
    """No handler of Python's runs while the main thread is inside one call."""
    code = (
        "import hashlib, os, signal, threading\n"
        "from cnncli.training.stopping import StopRequest, TimeLimit\n"
        "with StopRequest(TimeLimit(None)).catch_signals():\n"
        "    for delay in (0.5, 1):\n"
        "        threading.Timer(delay, os.kill, (os.getpid(), signal.SIGTERM)).start()\n"
        "    hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], timeout=30, capture_output=True, text=True)
    assert done.returncode == 143
    assert done.stderr == "SIGTERM: saving after this step; once more ends at once\n"


def test_the_schedule_is_as_far_as_the_time(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("cnncli.training.stopping.time.monotonic", lambda: now[0])
    limit = TimeLimit(1000.0)  # of which 3 % and 3 s are for the end
    assert limit.progress == 0
    now[0] += 483.5
    assert limit.progress == pytest.approx(0.5)
    limit.keep_for_the_end(120)  # three passes and a half: 420 s
    assert limit.progress == pytest.approx(483.5 / 580)
    assert not limit.is_over
    now[0] += 96.5
    assert limit.is_over
    limit.keep_for_the_end(10_000)
    assert limit.reserve == 500


def test_beside_other_processes_more_is_kept_for_the_end():
    limit = TimeLimit(60.0)  # 3 % and 3 s
    assert limit.reserve == pytest.approx(4.8)
    limit.keep_for_the_end(0.1, slowness=0.6)  # two threads
    assert limit.reserve == pytest.approx(4.8)
    limit.keep_for_the_end(0.1, slowness=3.0)
    assert limit.reserve == pytest.approx(10.8)
    limit.keep_for_the_end(0.1, slowness=1.0)  # what was seen once can come again
    assert limit.reserve == pytest.approx(10.8)
    limit.keep_for_the_end(0.1, slowness=100.0)
    assert limit.reserve == pytest.approx(19.8)
    short = TimeLimit(10.0)
    short.keep_for_the_end(0.1, slowness=100.0)
    assert short.reserve == pytest.approx(4.0)


def test_the_limit_counts_what_came_before_training_and_the_schedule_does_not(monkeypatch):
    now = [400.0]
    monkeypatch.setattr("cnncli.training.stopping.time.monotonic", lambda: now[0])
    limit = TimeLimit(1000.0, 100.0)  # 300 s of imports and reading
    assert (limit.read(), limit.progress) == (300.0, 0.0)
    now[0] += 333.5  # of 1000 - 300 - 33 for training
    assert limit.progress == pytest.approx(0.5)
    now[0] += 333.5
    assert limit.is_over
    assert TimeLimit(200.0, 100.0).is_over


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_the_start_of_the_process_is_that_of_the_system():
    script = """
import os, subprocess, time
time.sleep(1)
from cnncli.training.stopping import process_start
age = time.monotonic() - process_start()
print(age, subprocess.check_output(["ps", "-o", "etimes=", "-p", str(os.getpid())], text=True))
"""
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    age, seconds = answer.stdout.split()
    assert float(age) >= 1
    assert abs(float(age) - int(seconds)) < 2


def test_a_start_that_cannot_be_is_not_believed(monkeypatch):
    monkeypatch.setattr("cnncli.training.stopping.time.clock_gettime", lambda clock: 10.0**7)
    assert process_start() == stopping._IMPORTED


def test_the_time_is_shared_between_sittings():
    limit = TimeLimit(1000.0)
    limit.before = 970.5
    assert limit.progress == 1.0
    assert limit.is_over
    assert not TimeLimit(1000.0).is_over
    assert TimeLimit(None).progress == 0.0


@dataclass
class Pair:
    """A world of two processes; the other one's part of each sum is given."""

    rank: int
    other: list
    joined: bool = True
    sent: list = field(default_factory=list)

    @property
    def is_first(self):
        return self.rank == 0

    def sum_(self, tensor):
        self.sent = tensor.tolist()
        return tensor.add_(torch.tensor(self.other).double())


def test_a_signal_that_another_process_received_stops_this_one():
    request = StopRequest(TimeLimit(None))
    sync_stop_request(request, Pair(1, [0, 1, 0, 12.5]))
    assert request.received is None
    assert request.signal == signal.SIGTERM
    assert request.is_set
    with pytest.raises(
        Stopped, match="stopped by SIGTERM in epoch 3; go on with: resume"
    ) as caught:
        request.raise_if_signalled("epoch 3", "resume")
    assert caught.value.exit_code == 143


def test_all_processes_go_by_the_clock_of_rank_0(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("cnncli.training.stopping.time.monotonic", lambda: now[0])
    limits = [TimeLimit(50.0), TimeLimit(50.0)]
    now[0] += 60
    first, second = Pair(0, [0, 0, 0, 0.0]), Pair(1, [0, 0, 0, 20.0])
    for limit, world in zip(limits, (first, second), strict=True):
        sync_stop_request(StopRequest(limit), world)
    assert first.sent == [0, 0, 0, 60.0]
    assert second.sent == [0, 0, 0, 0.0]  # its own clock does not count
    assert [limit.clock() for limit in limits] == [60.0, 20.0]
    assert [limit.is_over for limit in limits] == [True, False]


def test_without_a_request_nothing_is_raised():
    request = StopRequest(TimeLimit(None))
    sync_stop_request(request, Pair(1, [0, 0, 0, 5.0]))
    assert not request.is_set
    request.raise_if_signalled("epoch 1", "resume")
