"""Runs: a list of what lies in a folder of runs, whatever has become of them."""

import csv
import dataclasses
import io
import json
import os
import re
import shutil
import sys

import pytest
from fresh_process import HEAVY, run
from helpers import ROOT
from written_run import write_run

from cnncli.commands.runs import format_bytes
from cnncli.files import CONFIG_FILE, LOCK_FILE, METRICS_FILE, REPORT_FILE
from cnncli.run.lock import this_process

OLD_RUNS = ROOT / "tests" / "fixtures" / "old_run"


def age(folder, seconds):
    """Let a run's newest file be of a time."""
    os.utime(folder / CONFIG_FILE, (seconds, seconds))


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Return a folder with a finished run and a newer one that was stopped."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs"
    age(write_run(folder / "2026-01-01_done_lenet5", [0.9, 0.5, 0.6], epochs=3), 1000)
    age(write_run(folder / "2026-01-02_cut_cnn", [0.9, 0.4], report=None, epochs=33), 2000)
    return folder


def listed(cli, *args):
    result = cli("runs", "--format", "json", *args)
    assert result.code == 0, result.err
    return {row["run"]: row for row in json.loads(result.out)}


def lock(folder, **changed):
    """Write the lock of this process, or of one that differs from it."""
    process = dataclasses.asdict(dataclasses.replace(this_process(), **changed))
    (folder / LOCK_FILE).write_text(json.dumps(process))


def test_the_newest_first_with_its_figures(cli, runs):
    result = cli("runs", "--format", "json")
    cut, done = json.loads(result.out)
    assert result.err == ""
    assert list(done) == ["run", "data", "model", "state", "best_epoch", "metrics", "bytes", "note"]
    assert (done["run"], cut["run"]) == ("2026-01-01_done_lenet5", "2026-01-02_cut_cnn")
    assert (done["data"], done["model"]) == ("./figures", "lenet5")
    assert (done["state"], cut["state"]) == ("finished", "stopped at epoch 2 of 33")
    assert (done["best_epoch"], cut["best_epoch"]) == (2, 2)
    assert done["metrics"] == {
        "val_loss": 0.5,
        "val_accuracy": 0.5,
        "val_balanced_accuracy": 0.5,
        "val_macro_f1": 0.5,
        "val_calibrated_loss": 0.5,
        "test_accuracy": 0.75,
    }
    assert cut["metrics"]["test_accuracy"] is None
    files = (runs / "2026-01-01_done_lenet5").iterdir()
    assert done["bytes"] == sum(len(path.read_bytes()) for path in files)


def test_csv_has_a_column_for_each_figure(cli, runs):
    result = cli("runs", "--dir", runs)
    first, second = csv.DictReader(io.StringIO(result.out))
    assert [first["run"], second["run"]] == ["2026-01-02_cut_cnn", "2026-01-01_done_lenet5"]
    assert (second["val_loss"], second["test_accuracy"]) == ("0.5", "0.75")
    assert (first["test_accuracy"], first["best_epoch"]) == ("", "2")


def test_a_run_is_running_while_its_process_is(cli, runs):
    folder = runs / "2026-01-02_cut_cnn"
    lock(folder)
    assert listed(cli)[folder.name]["state"] == "running, 2 of 33 epochs done"
    lock(folder, host="elsewhere", pid=17)
    state = "perhaps running, 2 of 33 epochs done: process 17 on elsewhere"
    assert listed(cli)[folder.name]["state"] == state
    lock(folder, boot="before")
    state = listed(cli)[folder.name]["state"]
    assert state.startswith("stopped at epoch 2 of 33: its process ended")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": "x", "host": "y"}', "[" * 100_000])
def test_a_lock_that_says_nothing_is_none(cli, runs, content):
    (runs / "2026-01-02_cut_cnn" / LOCK_FILE).write_text(content)
    assert listed(cli)["2026-01-02_cut_cnn"]["state"] == "stopped at epoch 2 of 33"


def test_a_run_that_has_no_epoch_and_one_that_has_all(cli, runs):
    write_run(runs / "new", [], report=None, epochs=4)
    write_run(runs / "trial", [0.5, 0.4], report=None, epochs=2)
    found = listed(cli)
    assert found["new"]["state"] == "stopped before the end of epoch 1"
    assert found["new"]["best_epoch"] is None
    assert found["trial"]["state"] == "stopped at epoch 2 of 2: not evaluated"


def test_a_report_on_val_is_no_test_figure(cli, runs):
    path = runs / "2026-01-01_done_lenet5" / REPORT_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | {"split": "val (chosen on)"}))
    assert listed(cli)["2026-01-01_done_lenet5"]["metrics"]["test_accuracy"] is None


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        (METRICS_FILE, "garbage\n", "metrics.csv: not the metrics.csv of a run"),
        (METRICS_FILE, "epoch,train_loss,val_loss,val_accuracy\ninf,1,1,1\n", "line 2 is damaged"),
        (METRICS_FILE, "epoch,train_loss,val_loss,val_accuracy\n1,x,1,1\n", "line 2 is damaged"),
        (METRICS_FILE, "epoch,train_loss,val_loss,val_accuracy\n1,\0,1,1\n", "is damaged"),
        (METRICS_FILE, b"\xff\xfe\n", "it is no text"),
        (METRICS_FILE, f"epoch{'x' * 200_000}\n1\n", "it is no CSV"),
        (CONFIG_FILE, "", "config.yaml: holds no settings"),
        (CONFIG_FILE, "a: [", "config.yaml: "),
        (CONFIG_FILE, "monitor: [val_loss]\n", "monitor: must be one of"),
        (CONFIG_FILE, None, "half a run folder"),
        (REPORT_FILE, "[1", "not the report.json of a run"),
        (REPORT_FILE, "[" * 100_000, "not the report.json of a run"),
        ("best.safetensors", "no weights", "not the checkpoint of a run"),
    ],
)
def test_a_damaged_run_has_its_row(cli, runs, file, content, words):
    path = runs / "2026-01-01_done_lenet5" / file
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    found = listed(cli)
    assert found["2026-01-02_cut_cnn"]["state"].startswith("stopped")
    state = found["2026-01-01_done_lenet5"]["state"]
    assert state.startswith("damaged: ")
    assert words in state
    result = cli("runs", "--format", "table")
    assert result.code == 0
    assert f"Warning: 2026-01-01_done_lenet5: {state}"[:60] in result.err


def test_strange_values_are_no_error(cli, runs):
    (runs / "2026-01-01_done_lenet5" / CONFIG_FILE).write_text("epochs: many\ndata: {a: [1]}\n")
    row = listed(cli)["2026-01-01_done_lenet5"]
    assert row["state"] == "finished"
    assert row["model"] is None


def test_other_folders_are_counted(cli, runs):
    for name in ("pictures", "judged"):
        (runs / name).mkdir()
    (runs / "judged" / REPORT_FILE).write_text("{}")  # of evaluate --output
    (runs / "curves.png").touch()
    result = cli("runs", "--format", "csv")
    assert len(result.out.splitlines()) == 3
    assert result.err == "left out: 2 folders that are no runs (judged, pictures)\n"


def test_no_run_at_all(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    missing = cli("runs")
    assert missing.code == 2
    assert missing.error.startswith("--dir runs: there is no such folder")
    (tmp_path / "runs").mkdir()
    for kind, out in (("table", ""), ("json", "[]\n")):
        result = cli("runs", "--format", kind)
        assert (result.code, result.out) == (0, out)
        assert result.err.startswith("no run in runs/")


def test_a_run_is_no_folder_of_runs(cli, runs):
    result = cli("runs", "--dir", runs / "2026-01-02_cut_cnn")
    assert result.code == 2
    assert f"is a run itself; it lies in {runs}" in result.error


def test_runs_of_an_earlier_version(cli):
    found = listed(cli, "--dir", OLD_RUNS)
    assert found["finished"]["state"] == "finished"
    assert found["finished"]["best_epoch"] == 5
    assert found["unfinished"]["state"] == "stopped at epoch 2 of 5"


@pytest.mark.parametrize("columns", [80, 100, 120, 140])
def test_no_cell_of_the_table_is_broken(cli, runs, monkeypatch, columns):
    shutil.copytree(runs / "2026-01-01_done_lenet5", runs / f"2026-01-03_{'long_' * 20}end")
    write_run(runs / "2026-01-04", [0.9], report=None, epochs=1000, data="d" * 90, model="m" * 90)
    monkeypatch.setenv("COLUMNS", str(columns))
    # The stream is only known when the command runs.
    monkeypatch.setattr(type(sys.stdout), "isatty", lambda self: True, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    lines = [line for line in cli("runs").out.splitlines() if line.strip()]
    head = next(i for i, line in enumerate(lines) if line.startswith("run "))
    lines = [line for line in lines[head:] if not line.startswith("  ")]
    assert len(lines[2:6]) == 4  # a line for each run, below the header
    assert max(map(len, lines)) <= columns
    assert "2026-01-01_done_lenet5" in "".join(lines)
    assert ("figures" in "".join(lines)) == (columns >= 140)


def test_bytes_have_their_unit():
    sizes = (0, 999, 1000, 9_940, 12_345, 45_600_000, 2_500_000_000)
    words = ["0 B", "999 B", "1.0 kB", "9.9 kB", "12 kB", "46 MB", "2.5 GB"]
    assert [format_bytes(size) for size in sizes] == words


def test_it_is_light(runs):
    modules, _ = run("runs", "--format", "csv", cwd=runs.parent)
    assert not modules & (HEAVY - {"safetensors"})


def test_show_by_a_part_of_the_name(cli, runs):
    for given in ("2026-01-01", "done", "runs/2026-01-01_done_lenet5", "2026-01-01_done_lenet5"):
        shown = json.loads(cli("runs", "show", given, "--format", "json").out)
        assert shown["run"] == "2026-01-01_done_lenet5"
    assert (shown["epochs_run"], shown["monitor"]) == (3, "val_loss")
    assert shown["report"]["accuracy"]["low"] == 0.5
    assert shown["settings"]["epochs"] == 3
    assert shown["files"][CONFIG_FILE] == (runs / shown["run"] / CONFIG_FILE).stat().st_size
    text = cli("runs", "show", "last", "--format", "table").out
    assert "2026-01-02_cut_cnn" in text
    assert "stopped at epoch 2 of 33" in text
    text = cli("runs", "show", "done", "--format", "table").out
    assert "test: accuracy 0.7500 (0.5000–1.0000)" in text
    rows = list(csv.DictReader(io.StringIO(cli("runs", "show", "cut", "--format", "csv").out)))
    assert [row["run"] for row in rows] == ["2026-01-02_cut_cnn"]


def test_a_whole_name_wins_over_a_part(cli, runs):
    write_run(runs / "cut", [0.5])
    assert json.loads(cli("runs", "show", "cut", "--format", "json").out)["run"] == "cut"


def test_show_of_a_damaged_run(cli, runs):
    (runs / "2026-01-02_cut_cnn" / CONFIG_FILE).write_text("lr: .inf\nmonitor: 3\n")
    shown = json.loads(cli("runs", "show", "cut", "--format", "json").out)
    assert shown["state"].startswith("damaged: config.yaml: monitor")
    assert shown["settings"] == {"lr": "inf"}
    assert "damaged" in cli("runs", "show", "cut", "--format", "table").out


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("shw", "x"), "did you mean show?"),
        (("show",), "name a run"),
        (("show", "a", "b"), "takes one run"),
        (("show", "2026"), "2 runs: 2026-01-02_cut_cnn, 2026-01-01_done_lenet5"),
        (("show", "nosuch"), "no run of that name in runs/"),
        (("show", "2026-01-02_cut_cmn"), "did you mean 2026-01-02_cut_cnn"),
        (("show", "runs/nosuch"), "no such folder"),
        (("show", ""), "the name of a run is empty"),
        (("--yes",), "--yes: is for prune and delete only"),
        (("delete", "cut", "--yes", "--format", "csv"), "--format"),
        (("prune", "--format", "csv"), "--format"),
        (("prune", "cut"), "not a finished run (stopped at epoch 2 of 33)"),
        (("delete", "cut", "--all"), "--all: is for prune only"),
        (("note", "cut", "x", "--dry-run"), "--dry-run: is for prune only"),
        (("note",), "name a run"),
        (("note", "cut"), "give the text"),
        (("note", "cut", "x" * 1001), "1001 characters"),
        (("delete", "last", "--yes"), "name the run"),
        (("delete", "2026", "--yes"), "may be any of 2 runs"),
        (("delete", ".", "--yes"), "not a run folder"),
        (("delete", "cut"), "add --yes to delete runs/2026-01-02_cut_cnn"),
    ],
)
def test_mistakes(cli, runs, args, words):
    result = cli("runs", *args)
    assert (result.code, result.out) == (2, "")
    assert words in result.error
    assert len(listed(cli)) == 2


def test_delete(cli, runs):
    result = cli("runs", "delete", "cut", "runs/2026-01-02_cut_cnn", "--yes")
    assert (result.code, result.out) == (0, "runs/2026-01-02_cut_cnn\n")
    assert [path.name for path in runs.iterdir()] == ["2026-01-01_done_lenet5"]


@pytest.mark.parametrize(("answer", "left"), [("y\n", 1), ("n\n", 2), ("\n", 2), ("", 2)])
def test_delete_asks_on_a_terminal(cli, runs, monkeypatch, answer, left):
    monkeypatch.setattr("cnncli.commands.runs._can_ask", lambda: True)
    result = cli("runs", "delete", "cut", stdin=answer)
    assert result.code == 0
    assert "runs/2026-01-02_cut_cnn: stopped at epoch 2 of 33" in result.err
    assert ("nothing is deleted" in result.err) == (left == 2)
    assert len(list(runs.iterdir())) == left


def test_what_is_no_run_is_never_deleted(cli, runs, tmp_path):
    done = runs / "2026-01-01_done_lenet5"
    (runs / "project").mkdir()
    (runs / "project" / CONFIG_FILE).write_text("model: mine\n")
    (runs / "linked").symlink_to(done)
    (runs / "prepared").mkdir()  # as split and train --print-config may leave it
    (runs / "prepared" / CONFIG_FILE).touch()
    (runs / "prepared" / "splits.csv").touch()
    write_run(runs / "outer", [0.5])
    write_run(runs / "outer" / "inner", [0.5])
    shutil.copytree(done, runs / "odd")
    (tmp_path / "precious").write_text("precious")
    (runs / "odd" / LOCK_FILE).symlink_to(tmp_path / "precious")
    for name, words in (
        ("project", "it may not be a run"),
        ("linked", "a link to"),
        ("outer", "holds what no run writes (inner/)"),
        ("prepared", "it may not be a run"),
        ("odd", "is no file of a run"),
    ):
        for given in (name, f"runs/{name}"):
            # Nothing is deleted if one of them must not be.
            result = cli("runs", "delete", "cut", given, "--yes")
            assert (result.code, result.out) == (2, "")
            assert words in result.error
    assert len(list(runs.iterdir())) == 7
    assert (tmp_path / "precious").read_text() == "precious"


def test_the_folder_of_runs_is_no_name_of_its_newest_run(cli, runs):
    before = sorted(runs.rglob("*"))
    for action in (["delete", "--yes"], ["show"], ["prune", "--yes"], ["note"]):
        words = ["runs", action[0], "runs", *action[1:], *(["hello"] if action == ["note"] else [])]
        result = cli(*words)
        assert (result.code, result.out) == (2, ""), words
        assert "no run of that name in runs/" in result.error
    assert sorted(runs.rglob("*")) == before


@pytest.mark.parametrize("name", ["thesis.txt", "mine/thesis.txt", "curves.png/thesis.txt"])
def test_what_is_not_the_runs_is_never_deleted(cli, runs, name):
    foreign = runs / "2026-01-02_cut_cnn" / name
    foreign.parent.mkdir(exist_ok=True)
    foreign.write_text("precious")
    result = cli("runs", "delete", "cut", "--yes")
    assert (result.code, result.out) == (2, "")
    assert f"holds what no run writes ({name.replace('/thesis.txt', '/')})" in result.error
    assert (runs / "2026-01-02_cut_cnn" / METRICS_FILE).exists()
    assert foreign.read_text() == "precious"


@pytest.mark.parametrize("given", [".", "../2026-01-02_cut_cnn", "./"])
def test_the_folder_one_is_in_is_not_deleted(cli, runs, monkeypatch, given):
    monkeypatch.chdir(runs / "2026-01-02_cut_cnn")
    result = cli("runs", "delete", given, "--yes")
    assert (result.code, result.out) == (2, "")
    assert "you are in it" in result.error
    assert (runs / "2026-01-02_cut_cnn" / METRICS_FILE).exists()


def test_links_in_a_run_are_not_followed(cli, runs, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "1.png").touch()
    (runs / "2026-01-02_cut_cnn" / "epochs").symlink_to(tmp_path / "images")
    assert cli("runs", "delete", "cut", "--yes").code == 2
    (runs / "2026-01-02_cut_cnn" / "epochs").unlink()
    (runs / "2026-01-02_cut_cnn" / "tensorboard").mkdir()
    (runs / "2026-01-02_cut_cnn" / "tensorboard" / "link").symlink_to(tmp_path / "images")
    assert cli("runs", "delete", "cut", "--yes").code == 0
    assert (tmp_path / "images" / "1.png").exists()


def test_a_running_run_is_not_deleted(cli, runs):
    folder = runs / "2026-01-02_cut_cnn"
    for changed, words in (({}, "is training it"), ({"host": "elsewhere"}, "nobody can see")):
        lock(folder, **changed)
        result = cli("runs", "delete", "cut", "--yes")
        assert result.code == 2
        assert words in result.error
        assert folder.is_dir()
    lock(folder, boot="before")  # its process is gone
    assert cli("runs", "delete", "cut", "--yes").code == 0
    assert not folder.exists()


def test_a_note(cli, runs):
    folder = runs / "2026-01-01_done_lenet5"
    result = cli("runs", "note", "done", "baseline,\tlr \x1b[31m1e-3\n두 번째")
    assert (result.code, result.out) == (0, "runs/2026-01-01_done_lenet5\n")
    note = "baseline, lr \\x1b[31m1e-3 두 번째"
    assert (folder / "note.txt").read_text(encoding="utf-8") == note + "\n"
    assert {name: row["note"] for name, row in listed(cli).items()} == {
        folder.name: note,
        "2026-01-02_cut_cnn": None,
    }
    assert note in cli("runs", "show", "done", "--format", "table").out
    assert note in cli("runs", "--format", "table").out
    replaced = cli("runs", "note", "done", "two", "words")
    assert replaced.err == f"it was: {note}\n"
    assert listed(cli)[folder.name]["note"] == "two words"
    assert cli("runs", "note", "done", "").err == "its note is removed\n"
    assert not (folder / "note.txt").exists()
    assert cli("runs", "note", "done", " ").err == "it had no note\n"
    assert "note" not in cli("runs", "--format", "table").out


def test_a_note_that_is_none(cli, runs):
    folder = runs / "2026-01-01_done_lenet5"
    (folder / "note.txt").write_bytes(b"\xff\x1b[2J\n" * 2)
    assert listed(cli)[folder.name]["note"] == "\ufffd\\x1b[2J \ufffd\\x1b[2J"
    (folder / "note.txt").unlink()
    os.mkfifo(folder / "note.txt")
    assert listed(cli)[folder.name]["note"] is None


@pytest.fixture
def full(runs):
    """Return the runs, with the files in them that prune looks for."""
    for folder in runs.iterdir():
        (folder / "last.pt").write_bytes(b"x" * 3000)
        (folder / "last.pt.part").write_bytes(b"x" * 500)
        (folder / "epochs").mkdir()
        for name in ("0000.safetensors", "0002.safetensors", "mine.txt", "mine.safetensors"):
            (folder / "epochs" / name).write_bytes(b"y" * 1000)
    return runs


def all_files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("args", [(), ("done",)])
def test_prune(cli, full, args):
    before = all_files(full)
    dry = cli("runs", "prune", *args, "--dry-run")
    assert dry.err.endswith("would free 3.5 kB\n")
    assert all_files(full) == before
    result = cli("runs", "prune", *args, "--yes")
    assert result.code == 0
    done = "2026-01-01_done_lenet5"
    gone = [f"{done}/last.pt", f"{done}/last.pt.part"]
    assert result.out == dry.out == "".join(f"runs/{name}\n" for name in gone)
    assert result.err.endswith("freed 3.5 kB\n")
    left = "left alone: 1 run that is not finished (2026-01-02_cut_cnn)"
    assert (left in result.err) == (not args)
    assert all_files(full) == [name for name in before if name not in gone]
    again = cli("runs", "prune", *args)
    assert (again.code, again.out) == (0, "")
    assert again.err.endswith("nothing to remove: no finished run has a last.pt\n")


def test_prune_all(cli, full):
    done = full / "2026-01-01_done_lenet5"
    assert cli("runs", "prune", "--all", "--yes").code == 0
    assert sorted(path.name for path in (done / "epochs").iterdir()) == [
        "mine.safetensors",
        "mine.txt",
    ]
    assert {"config.yaml", "metrics.csv", "splits.csv", "report.json"} <= set(all_files(done))
    (full / "2026-01-02_cut_cnn" / REPORT_FILE).write_bytes((done / REPORT_FILE).read_bytes())
    for name in ("mine.txt", "mine.safetensors"):
        (full / "2026-01-02_cut_cnn" / "epochs" / name).unlink()
    assert cli("runs", "prune", "cut", "--all", "--yes").out.count("\n") == 4
    assert not (full / "2026-01-02_cut_cnn" / "epochs").exists()


@pytest.mark.parametrize(("answer", "goes"), [("y\n", True), ("\n", False)])
def test_prune_asks_on_a_terminal(cli, full, monkeypatch, answer, goes):
    refused = cli("runs", "prune")
    assert refused.code == 2
    assert "add --yes to remove runs/2026-01-01_done_lenet5/last.pt" in refused.error
    monkeypatch.setattr("cnncli.commands.runs._can_ask", lambda: True)
    result = cli("runs", "prune", stdin=answer)
    assert "runs/2026-01-01_done_lenet5: last.pt, last.pt.part, 3.5 kB\n" in result.err
    assert "Delete 2 files, 3.5 kB, for ever? [y/N]" in result.err
    assert (full / "2026-01-01_done_lenet5" / "last.pt").exists() != goes


def test_prune_follows_no_link_and_takes_no_run_in_use(cli, full, tmp_path):
    done = full / "2026-01-01_done_lenet5"
    lock(done)
    before = all_files(full)
    assert "a process has it" in cli("runs", "prune", "done", "--yes").error
    assert cli("runs", "prune", "--all", "--yes").out == ""
    assert all_files(full) == before
    (done / LOCK_FILE).unlink()
    (tmp_path / "precious").write_text("precious")
    (done / "last.pt").unlink()
    (done / "last.pt").symlink_to(tmp_path / "precious")
    shutil.move(done / "epochs", tmp_path / "epochs")
    (done / "epochs").symlink_to(tmp_path / "epochs")
    (full / "linked").symlink_to(done)
    assert cli("runs", "prune", "--all", "--yes").out.count("\n") == 2
    assert (tmp_path / "precious").read_text() == "precious"
    assert len(list((tmp_path / "epochs").iterdir())) == 4
    (done / REPORT_FILE).write_text("[")  # nobody knows whether it is finished
    (done / "last.pt").touch()
    assert "damaged" in cli("runs", "prune", "done", "--yes").error


def test_trials_of_a_search(cli, runs):
    """As tune leaves them: one that came to its end, one by an earlier version, one pruned."""
    study = runs / "tune" / "rates"
    ended = write_run(study / "trial_0000" / "2026_a", [0.9], report=None, epochs=5)
    (ended / "best.safetensors").touch()
    old = write_run(study / "trial_0001" / "2026_b", [0.9, 0.8], report=None, epochs=2)
    pruned = write_run(study / "trial_0002" / "2026_c", [0.9], report=None, epochs=5)
    for folder in (old, pruned):
        (folder / "last.pt").touch()
    (ended / "best.safetensors").unlink()
    (ended / "best.safetensors").write_bytes((OLD_RUNS / "finished/best.safetensors").read_bytes())
    result = cli("runs")
    assert "cnncli runs --dir runs/tune/rates" in result.err
    assert "no run" not in result.err
    found = listed(cli, "--dir", study)
    states = {name: row["state"] for name, row in found.items()}
    assert states == {
        "trial_0000/2026_a": "finished: a trial of tune, not judged on the test images",
        "trial_0001/2026_b": "finished: a trial of tune, not judged on the test images",
        "trial_0002/2026_c": "stopped at epoch 1 of 5",
    }
    shown = json.loads(cli("runs", "show", "trial_0002", "--dir", study, "--format", "json").out)
    assert shown["path"] == str(pruned)
    assert cli("runs", "prune", "--dir", study, "--yes").out == f"{old}/last.pt\n"


def test_a_note_stays_and_the_total_is_told(cli, runs, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    cli("runs", "note", "done", "the baseline of the paper, with no augmentation at all")
    result = cli("runs", "--format", "table")
    header = next(line for line in result.out.splitlines() if line.startswith("run "))
    assert header.split()[-1] == "note"
    assert re.search(r"^\d+ runs, [\d.,]+ (B|kB|MB)$", result.err, re.MULTILINE)


def test_a_fitted_head_is_no_epoch(cli, runs):
    write_run(runs / "fitted", [0.5, 0.4, 0.3], epochs=2)
    metrics = runs / "fitted" / METRICS_FILE
    header, *rows = metrics.read_text().splitlines()
    numbered = [f"{number},{row.split(',', 1)[1]}" for number, row in enumerate(rows)]
    metrics.write_text("\n".join([header, *numbered]) + "\n")
    shown = json.loads(cli("runs", "show", "fitted", "--format", "json").out)
    assert (shown["epochs_run"], shown["state"]) == (2, "finished")
    compared = json.loads(cli("compare", "runs/fitted", "runs/2026-01-01_done_lenet5",
                              "--format", "json").out)  # fmt: skip
    by_name = {run["run"]: run for run in compared["runs"]}
    assert (by_name["fitted"]["epochs_run"], by_name["fitted"]["best_epoch"]) == (2, 2)
