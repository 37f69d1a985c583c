"""One process trains a run at a time."""

import json
import os
import subprocess
import sys

import pytest

from cnncli.errors import CnncliError
from cnncli.run.lock import Process, lock_run, this_process


def write_lock(folder, **changes):
    """Write the lock of a process that is like this one but for some of its values."""
    (folder / "run.lock").write_text(json.dumps(vars(this_process()) | changes))


def ended_process():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_it_is_there_only_while_the_run_is_trained(tmp_path):
    notes = []
    with lock_run(tmp_path, notes.append):
        assert Process(**json.loads((tmp_path / "run.lock").read_text())) == this_process()
    with pytest.raises(KeyboardInterrupt), lock_run(tmp_path, notes.append):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    assert notes == []


def test_a_process_that_runs_is_named(tmp_path):
    with lock_run(tmp_path, print):
        with pytest.raises(CnncliError) as caught, lock_run(tmp_path, print):
            raise AssertionError
        assert (tmp_path / "run.lock").exists()
    assert caught.value.exit_code == 2
    assert f"process {os.getpid()} on {this_process().host} is training it" in str(caught.value)


@pytest.mark.parametrize("kind", ["ended", "reused", "rebooted", "cut short", "ended, no /proc"])
def test_a_lock_left_behind_is_taken_over(tmp_path, kind):
    changes = {
        "ended": {"pid": ended_process()},
        "reused": {"started": "1"},  # this number belongs to another process now
        "rebooted": {"boot": "another"},
        "cut short": {},
        "ended, no /proc": {"pid": ended_process(), "started": ""},
    }
    write_lock(tmp_path, **changes[kind])
    if kind == "cut short":
        (tmp_path / "run.lock").write_text('{"pid": 12')
    notes = []
    with lock_run(tmp_path, notes.append):
        assert json.loads((tmp_path / "run.lock").read_text())["pid"] == os.getpid()
    assert not (tmp_path / "run.lock").exists()
    if kind == "cut short":
        assert notes == []
    else:
        assert "which has ended; it is taken over" in notes[0]


@pytest.mark.parametrize("change", [{"host": "node7"}, {"namespace": "pid:[1]"}])
def test_a_lock_of_another_machine_or_container_says_what_to_do(tmp_path, change):
    write_lock(tmp_path, **change)
    with pytest.raises(CnncliError) as caught, lock_run(tmp_path, print):
        raise AssertionError
    assert caught.value.exit_code == 2
    assert f"delete {tmp_path / 'run.lock'} and resume again" in str(caught.value)
    assert change.get("host", "") in str(caught.value)


def test_of_many_that_come_at_once_one_gets_it(tmp_path):
    """All find the lock of an ended process, and all would take it over."""
    write_lock(tmp_path, pid=ended_process())
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from cnncli.errors import CnncliError\n"
        "from cnncli.run.lock import lock_run\n"
        "sys.stdin.readline()\n"
        "try:\n"
        "    with lock_run(Path(sys.argv[1]), print):\n"
        "        time.sleep(3)\n"
        "except CnncliError as error:\n"
        "    sys.exit(error.exit_code)\n"
    )
    many = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        for _ in range(6)
    ]
    for process in many:
        process.stdin.write("\n")
        process.stdin.close()
    assert sorted(process.wait(timeout=60) for process in many) == [0, 2, 2, 2, 2, 2]
    assert not (tmp_path / "run.lock").exists()
