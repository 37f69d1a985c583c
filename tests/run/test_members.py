"""Which run is the newest, and where it may be a cross-validation."""

import os

import pytest

from cnncli.errors import CnncliError
from cnncli.run.members import find_members
from cnncli.training.find_checkpoint import find_checkpoint


def touch(path, time):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.utime(path, (time, time))


def write_run(folder, time, *, done=True):
    touch(folder / "best.safetensors", time)
    if done:
        (folder / "report.json").touch()


def write_folds(folder, *times, done=True):
    """Write a cross-validation, a fold for each time, or one that lacks its last fold."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(f"folds: {len(times) + (not done)}\n")
    for number, time in enumerate(times, start=1):
        write_run(folder / f"fold{number}", time)
    if done:
        (folder / "report.json").touch()


def test_a_cross_validation_is_as_new_as_its_newest_fold(tmp_path):
    write_folds(tmp_path / "cv", 1000, 3000)
    write_run(tmp_path / "run", 2000)
    files = [tmp_path / "cv" / f"fold{fold}" / "best.safetensors" for fold in (1, 2)]
    for given in (None, "last"):
        assert find_members(given, str(tmp_path))[1:] == (files, "the newest run")


def test_where_one_network_is_wanted_a_newer_cross_validation_is_told(tmp_path):
    write_folds(tmp_path / "cv", 1000, 3000)
    with pytest.raises(CnncliError, match="cv: a cross-validation of 2 networks"):
        find_checkpoint(None, str(tmp_path))
    write_run(tmp_path / "run", 2000)
    path, how = find_checkpoint(None, str(tmp_path))
    assert path.parent.name == "run"
    assert how == "the newest finished run; cv is newer, and a cross-validation"


def test_what_is_newer_and_not_finished_is_told(tmp_path):
    write_folds(tmp_path / "cv", 1000, 1001)
    write_folds(tmp_path / "half", 3000, done=False)
    write_run(tmp_path / "run", 2000, done=False)
    path, files, how = find_members(None, str(tmp_path))
    assert (path.parent.name, len(files)) == ("cv", 2)
    assert how == "the newest finished run; half is newer, and not finished"
    path, files, how = find_members("last", str(tmp_path))
    assert (path.parent.name, len(files)) == ("run", 1)
    told = "the newest run of one network, itself not finished; half is newer, and not finished"
    assert how == told
