"""A run that is resumed has the images, labels and splits that it was begun with."""

import csv
import shutil

import pytest
import yaml
from helpers import ROOT, train, write_digits

from cnncli.config import RunConfig
from cnncli.recipes.train import resume_run, train_run
from cnncli.reporting import SilentReporter
from cnncli.run.begun import BegunRun
from cnncli.run.samples import label_samples
from cnncli.training.state import load_state, save_state

PLAIN = {"model": "lenet5", "epochs": 2, "image_size": "16", "device": "cpu", "precision": "fp32"}


class BrokenOffError(Exception):
    """What ends a run from outside in these tests."""


def break_off(row):
    raise BrokenOffError


@pytest.fixture
def begin(tmp_path, monkeypatch):
    """Return a function that begins a run, breaks it off after epoch 1 and returns its folder."""
    monkeypatch.chdir(tmp_path)

    def begin(**settings):
        with pytest.raises(BrokenOffError):
            train_run(RunConfig(output="runs", **PLAIN, **settings), SilentReporter(), break_off)
        return next((tmp_path / "runs").iterdir())

    return begin


@pytest.fixture
def table(tmp_path):
    """Return a CSV of images in one folder, 12 of each of two classes."""
    rows = [("image", "label")]
    for path in write_digits(tmp_path / "t", classes=("0", "1"), per_class=12):
        label = path.parent.name
        (tmp_path / "t" / "all").mkdir(exist_ok=True)
        path.rename(tmp_path / "t" / "all" / path.name)
        rows.append((f"all/{path.name}", f"{label}.5"))
    for name in "01":
        (tmp_path / "t" / name).rmdir()
    path = tmp_path / "t" / "labels.csv"
    write(path, rows)
    return path


def write(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def read(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def edit(path, change):
    """Change the rows below a CSV's header."""
    header, *rows = read(path)
    write(path, [header, *change([list(row) for row in rows])])


def relabel(rows):
    rows[3][1], rows[5][1] = "1.5", "1.5"
    return rows


def without_record(run):
    """Make the state of a run one of an earlier version, which held no images."""
    state = load_state(run / "last.pt")
    del state["images"]
    save_state(run / "last.pt", state)


def refused(cli, run):
    before = {path: path.read_bytes() for path in run.iterdir()}
    said = cli("train", "--resume", run)
    assert said.code == 2
    assert said.error.startswith(f"--resume {run}: ")
    assert {path: path.read_bytes() for path in run.iterdir()} == before
    return said.error


@pytest.mark.parametrize("old", [False, True], ids=["recorded", "old"])
def test_labels_of_a_table_that_changed_are_an_error(cli, begin, table, old):
    run = begin(data=str(table))
    if old:
        without_record(run)
    edit(table, relabel)
    said = refused(cli, run)
    name = read(table)[4][0]
    assert f"2 of 24 images have another label now ({name}: '0.5' then, '1.5' now)" in said
    assert "put the labels back, or begin a new run: cnncli train --config" in said


def test_an_image_in_another_class_folder_is_an_error(cli, begin, tmp_path):
    victim = write_digits(tmp_path / "d", classes=("0", "1"))[0]
    run = begin(data="d")
    victim.rename(tmp_path / "d" / "1" / victim.name)
    said = refused(cli, run)
    assert (
        f"1 seems to have moved to another label (0/{victim.name}, '0', is 1/{victim.name}" in said
    )


def test_two_images_that_were_exchanged_are_an_error(cli, begin, tmp_path):
    first, *_, last = write_digits(tmp_path / "d", classes=("0", "1"))
    run = begin(data="d")
    one, other = first.read_bytes(), last.read_bytes()
    first.write_bytes(other)
    last.write_bytes(one)
    assert "2 of the 24 images are not the files they were" in refused(cli, run)


def test_a_renamed_class_is_an_error(cli, begin, table):
    run = begin(data=str(table))
    edit(table, lambda rows: [[path, label.replace("1.5", "one")] for path, label in rows])
    assert "12 of 24 images have another label now" in refused(cli, run)


def test_labels_changed_in_the_table_and_in_splits_are_an_error(cli, begin, table):
    run = begin(data=str(table))
    edit(table, relabel)
    edit(run / "splits.csv", relabel)
    said = refused(cli, run)
    assert "2 of 24 images have another label now" in said
    assert "also in its splits.csv" in said


def test_labels_changed_in_splits_alone_are_told_as_such(cli, begin, table):
    run = begin(data=str(table))
    edit(run / "splits.csv", relabel)
    name = read(table)[4][0]
    assert (
        f"2 of 24 images have another label in splits.csv now ({name}: '0.5' then, '1.5' now): "
        "that file was edited; put it back"
    ) in refused(cli, run)


def test_splits_that_were_changed_are_an_error(cli, begin, tmp_path):
    write_digits(tmp_path / "d", classes=("0", "1"))
    run = begin(data="d")
    names = {"val": "test", "test": "val", "train": "train"}
    first = next(row for row in read(run / "splits.csv")[1:] if row[2] != "train")
    swapped = sum(row[2] in ("val", "test") for row in read(run / "splits.csv"))
    edit(run / "splits.csv", lambda rows: [[*row[:2], names[row[2]], *row[3:]] for row in rows])
    said = refused(cli, run)
    assert f"{swapped} of 24 images are in another split of splits.csv than when the run" in said
    assert f"({first[0]}: {first[2]} then, {names[first[2]]} now)" in said


def test_rows_in_another_order_are_an_error(cli, begin, table):
    run = begin(data=str(table))
    edit(table, lambda rows: rows[::-1])
    assert "the images stand in another order than in its splits.csv" in refused(cli, run)


def test_images_taken_out_of_both_are_an_error(cli, begin, table):
    run = begin(data=str(table))
    for path in (table, run / "splits.csv"):
        edit(path, lambda rows: rows[1:])
    assert "the images are not those that it was begun with" in refused(cli, run)


@pytest.mark.parametrize("old", [False, True], ids=["recorded", "old"])
def test_the_same_labels_written_otherwise_go_on(cli, begin, table, old):
    edit(table, lambda rows: [[path, label[0]] for path, label in rows])
    run = begin(data=str(table))
    if old:
        without_record(run)
    edit(table, lambda rows: [[path, f" {label}.0 "] for path, label in rows])
    said = cli("train", "--resume", run)
    assert said.code == 0, said.err
    if not old:
        assert {row[1] for row in read(run / "splits.csv")[1:]} == {"0", "1"}


def test_composed_accents_are_the_same_label(cli, begin, table):
    edit(table, lambda rows: [[path, {"0": "é", "1": "ü"}[label[0]]] for path, label in rows])
    run = begin(data=str(table), class_order=["ü", "é"])
    edit(table, lambda rows: [[p, {"é": "e\u0301", "ü": "u\u0308 "}[la]] for p, la in rows])
    said = cli("train", "--resume", run)
    assert said.code == 0, said.err


def test_images_of_several_files_and_folds_go_on(cli, begin, tmp_path):
    paths = write_digits(tmp_path / "d", classes=("0", "1"), per_class=12)
    rows = [("image_1", "image_2", "label")]
    for path in paths:
        name = f"{path.parent.name}/{path.stem}"
        shutil.copy(path, path.with_name(f"{path.stem}_b.png"))
        rows.append((f"{name}.png", f"{name}_b.png", "ab"[int(path.parent.name)]))
    write(tmp_path / "d" / "labels.csv", rows)
    assert cli("split", "d/labels.csv", "--folds", 3, "--output", "f.csv").code == 0
    run = begin(data="d/labels.csv", splits="f.csv", fold=2)
    (tmp_path / "f.csv").unlink()  # the run's own file is the one that counts
    said = cli("train", "--resume", run)
    assert said.code == 0, said.err


def test_what_a_run_left_out_stays_out(cli, begin, tmp_path):
    lost = write_digits(tmp_path / "d", classes=("0", "1"))[4]
    lost.write_bytes(b"")
    run = begin(data="d", on_bad_image="skip")
    said = cli("train", "--resume", run)
    assert said.code == 0, said.err
    assert f"left out, as in the run so far: 1 (0/{lost.name})" in said.err


def test_a_run_without_splits_is_told(cli, begin, tmp_path):
    write_digits(tmp_path / "d", classes=("0", "1"))
    run = begin(data="d")
    (run / "splits.csv").unlink()
    assert refused(cli, run).endswith("splits.csv: no such file")


def test_other_data_in_the_config_are_named(cli, begin, tmp_path):
    write_digits(tmp_path / "d", classes=("0", "1"))
    write_digits(tmp_path / "other", classes=("2", "3"))
    run = begin(data="d")
    config = run / "config.yaml"
    settings = yaml.safe_load(config.read_text())
    for name in ("other", "nowhere"):
        config.write_text(yaml.safe_dump(settings | {"data": name}))
        assert f"config.yaml has data: {name}, but the run was begun with data: d" in refused(
            cli, run
        )
    (tmp_path / "d").rename(tmp_path / "moved")
    config.write_text(yaml.safe_dump(settings | {"data": "moved"}))
    assert cli("train", "--resume", run).code == 0


def test_an_old_run_whose_labels_changed_is_told(cli, tmp_path, monkeypatch):
    shutil.copytree(ROOT / "tests" / "fixtures" / "old_run", tmp_path / "old")
    monkeypatch.chdir(tmp_path / "old")
    edit(tmp_path / "old" / "unfinished" / "splits.csv", lambda rows: relabel(rows))
    said = cli("train", "--resume", "unfinished")
    assert said.code == 2
    assert "another label now" in said.error


def test_images_that_do_not_fit_in_memory_are_the_same(begin, tmp_path, monkeypatch):
    monkeypatch.setattr("cnncli.run.opened_images.fits_in_memory", lambda *args: False)
    lost = write_digits(tmp_path / "d", classes=("0", "1"))[4]
    lost.write_bytes(b"")
    run = begin(data="d", on_bad_image="skip")
    resume_run(run, SilentReporter())
    assert (run / "report.json").exists()


@pytest.mark.parametrize("ordered", [True, False])
def test_a_run_that_is_resumed_keeps_its_grades(tmp_path, ordered):
    """Runs of before took whole numbers for grades, and their settings do not say so."""
    write_digits(tmp_path / "data", per_class=8)
    run = train(tmp_path / "runs", data=str(tmp_path / "data"), ordered=ordered)
    config = RunConfig(data=str(tmp_path / "data"), model="lenet5")
    samples = label_samples(config, SilentReporter(), BegunRun(run, {}))
    assert samples.ordered == ordered
    assert not label_samples(config, SilentReporter()).ordered
