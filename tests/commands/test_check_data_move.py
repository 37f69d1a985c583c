"""``check-data --move-to``: moves what ``--fix-list`` lists, and nothing else, over nothing."""

import csv
import errno
import os
import shutil

import numpy as np
import pytest
from helpers import write_digits


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    """Keep the cache in a folder that is gone after the test."""
    monkeypatch.setenv("CNNCLI_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def data(tmp_path):
    """Return a set with four files to leave out, two of them of one name in two classes."""
    root = tmp_path / "my images"
    write_digits(root, ("3", "8"), 20, names=("drei", "acht"))
    one, other = (sorted((root / name).iterdir()) for name in ("drei", "acht"))
    shutil.copy(one[0], root / "acht" / one[0].name)  # two labels: both go
    shutil.copy(one[5], root / "drei" / "a copy.png")
    (root / "acht" / "cut.png").write_bytes(other[3].read_bytes()[:50])
    return root


def list_files(root):
    """Return the content of each file below a folder by its relative path."""
    files = (path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def move(cli, data, target, *flags):
    return cli("check-data", data, "--move-to", target, *flags)


def test_what_the_list_has_is_moved_in_its_class_folders(cli, data, tmp_path):
    before = list_files(data)
    result = move(cli, data, tmp_path / "out", "--fix-list", tmp_path / "drop.txt")
    assert result.code == 3
    assert result.err.splitlines()[-1] == f"{tmp_path / 'out'}: 4 files moved there from {data}"
    moved = list_files(tmp_path / "out")
    assert sorted(moved) == sorted((tmp_path / "drop.txt").read_text("utf-8").splitlines())
    names = [name.split("/")[1] for name in moved]
    assert len(names) == len(set(names)) + 1  # one name in both classes
    assert moved | list_files(data) == before
    assert not moved.keys() & list_files(data).keys()
    again = move(cli, data, tmp_path / "second")
    assert again.code == 0
    assert "second: 0 files moved there" in again.err
    assert not (tmp_path / "second").exists()


def test_a_linked_folder_is_mended_where_it_lies(cli, data, tmp_path, monkeypatch):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "link").symlink_to(data)
    monkeypatch.chdir(tmp_path / "home")
    assert move(cli, "link", "out").code == 3
    assert len(list_files(tmp_path / "home" / "out")) == 4
    assert not (tmp_path / "out").exists()
    assert cli("check-data", data).code == 0


def refuse_links(*args, **extra):
    raise OSError(errno.EXDEV, "Invalid cross-device link")


def test_another_device_gets_a_copy_and_overwrites_nothing(cli, data, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "link", refuse_links)
    before = list_files(data)
    times = {name: (data / name).stat().st_mtime_ns for name in before}
    assert move(cli, data, tmp_path / "out").code == 3
    moved = list_files(tmp_path / "out")
    assert len(moved) == 4
    assert moved | list_files(data) == before
    assert all((tmp_path / "out" / n).stat().st_mtime_ns == times[n] for n in moved)


def test_a_copy_that_fails_leaves_the_file_and_no_part(cli, data, tmp_path, monkeypatch):
    def fail(*args, **extra):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "link", refuse_links)
    monkeypatch.setattr(shutil, "copyfileobj", fail)
    before = list_files(data)
    result = move(cli, data, tmp_path / "out")
    assert result.code == 1
    assert "No space left on device); none moved" in result.error
    assert list_files(data) == before
    assert list_files(tmp_path / "out") == {}


def test_one_file_in_the_way_stops_all(cli, data, tmp_path):
    (tmp_path / "out" / "drei").mkdir(parents=True)
    (tmp_path / "out" / "drei" / "a copy.png").write_bytes(b"mine")
    before = list_files(data)
    result = move(cli, data, tmp_path / "out")
    assert result.code == 2
    assert "a copy.png is there already, so nothing is moved" in result.error
    assert list_files(data) == before
    assert list_files(tmp_path / "out") == {"drei/a copy.png": b"mine"}


def test_files_behind_links_are_left(cli, data, tmp_path):
    shutil.move(data / "drei", tmp_path / "elsewhere")
    (data / "drei").symlink_to(tmp_path / "elsewhere")
    before = list_files(tmp_path / "elsewhere")
    result = move(cli, data, tmp_path / "out")
    assert result.code == 2
    assert "is a link or lies behind one, so nothing is moved" in result.error
    assert list_files(tmp_path / "elsewhere") == before
    assert not (tmp_path / "out").exists()


def test_a_target_that_leads_back_is_refused(cli, data, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "drei").symlink_to(data)
    before = list_files(data)
    assert "leads back into" in move(cli, data, tmp_path / "out").error
    assert list_files(data) == before


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("my images", "lies in the folder of the images"),
        ("my images/out", "lies in the folder of the images"),
        ("link/out", "lies in the folder of the images"),
        (".", "holds the folder of the images"),
        ("note.txt", "is no folder"),
        ("note.txt/out", "is no folder"),
        ("", "is empty"),
    ],
)
def test_wrong_targets(cli, data, tmp_path, monkeypatch, target, expected):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(data)
    (tmp_path / "note.txt").write_text("x")
    before = list_files(data)
    result = move(cli, data, target)
    assert result.code == 2
    assert expected in result.error
    assert list_files(data) == before


def test_tables_arrays_and_splits_are_refused(cli, data, tmp_path):
    def refused(given, *flags):
        result = move(cli, given, tmp_path / "out", *flags)
        assert result.code == 2
        assert not (tmp_path / "out").exists()
        return result.error

    assert "digits is none" in refused("digits")
    assert "names files" in refused(data, "--splits", "splits.csv").replace("would name", "names")
    np.savez(
        tmp_path / "set.npz",
        train_images=np.random.default_rng(0).integers(0, 256, (20, 8, 8), dtype=np.uint8),
        train_labels=np.arange(20) % 2,
    )
    assert "set.npz is none" in refused(tmp_path / "set.npz")
    (tmp_path / "only").mkdir()
    shutil.move(tmp_path / "set.npz", tmp_path / "only")
    assert "is none" in refused(tmp_path / "only")
    (tmp_path / "tabled").mkdir()
    shutil.move(data, tmp_path / "tabled" / "images")
    table = tmp_path / "tabled" / "labels.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        rows = sorted((tmp_path / "tabled" / "images").rglob("*.png"))
        named = [(path.relative_to(table.parent), path.parent.name) for path in rows]
        csv.writer(file).writerows([("path", "label"), *named])
    assert "labels.csv is none" in refused(table)
    assert "labels.csv is none" in refused(tmp_path / "tabled")


def test_a_missing_folder_is_told_as_ever(cli, tmp_path):
    result = move(cli, tmp_path / "nosuch", tmp_path / "out")
    assert "no such file or folder" in result.error
