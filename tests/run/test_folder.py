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


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ([], "not a run folder (it has no config.yaml)"),
        (["picture.png", "masks/1.png"], "not a run folder (it has no config.yaml)"),
        (["metrics.csv"], "half a run folder: it has metrics.csv, but no config.yaml"),
        (["last.pt", "best.safetensors"], "it has best.safetensors, last.pt, but no config.yaml"),
        (["report.json", "predictions.csv"], "it has report.json, but no config.yaml"),
        (
            ["evaluation/report.json", "evaluation/predictions.csv"],
            "it has no config.yaml, only what evaluate --output wrote (evaluation)",
        ),
        (
            ["a/config.yaml"],
            "not a run folder, but run folders are in it; name one of them: a",
        ),
    ],
)
def test_half_a_run_folder_is_told(cli, tmp_path, files, why):
    for name in files:
        (tmp_path / "half" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "half" / name).touch()
    (tmp_path / "half").mkdir(exist_ok=True)
    said = cli("train", "--resume", tmp_path / "half")
    assert said.code == 2
    assert why in said.error
    assert said.error.startswith(f"--resume {tmp_path / 'half'}: ")
    if "config.yaml" not in str(files):
        assert f"half: {'left out: ' * ('metrics.csv' not in files)}" in (
            text := cli("compare", tmp_path / "half").err
        )
        assert why in text


def test_no_folder_at_all_is_told(cli, tmp_path):
    (tmp_path / "file").touch()
    assert "nowhere: no such folder" in cli("train", "--resume", tmp_path / "nowhere").error
    assert "file: not a run folder (a file)" in cli("train", "--resume", tmp_path / "file").error


@pytest.mark.parametrize("content", ["", "\n\n", "# Data\n", "\r\n# x\r\n"])
def test_an_empty_config_is_told(cli, tmp_path, content):
    (tmp_path / "config.yaml").write_text(content, newline="")
    said = cli("train", "--resume", tmp_path)
    assert said.code == 2
    assert said.error == (
        f"--resume {tmp_path}: config.yaml is empty, and a run goes on with the settings that were "
        "in it; put it back"
    )
    (tmp_path / "best.safetensors").touch()
    assert f"--weights {tmp_path}" in cli("train", "--resume", tmp_path).error
    (tmp_path / "report.json").touch()
    assert "is finished" in cli("train", "--resume", tmp_path).err
