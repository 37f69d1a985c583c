"""``predict --watch``: its flags, and a real network whose process is killed and started again."""

import csv
import os
import signal
import sys
import time

import pytest
from helpers import started

from cnncli.shell.watch_flags import take_watch


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        ([], "--watch {in}: name the file of rows with --output ROWS.csv or ROWS.jsonl"),
        (["--output", "rows.txt"], "--output rows.txt: must end in .csv or .jsonl"),
        (["--output", "rows.csv", "a.png"], "INPUT a.png: has no effect with --watch"),
        (["--output", "rows.csv", "--shard", "1/2"], "--shard: has no effect with --watch"),
        (["--output", "rows.csv", "--sample-submission", "s.csv"], "--sample-submission: has no"),
        (["--output", "rows.csv", "--format", "jsonl"], "--format jsonl: the ending of --output"),
        (["--output", "rows.csv", "--interval", "0"], "--interval 0: must be more than 0 seconds"),
        (["--output", "rows.csv", "--interval", "nan"], "--interval nan: must be more than 0"),
    ],
)
def test_flags_that_cannot_be_followed(cli, tmp_path, monkeypatch, flags, why):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    result = cli("predict", "--watch", tmp_path / "in", *flags)
    assert result.code == 2
    assert result.error.startswith(why.replace("{in}", str(tmp_path / "in")))


def test_a_folder_that_is_none(cli, tmp_path):
    (tmp_path / "incoming").mkdir()
    rows = tmp_path / "rows.csv"
    result = cli("predict", "--watch", tmp_path / "incomming", "--output", rows)
    assert (result.code, "no such folder; did you mean incoming?" in result.error) == (2, True)
    rows.touch()
    result = cli("predict", "--watch", rows, "--output", tmp_path / "other.csv")
    assert "is no folder; name the one in which images arrive" in result.error


@pytest.mark.skipif(sys.platform == "win32", reason="symbolic links")
def test_one_folder_has_one_path_in_whatever_way_it_is_named(tmp_path, monkeypatch):
    """Rows are known by the paths of their images: another path would be another image."""
    folder = tmp_path / "disk" / "incoming"
    folder.mkdir(parents=True)
    (tmp_path / "disk" / "other").mkdir()
    (tmp_path / "link").symlink_to(folder)
    for start, name in (
        (tmp_path, "disk/incoming"),
        (tmp_path / "disk" / "other", "../incoming"),
        (tmp_path, "link/../incoming"),  # for the system, ".." of a link is beside its target
        (tmp_path, "link"),
        (tmp_path / "link", "."),
        (folder, "."),
    ):
        monkeypatch.chdir(start)
        watched = take_watch(name, None, str(tmp_path / "rows.csv"), [], None, {})
        assert str(watched.folder) == str(folder.resolve())


def test_flags_of_watch_alone(cli):
    assert "has no effect without --watch" in cli("predict", "a.png", "--interval", "2").error
    assert cli("predict").error.startswith("predict: name the images")


def test_rows_of_another_decision_are_refused(cli, run_dir, folder_data, tmp_path):
    """The same network that withholds labels gives other answers."""
    rows = tmp_path / "rows.csv"
    rows.write_text(
        "path,label,probability,error,size,modified,network\n"
        "/in/a.png,one,0.5,,10,2026-11-26T18:28:50.956513498Z,0123456789ab\n"
    )
    flags = ("predict", "--watch", folder_data, "--output", rows, "--checkpoint", run_dir)
    result = cli(*flags)
    assert result.code == 2
    assert "line 2: was answered by network 0123456789ab, and this is " in result.error
    assert "lacks suggested" in cli(*flags, "--abstain-below", "0.9").error


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_a_killed_process_is_started_again(cli, run_dir, folder_data, tmp_path, ending):
    """The rows are those of ``predict FOLDER``, each once."""
    folder, rows = tmp_path / "in", tmp_path / f"rows.{ending}"
    images = sorted(folder_data.glob("*/*.png"))
    args = ("predict", "--watch", folder, "--output", rows, "--checkpoint", run_dir)
    args += ("--probabilities", "--interval", "0.1")

    def arrive(paths):
        for path in paths:
            target = folder / path.relative_to(folder_data)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())

    def wait_for(count):
        end = time.monotonic() + 90
        while not rows.exists() or rows.read_bytes().count(b"\n") < count:
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < end
            time.sleep(0.05)

    header = ending == "csv"
    arrive(images[:40])
    with started(*args, cwd=tmp_path) as process:
        wait_for(20 + header)
        process.kill()
    with rows.open("rb+") as file:
        file.truncate(rows.stat().st_size - 7)
    arrive(images[40:])
    with started(*args, cwd=os.fspath(folder)) as process:
        wait_for(len(images) + header)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
    assert said.splitlines()[0].startswith(f"Warning: {rows}: its last line was cut")
    assert said.splitlines()[-1].startswith("stopped by SIGTERM: ")
    expected = cli(
        *("predict", folder, "--checkpoint", run_dir, "--probabilities", "--format", ending)
    ).out.splitlines()
    written = rows.read_text().splitlines()
    assert len(written) == len(images) + header
    if header:
        plain = [line.rsplit(",", 3)[0] for line in written]  # without size, modified, network
        assert sorted(plain) == sorted(expected)
        with rows.open(newline="") as file:
            assert len({each["path"] for each in csv.DictReader(file)}) == len(images)
    else:
        plain = [line.split(', "size"')[0] + "}" for line in written]
        assert sorted(plain) == sorted(expected)
