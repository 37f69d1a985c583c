"""Checks before anything is written, and files that are read to their end."""

import csv
import io
import os
import re
import socket
from pathlib import Path

import pytest

from cnncli.audit.cache import find_cache_folder
from cnncli.errors import CnncliError
from cnncli.files import (
    MOST_OF_IMAGE,
    PICTURES,
    check_output_file,
    decode_text,
    expand_path,
    make_output_folder,
    read_file,
    write_atomically,
)

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


@pytest.fixture
def endless(tmp_path):
    """Return paths that must not be read to their end, by a word of what the error says."""
    os.mkfifo(tmp_path / "fifo.png")
    (tmp_path / "link.png").symlink_to(tmp_path / "fifo.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    with (tmp_path / "sparse.png").open("wb") as file:
        file.truncate(2**42)
    server = socket.socket(socket.AF_UNIX)
    here = Path.cwd()
    os.chdir(tmp_path)  # a socket's path is 100 letters at most
    server.bind("socket.png")
    os.chdir(here)
    yield {
        tmp_path / "fifo.png": "a pipe",
        tmp_path / "link.png": "a pipe",
        Path("/dev/zero"): "a device",
        tmp_path / "zero.png": "a device",
        tmp_path / "sparse.png": "larger than",
        tmp_path / "socket.png": "a device or a socket",
    }
    server.close()


def test_only_files_that_end_are_read(endless, tmp_path):
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "to_file").symlink_to(tmp_path / "file")
    assert read_file(tmp_path / "to_file", most=5) == b"12345"
    with pytest.raises(OSError, match="larger than 0 MiB"):
        read_file(tmp_path / "file", most=4)
    with pytest.raises(IsADirectoryError):
        read_file(tmp_path, most=10)
    with pytest.raises(FileNotFoundError):
        read_file(tmp_path / "nosuch", most=10)
    for path, words in endless.items():
        with pytest.raises(OSError, match=words):
            read_file(path, most=MOST_OF_IMAGE)


def test_predict_passes_over_what_never_ends(cli, in_workspace, folder_data, endless):
    image = next(folder_data.glob("*/*.png"))
    result = cli("predict", *endless, image)
    assert result.code == 3
    rows = list(csv.DictReader(io.StringIO(result.out)))
    assert [row["label"] != "" for row in rows] == [False] * len(endless) + [True]
    for row, words in zip(rows, endless.values(), strict=False):
        assert words in row["error"]


FLAGS_WITH_FILES = (
    ("train", "--data", "digits", "--config"),
    ("train", "--data"),
    ("train", "--data", "digits", "--splits"),
    ("finetune", "--data", "digits", "--model", "resnet18", "--weights"),
    ("evaluate", "--checkpoint"),
    ("tune", "--config"),
    ("check-data",),
)


@pytest.mark.parametrize("command", FLAGS_WITH_FILES, ids=" ".join)
def test_no_flag_waits_for_what_never_ends(cli, monkeypatch, tmp_path, endless, command):
    monkeypatch.chdir(tmp_path)
    for path, words in endless.items():
        result = cli(*command, path)
        assert result.code == 2
        assert str(path) in result.error
        if "sparse" not in path.name:
            assert words.split()[1] in result.error
    table = tmp_path / "t.csv"
    table.symlink_to("fifo.png")
    assert cli("train", "--data", table).code == 2


FLAGS_WITH_PATHS = (
    *FLAGS_WITH_FILES,
    ("train", "--resume"),
    ("train", "--data", "digits", "--epochs", "1", "--output"),
    ("train", "--data", "digits", "--augment"),
    ("evaluate", "--output"),
    ("split", "digits", "--output"),
    ("check-data", "digits", "--fix-list"),
    ("augment", "digits", "--output"),
    ("inspect-layers",),
    ("compare",),
    ("sample-data", "digits"),
)


@pytest.mark.parametrize("command", FLAGS_WITH_PATHS, ids=" ".join)
def test_a_home_folder_that_is_not_there_is_one_line(cli, in_workspace, command):
    given = "~nosuch/x.yaml" if "--augment" in command else "~nosuch/x.png"
    result = cli(*command, given)
    assert result.code == 2
    assert "~nosuch is no home folder" in result.err.splitlines()[-1]
    assert "Traceback" not in result.err


def test_without_a_home_folder(cli, monkeypatch, tmp_path):
    def no_home(path=Path("~")):
        if str(path).startswith("~"):
            raise RuntimeError("Could not determine home directory.")
        return path

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Path, "expanduser", no_home)
    monkeypatch.setattr(Path, "home", no_home)
    for name in ("CNNCLI_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    result = cli("train", "--data", "~/images")
    assert result.code == 2
    assert "~ is no home folder" in result.error
    assert find_cache_folder() is None
    with pytest.raises(CnncliError, match="number 0"):
        expand_path("a\0b")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_text_with_a_byte_order_mark(encoding):
    assert decode_text("größe\n".encode(encoding)) == "größe\n"
    with pytest.raises(UnicodeDecodeError):
        decode_text("größe".encode("latin-1"))


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
