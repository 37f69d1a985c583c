"""Answers of a watched folder, by a network that is made up: each image once, whatever happens."""

import csv
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from helpers import TINY_PNG, hear_signals

# A network that answers at once, and a folder that counts as still at once.
_SCRIPT = """
import sys
from pathlib import Path
from types import SimpleNamespace
from cnncli.recipes.watch import arrivals, loop
from cnncli.shell.terminal import TerminalReporter

arrivals.STILL = 0.0

class Network:
    preprocess = SimpleNamespace(count_files=1)
    class_names = ("a", "b")
    columns = ["path", "label", "probability", "error"]
    fingerprint = "0123456789ab"

    def predict(self, files):
        for (path,) in files:
            error = "" if Path(path).stat().st_size else "is empty (0 bytes)"
            if "away" in path:
                error = "cannot be read: Stale file handle"
            label = None if error else "a"
            yield {"path": path, "label": label, "probability": None, "error": error}

loop.watch_folder(
    Path(sys.argv[1]), Path(sys.argv[2]), Network, TerminalReporter(), interval=0.01,
    csv_safe=False, after_round=lambda network: None,
)
"""


def watching(folder, rows):
    return subprocess.Popen(
        [sys.executable, "-c", _SCRIPT, str(folder), str(rows)],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_signals,
    )


def wait_for(rows, count, process):
    """Wait until the file has so many lines."""
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        with suppress(OSError):
            if rows.read_bytes().count(b"\n") >= count:
                return
        time.sleep(0.005)
    pytest.fail(f"no {count} lines: {process.poll()}")


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_each_image_has_one_row_after_kills_and_cuts(tmp_path):
    folder, rows = tmp_path / "in", tmp_path / "rows.csv"
    folder.mkdir()
    images = [folder / f"{number:04d}.png" for number in range(400)]
    for image in images:
        image.write_bytes(TINY_PNG)
    for count, cut in ((5, 5), (60, 60), (200, 7)):
        process = watching(folder, rows)
        wait_for(rows, count, process)
        process.kill()
        process.communicate()
        with rows.open("rb+") as file:  # as if it had been killed within a row
            file.truncate(max(1, rows.stat().st_size - cut))
    process = watching(folder, rows)
    wait_for(rows, 1 + len(images), process)
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 0, said
    assert "stopped by SIGTERM: " in said
    assert "its last line was cut" in said
    with rows.open(newline="") as file:
        assert [each["path"] for each in csv.DictReader(file)] == list(map(str, images))


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_what_cannot_be_read_has_one_row_and_another_when_it_changes(tmp_path):
    folder, rows = tmp_path / "in", tmp_path / "in" / "rows.csv"
    folder.mkdir()
    (folder / "empty.png").touch()
    (folder / "away.png").write_bytes(TINY_PNG)  # the system does not let it be read
    process = watching(folder, rows)
    wait_for(rows, 3, process)
    (folder / "whole.part").write_bytes(TINY_PNG)
    (folder / "whole.part").replace(folder / "empty.png")
    wait_for(rows, 4, process)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 0, said
    with rows.open(newline="") as file:
        found = [(Path(each["path"]).name, each["error"]) for each in csv.DictReader(file)]
    assert sorted(found[:2]) == [
        ("away.png", "cannot be read: Stale file handle"),
        ("empty.png", "is empty (0 bytes)"),
    ]
    assert found[2:] == [("empty.png", "")]
    assert f"{rows} lies in the folder that is watched" in said
    assert f"Warning: {folder / 'empty.png'}: is empty (0 bytes)" in said
    assert "stopped by SIGINT: 3 rows added" in said
