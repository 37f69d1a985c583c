"""A run's folder: its name, and what is left of a run that fails."""

import pytest

from cnncli.run import folder as run_dirs
from cnncli.training.stopping import Stopped


def test_two_runs_in_one_second(tmp_path, monkeypatch):
    class Stopped(run_dirs.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2026, 1, 2, 3, 4, 5)

    monkeypatch.setattr(run_dirs, "datetime", Stopped)
    made = []
    for _ in range(3):
        with run_dirs.new_run_dir(str(tmp_path / "deep/runs"), "m") as path:
            (path / "best.safetensors").touch()
            made.append(path.name)
    assert made == ["2026-01-02_030405_m", "2026-01-02_030405_m-2", "2026-01-02_030405_m-3"]


def fail_in_run_dir(output, name):
    """Write one file into a new run folder, then fail."""
    with run_dirs.new_run_dir(str(output), "m") as path:
        (path / name).touch()
        raise ZeroDivisionError


def test_a_run_that_was_asked_to_stop_stays(tmp_path):
    with pytest.raises(Stopped), run_dirs.new_run_dir(str(tmp_path / "runs"), "m") as path:
        raise Stopped("in epoch 1, step 3")
    assert path.is_dir()


def test_a_failed_start_takes_its_folders_away(tmp_path):
    with pytest.raises(ZeroDivisionError):
        fail_in_run_dir(tmp_path / "a/b", "config.yaml")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "a").mkdir()
    with pytest.raises(ZeroDivisionError):
        fail_in_run_dir(tmp_path / "a/b", "config.yaml")
    assert [path.name for path in tmp_path.rglob("*")] == ["a"]
    with pytest.raises(ZeroDivisionError):
        fail_in_run_dir(tmp_path / "a", "best.safetensors")  # an epoch is done: kept
    assert len(list(tmp_path.glob("a/*/best.safetensors"))) == 1
