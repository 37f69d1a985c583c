"""A full disk leaves no half result, keeps the old one, and is told with the file's name."""

import os
import subprocess

import pytest
from helpers import write_digits


@pytest.fixture
def small_disk(tmp_path):
    """Return a folder on a disk of 64 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(folder)]
    if os.geteuid() or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder):
    """Take all room that is left."""
    try:
        with (folder / "filler").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
    except OSError:
        pass


def test_evaluate_onto_a_full_disk(cli, run_dir, small_disk):
    (small_disk / "predictions.csv").write_text("old")
    fill(small_disk)
    said = cli("evaluate", "--checkpoint", run_dir, "--output", small_disk, "--format", "json")
    assert said.code == 1
    assert said.err.splitlines()[-1] == (
        f"Error: {small_disk / 'predictions.csv'}: cannot be written: No space left on device"
    )
    assert {path.name for path in small_disk.iterdir()} == {"filler", "predictions.csv"}
    assert (small_disk / "predictions.csv").read_text() == "old"


def test_a_fix_list_on_a_full_disk_keeps_the_old_one(cli, tmp_path, small_disk):
    data = tmp_path / "data"
    for path in write_digits(data, per_class=12)[:3]:
        path.write_bytes(b"")
    (small_disk / "list.txt").write_text("old")
    fill(small_disk)
    said = cli("check-data", data, "--fix-list", small_disk / "list.txt", "--format", "json")
    assert said.code == 1
    assert f"{small_disk / 'list.txt'}: cannot be written: No space left" in said.err
    assert (small_disk / "list.txt").read_text() == "old"


def test_a_picture_on_a_full_disk(cli, run_dir, tmp_path, small_disk, folder_data):
    fill(small_disk)
    picture = small_disk / "grid.png"
    said = cli("augment", folder_data, "--augment", "light", "--output", picture)
    assert said.code == 1
    assert f"{picture}: No space left on device" in said.err
    assert {path.name for path in small_disk.iterdir()} == {"filler"}


def test_an_animation_on_a_full_disk_keeps_the_old_one(cli, small_disk):
    (small_disk / "a.gif").write_text("old")
    fill(small_disk)
    said = cli("conv-size", 5, 3, "--animate", small_disk / "a.gif")
    assert (said.code, said.out) == (1, "")
    assert f"{small_disk / 'a.gif'}: cannot be written: No space left" in said.err
    assert (small_disk / "a.gif").read_text() == "old"


def test_a_run_on_a_full_disk_leaves_no_folder(cli, small_disk, folder_data):
    fill(small_disk)
    args = ("train", "--data", folder_data, "--model", "lenet5", "--epochs", 1)
    said = cli(*args, "--output", small_disk / "runs")
    assert said.code == 1
    assert "No space left on device" in said.err.splitlines()[-1]
    assert {path.name for path in small_disk.iterdir()} == {"filler"}
