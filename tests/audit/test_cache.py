"""The cache of facts on files: what is known is not read again, and a broken cache does no harm."""

import os
import sqlite3
import subprocess
import sys

import numpy as np
import pytest
from helpers import write_digits

from cnncli.audit import cache, collect
from cnncli.audit.cache import VERSION, FactsCache, find_cache_folder, make_key
from cnncli.audit.collect import collect_facts
from cnncli.audit.file_facts import FileFacts
from cnncli.data.find_samples import find_samples


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    """Return where the cache of this test lies."""
    folder = tmp_path / "cache of mine"
    monkeypatch.setenv("CNNCLI_CACHE", str(folder))
    return folder


@pytest.fixture
def data(tmp_path):
    """Return a clean set: two classes of 20 real digits in train and 10 in val."""
    root = tmp_path / "données"
    for split, count, start in (("train", 20, 0), ("val", 10, 20)):
        write_digits(root / split, ("3", "8"), count, names=("drei", "acht"), start=start)
    return root


def test_a_second_look_decodes_nothing(data, cache_folder, monkeypatch):
    samples = find_samples(str(data))
    once = collect_facts(samples, threads=2, cache_folder=cache_folder)

    def refuse(files):
        raise AssertionError("decoded again")

    monkeypatch.setattr(collect, "read_file_facts", refuse)
    again = collect_facts(samples, threads=2, cache_folder=cache_folder)
    assert (once.from_cache, again.from_cache) == (0, 60)
    assert again.files == once.files
    assert (np.asarray(again.thumbnails) == np.asarray(once.thumbnails)).all()


def test_a_changed_file_is_looked_at_anew(data, cache_folder):
    samples = find_samples(str(data))
    before = collect_facts(samples, threads=2, cache_folder=cache_folder)
    paths = [data / path for path in samples.paths]
    content, status = paths[0].read_bytes(), paths[0].stat()
    paths[0].write_bytes(paths[1].read_bytes())  # another size
    os.utime(paths[0], ns=(status.st_atime_ns, status.st_mtime_ns))
    os.utime(paths[2], ns=(status.st_atime_ns, status.st_mtime_ns + 1))  # another time
    paths[3].write_bytes(b"")
    after = collect_facts(samples, threads=2, cache_folder=cache_folder)
    same_size = len(paths[1].read_bytes()) == len(content)
    assert after.from_cache == 58 - (not same_size)
    assert after.files[2] == before.files[2]
    assert "empty" in after.files[3].problem


@pytest.mark.parametrize("damage", ["garbage", "cut", "empty", "foreign", "rows"])
def test_a_damaged_cache_does_no_harm(data, cache_folder, damage):
    samples = find_samples(str(data))
    expected = collect_facts(samples, threads=2, cache_folder=cache_folder).files
    path = cache_folder / f"check-data-{VERSION}.sqlite"
    content = path.read_bytes()
    if damage == "foreign":
        path.unlink()
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE looks (other TEXT)")
    elif damage == "rows":
        with sqlite3.connect(path) as connection:
            connection.execute("UPDATE looks SET look = '[1, 2', thumbnail = x'00'")
    else:
        changed = {"garbage": os.urandom(len(content)), "cut": content[:5000], "empty": b""}
        path.write_bytes(changed[damage])
    for _ in range(2):
        again = collect_facts(samples, threads=2, cache_folder=cache_folder)
        assert again.files == expected
    if damage != "foreign":
        assert again.from_cache == 60


def test_a_cache_that_cannot_be_written_does_no_harm(data, tmp_path):
    closed = tmp_path / "a file, no folder"
    closed.write_text("")
    samples = find_samples(str(data))
    assert collect_facts(samples, threads=2, cache_folder=closed).from_cache == 0


def test_a_held_cache_does_no_harm(data, cache_folder, monkeypatch):
    """Another process that writes for longer than we wait costs us the cache, not the check."""

    cache_folder.mkdir()
    holder = cache.FactsCache(cache_folder)
    connection = sqlite3.connect(cache_folder / f"check-data-{VERSION}.sqlite")
    connection.execute("BEGIN EXCLUSIVE")
    monkeypatch.setattr(cache, "_PATIENCE", 0.05)
    samples = find_samples(str(data))
    assert all(collect_facts(samples, threads=2, cache_folder=cache_folder).readable)
    connection.rollback()
    connection.close()
    holder.close()


def test_processes_share_the_cache(data, tmp_path):
    command = ("check-data", data, "--format", "json")
    env = {"CNNCLI_CACHE": str(tmp_path / "shared")}
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "cnncli", *map(str, command)],
            env={**os.environ, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    answers = [process.communicate(timeout=120) for process in started]
    assert [process.returncode for process in started] == [0, 0], answers
    assert len({out for out, _ in answers}) == 1
    samples = find_samples(str(data))
    assert collect_facts(samples, threads=1, cache_folder=tmp_path / "shared").from_cache == 60


def test_old_looks_are_forgotten(data, cache_folder, monkeypatch):

    paths = sorted(data.rglob("*.png"))[:2]
    old = FactsCache(cache_folder)
    monkeypatch.setattr(cache, "_today", lambda: 10)
    old.save(make_key([str(paths[0])]), FileFacts(), np.zeros((64, 64), np.uint8))
    old.close()
    monkeypatch.setattr(cache, "_today", lambda: 500)
    new = FactsCache(cache_folder)
    assert len(new.load([make_key([str(paths[0])])])) == 1
    new.save(make_key([str(paths[1])]), FileFacts(), np.zeros((64, 64), np.uint8))
    new.close()
    left = FactsCache(cache_folder).load(make_key([str(path)]) for path in paths)
    assert list(left) == [str(paths[1])]


def test_where_the_cache_lies(monkeypatch, tmp_path):
    monkeypatch.setenv("CNNCLI_CACHE", str(tmp_path))
    assert find_cache_folder() == tmp_path
    monkeypatch.delenv("CNNCLI_CACHE")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert find_cache_folder() == tmp_path / "xdg" / "cnncli"
