"""Checks before anything is written."""

import os
import re

import pytest

from cnncli.errors import CnncliError
from cnncli.files import PICTURES, check_output_file, make_output_folder, write_atomically

not_as_root = pytest.mark.skipif(
    hasattr(os, "geteuid") and os.geteuid() == 0, reason="root writes anywhere"
)


@pytest.mark.parametrize("name", ["new.png", "old.JPG", "~/new.jpeg"])
def test_a_file_that_can_be_written_is_its_path(tmp_path, monkeypatch, name):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.JPG").write_bytes(b"old")
    path = check_output_file(name, suffixes=PICTURES)
    assert path.resolve() == tmp_path / name.removeprefix("~/")
    assert {file.name for file in tmp_path.iterdir()} == {"old.JPG"}  # nothing is made yet


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("new.txt", {"suffixes": PICTURES}, "must end in .png, .jpg or .jpeg"),
        ("folder", {}, "is a folder; name a file in it"),
        ("no/new.csv", {}, "there is no folder no"),
        ("old.csv", {"overwrite": False}, "is there already; --force writes over it"),
        ("old.csv/new.csv", {}, "there is no folder old.csv"),
    ],
)
def test_a_file_that_cannot_is_refused(tmp_path, monkeypatch, name, options, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "old.csv").write_text("old")
    with pytest.raises(CnncliError, match=re.escape(f"--list {name}: {words}")) as caught:
        check_output_file(name, "--list", **options)
    assert caught.value.exit_code == 2
    assert (tmp_path / "old.csv").read_text() == "old"


@not_as_root
def test_a_folder_that_is_read_only_is_refused(tmp_path):
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(CnncliError, match="cannot be written to"):
            check_output_file(str(tmp_path / "x.csv"))
        with pytest.raises(CnncliError, match="cannot be written to"):
            make_output_folder(str(tmp_path))
        with pytest.raises(CnncliError, match="cannot be made"):
            make_output_folder(str(tmp_path / "new"))
    finally:
        tmp_path.chmod(0o755)


def test_a_device_may_lie_in_a_folder_that_is_read_only():
    assert str(check_output_file(os.devnull)) == os.devnull


def test_an_output_folder_is_made_with_those_above_it(tmp_path):
    folder = make_output_folder(str(tmp_path / "a" / "b"))
    assert folder.is_dir()
    assert make_output_folder(str(folder)) == folder  # it may exist
    (folder / "file").write_text("")
    with pytest.raises(CnncliError, match=r"^--output .*file: cannot be made \(File exists\)"):
        make_output_folder(str(folder / "file"))


def fill_disk(part):
    """Write a half, then find the disk full."""
    part.write_text("half")
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("before", [None, "old"])
def test_a_full_disk_leaves_what_was_there(tmp_path, before):
    path = tmp_path / "list.txt"
    if before is not None:
        path.write_text(before)
    with pytest.raises(CnncliError) as caught:
        write_atomically(path, fill_disk)
    assert caught.value.exit_code == 1
    assert str(caught.value) == f"{path}: cannot be written: No space left on device"
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == (
        [] if before is None else [("list.txt", "old")]
    )


def test_what_a_link_names_is_written_and_the_link_stays(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "list.txt").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "far" / "list.txt")
    write_atomically(tmp_path / "link", lambda part: part.write_text("new"))
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "far" / "list.txt").read_text() == "new"


def test_a_device_is_written_to_and_stays_one(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_atomically(tmp_path / "pipe", lambda part: part.write_text("told"))
    assert os.read(reader, 10) == b"told"
    os.close(reader)
    assert (tmp_path / "pipe").is_fifo()
