"""Evaluate images in groups: whose intervals draw whole groups, and --by group."""

import csv
import json
import re

import numpy as np
import pytest
import sklearn.metrics as reference
from helpers import train, write_digits

from cnncli.choices import Aggregate

CLASSES = ("0", "1", "2")


def patient_of(path):
    """Return the patient: three digits of a class are of one, and p0 has images of two classes."""
    label, number = path.split("/")[0], int(re.search(r"(\d+)\.png", path)[1])
    return "p0" if number < 2 and label != "2" else f"p{label}{number // 3:02d}"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Return a folder with images, a table of them with patients, and a run on that table."""
    root = tmp_path_factory.mktemp("groups")
    write_digits(root / "data", CLASSES, per_class=36)
    paths = sorted(p.relative_to(root / "data").as_posix() for p in root.glob("data/*/*.png"))
    table = root / "data" / "table.csv"
    rows = [f"{path},{path.split('/')[0]},{patient_of(path)}\n" for path in paths]
    table.write_text("path,label,patient\n" + "".join(rows))
    run = train(root / "runs", data=str(table), group_col="patient", test_fraction=0.4)
    return root, table, run


def write_new(root, per_class):
    """Write new images; those of equal number in all classes are one group for GROUP."""
    for number, path in enumerate(write_digits(root, CLASSES, per_class=per_class, start=60)):
        path.rename(path.with_name(f"new_{number % per_class}.png"))


GROUP = r"(\d)\.png"


def answer(result):
    assert result.code == 0, result.err
    return json.loads(result.out)


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_report_of_a_run_draws_whole_groups_and_evaluate_gives_the_same(cli, data):
    _, _, run = data
    report = json.loads((run / "report.json").read_text())
    test = [row for row in read(run / "splits.csv") if row["split"] == "test"]
    assert report["resampled"] == "group"
    assert report["groups"] == len({row["group"] for row in test}) < report["images"] == len(test)
    for row in report["per_class"]:
        own = {one["group"] for one in test if one["label"] == row["class_name"]}
        assert row["groups"] == len(own)
    result = cli("evaluate", "--checkpoint", run)
    assert answer(result) == report
    assert f"in {report['groups']} groups: the intervals draw whole groups" in result.err
    assert "--by group" in result.err


def test_groups_are_remembered_where_the_images_have_moved(cli, data, tmp_path):
    """As class folders there is no column of patients any more; splits.csv has them."""
    root, _, run = data
    for path in root.glob("data/*/*.png"):
        copy = tmp_path / "moved" / path.parent.name / f"new_{path.name}"
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    report = answer(cli("evaluate", "--checkpoint", run, "--data", tmp_path / "moved"))
    written = json.loads((run / "report.json").read_text())
    assert report["groups"] == written["groups"]
    assert report["accuracy"] == pytest.approx(written["accuracy"])


def test_groups_that_only_the_file_of_splits_names_are_those_of_the_report(cli, data, tmp_path):
    root, _, first = data
    run = train(tmp_path, data=str(root / "data"), splits=str(first / "splits.csv"))
    written = (run / "report.json").read_bytes()
    report = json.loads(written)
    test = [row for row in read(first / "splits.csv") if row["split"] == "test"]
    assert (report["resampled"], report["groups"]) == ("group", len({r["group"] for r in test}))
    result = cli("evaluate", "--checkpoint", run, "--output", run, "--by", "group")
    assert "by_group" in answer(result)
    assert "taken as independent" not in result.err
    assert answer(cli("evaluate", "--checkpoint", run, "--output", run)) == report
    assert (run / "report.json").read_bytes() == written


def test_new_images_take_their_groups_from_flags_and_without_them_there_is_a_warning(
    cli, data, tmp_path
):
    _, _, run = data
    write_new(tmp_path, per_class=8)
    call = ("evaluate", "--checkpoint", run, "--data", tmp_path)
    alone = cli(*call)
    assert answer(alone)["groups"] is None
    assert answer(alone)["resampled"] == "image"
    assert "taken as independent" in alone.err
    grouped = cli(*call, "--group-regex", GROUP)
    report = answer(grouped)
    assert (report["images"], report["groups"], report["resampled"]) == (24, 8, "group")
    assert "taken as independent" not in grouped.err


@pytest.mark.parametrize("aggregate", Aggregate.__args__)
def test_by_group_has_the_figures_of_combined_probabilities(cli, data, tmp_path, aggregate):
    _, _, run = data
    result = cli(
        *("evaluate", "--checkpoint", run, "--by", "group", "--split", "all"),
        *("--aggregate", aggregate, "--output", tmp_path / "out"),
    )
    by_group = answer(result)["by_group"]
    assert json.loads((tmp_path / "out" / "report.json").read_text())["by_group"] == by_group
    groups = {}
    for row in read(tmp_path / "out" / "predictions.csv"):
        values = np.array([float(row[f"probability_{name}"]) for name in CLASSES])
        groups.setdefault(patient_of(row["path"]), []).append((row["target"], values))
    labels = {group: {target for target, _ in rows} for group, rows in groups.items()}
    whole = [group for group in groups if len(labels[group]) == 1]
    assert "p0" not in whole
    assert by_group["left_out"] == len(groups) - len(whole) == 1
    assert by_group["groups"] == len(whole)
    assert by_group["aggregate"] == aggregate
    assert "left out by group: 1 of" in result.err
    truth, combined, called = [], [], []
    for group in whole:
        values = np.stack([probabilities for _, probabilities in groups[group]])
        if aggregate == "vote":
            means, values = values.mean(axis=0), np.eye(3)[values.argmax(axis=1)].mean(axis=0)
            called.append(max(range(3), key=lambda k: (values[k], means[k])))
        else:
            values = values.mean(axis=0) if aggregate == "mean" else values.max(axis=0)
            called.append(int(values.argmax()))
        truth.append(int(labels[group].pop()))
        combined.append(values / values.sum())
    combined = np.array(combined)
    expected = {
        "accuracy": reference.accuracy_score(truth, called),
        "macro_f1": reference.f1_score(truth, called, average="macro"),
        "auroc": reference.roc_auc_score(truth, combined, multi_class="ovr"),
    }
    assert {name: by_group[name]["value"] for name in expected} == pytest.approx(expected, abs=1e-4)
    assert np.sum(by_group["confusion_matrix"]) == len(whole)
    assert sum(row["groups"] for row in by_group["per_class"]) == len(whole)


def test_a_person_sees_both_tables(cli, data, monkeypatch):
    _, _, run = data
    monkeypatch.setenv("COLUMNS", "80")
    result = cli("evaluate", "--checkpoint", run, "--by", "group", "--format", "table")
    assert result.code == 0
    assert "By group: one answer for each (mean of its images' probabilities)" in result.out
    assert result.out.count("balanced_accuracy") == 2
    assert max(map(len, result.out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--aggregate", "max"), "--aggregate max: how --by group combines; give that too"),
        (
            ("--by", "group", "--data", "{new}"),
            "--by group: the images are in no groups; name them with --group-col or --group-regex",
        ),
        (
            ("--by", "group", "--data", "{new}", "--group-regex", "png"),
            "--by group: the images judged are all of one group; it takes several",
        ),
        (
            ("--by", "group", "--data", "{new}", "--group-regex", GROUP),
            "--by group: each of the 4 groups has images of several classes, so that none has a "
            "label",
        ),
    ],
)
def test_groups_that_cannot_be_reported_are_one_line(cli, data, tmp_path, flags, told):
    _, _, run = data
    write_new(tmp_path / "new", per_class=4)
    words = [word.format(new=tmp_path / "new") if "{new" in word else word for word in flags]
    result = cli("evaluate", "--checkpoint", run, *words)
    assert result.code == 2
    errors = [line for line in result.err.splitlines() if line.startswith("Error: ")]
    assert errors == [f"Error: {told}"]
    assert "Traceback" not in result.err


def test_an_empty_column_of_groups_is_as_no_column(cli, data, tmp_path):
    _, _, run = data
    write_new(tmp_path, per_class=4)
    paths = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.glob("*/*.png"))
    table = tmp_path / "t.csv"
    rows = [f"{path},{path.split('/')[0]},\n" for path in paths]
    table.write_text("path,label,patient\n" + "".join(rows))
    call = ("evaluate", table, "--checkpoint", run, "--group-col", "patient")
    result = cli(*call)
    assert answer(result)["groups"] is None
    assert "none of the 12 images has a group in column 'patient'" in result.err
    assert "taken as independent" in result.err
    refused = cli(*call, "--by", "group")
    assert refused.code == 2
    assert "--by group: the images are in no groups" in refused.err
    split = cli("split", table, "--group-col", "patient", "--output", tmp_path / "s.csv")
    assert split.code == 0
    assert "Warning: none of the 12 images has a group in column 'patient'" in split.err
    assert {row["group"] for row in read(tmp_path / "s.csv")} == {""}
