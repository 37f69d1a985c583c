"""A cross-validation whose folder was edited or damaged is refused, or made whole again."""

import csv
import json
import re
import shutil
from pathlib import Path

import pytest
from helpers import Heard, cross_validate_figures, write_digits

from cnncli.config import RunConfig
from cnncli.run.plan_folds import plan_folds

FOLDS = 3


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    root = tmp_path_factory.mktemp("edited")
    write_digits(root / "figures", classes=("0", "1", "7"), per_class=12)
    return cross_validate_figures(root, FOLDS)


@pytest.fixture
def folder(whole, tmp_path):
    return Path(shutil.copytree(whole, tmp_path / whole.name))


def reopen(folder):
    """Take away what makes a cross-validation finished."""
    for name in ("report.json", "predictions.csv"):
        (folder / name).unlink()


def edit(path, pattern, text):
    edited, count = re.subn(pattern, text, path.read_text("utf-8"), flags=re.MULTILINE)
    assert count, pattern
    path.write_text(edited, "utf-8")


def exchange_folds(folder):
    """Exchange folds 1 and 2."""
    edit(folder / "splits.csv", ",1$", ",x")
    edit(folder / "splits.csv", ",2$", ",1")
    edit(folder / "splits.csv", ",x$", ",2")


def move_to_test(folder):
    """Keep an image of fold 1 out of all folds."""
    path = folder / "splits.csv"
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    row = next(row for row in rows if row["fold"] == "1")
    row |= {"split": "test", "fold": ""}
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(row))
        writer.writeheader()
        writer.writerows(rows)


def lose_a_row(folder):
    """Delete the row of an image, which would then count as new."""
    edit(folder / "splits.csv", r"^.*,1$\n(?=.*,2$)", "")


EDITS = (exchange_folds, move_to_test, lose_a_row)


@pytest.mark.parametrize("change", EDITS, ids=lambda change: change.__name__)
def test_no_network_judges_images_that_it_was_trained_on(cli, whole, folder, change):
    change(folder)
    for command in (
        ("evaluate", "--checkpoint", folder),
        ("suspect-labels", folder),
        ("report", folder),
        ("compare", folder, whole),
    ):
        result = cli(*command)
        assert (result.code, result.out) == (2, "")
        assert f"{folder}/splits.csv: " in result.error
        assert "in another place than the network of fold 1 was trained with" in result.error
    reopen(folder)
    resumed = cli("cross-validate", "--resume", folder)
    assert (resumed.code, resumed.out) == (2, "")
    assert "in another place than the network of fold 1 was trained with" in resumed.err
    assert not (folder / "report.json").exists()


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        (r"^(0/.*,)[0-9a-f]{32}(,1)$", r"\g<1>" + "0" * 32 + r"\2"),
        (r"^(0/[^,]*),0,(.*,1)$", r"\1,7,\2"),
    ],
    ids=["hash", "label"],
)
def test_a_hash_or_label_that_no_fold_has_is_refused(cli, folder, pattern, told):
    edit(folder / "splits.csv", pattern, told)
    name = "hash" if "0000" in told else "label"
    for command in (("evaluate", "--checkpoint", folder), ("report", folder)):
        result = cli(*command)
        assert (result.code, result.out) == (2, "")
        assert f"{folder}/splits.csv: 4 images with another {name} than in fold1/" in result.error


@pytest.mark.parametrize("count", [2, 4])
def test_another_number_of_folds_is_refused(cli, folder, count):
    edit(folder / "config.yaml", "^folds: 3$", f"folds: {count}")
    for command in (
        ("evaluate", "--checkpoint", folder),
        ("predict", folder.parent, "--checkpoint", folder),
        ("suspect-labels", folder),
    ):
        result = cli(*command)
        assert (result.code, result.out) == (2, "")
        assert f"has folds: {count}, and splits.csv beside it has the 3 folds" in result.error
    reopen(folder)
    resumed = cli("cross-validate", "--resume", folder)
    assert (resumed.code, resumed.out) == (2, "")
    assert f"has folds: {count}, and splits.csv" in resumed.err


SETTINGS = (
    "epochs: 2",
    "lr: 0.5",
    "batch_size: 7",
    "optimizer: sgd",
    "dropout: 0.5",
    "seed: 3",
    "augment: none",
)


@pytest.mark.parametrize("now", SETTINGS)
def test_settings_are_not_mixed(cli, folder, now):
    (folder / "report.json").unlink()
    shutil.rmtree(folder / "fold3")
    key = now.partition(":")[0]
    edit(folder / "config.yaml", f"^{key}: .*$", now)
    result = cli("cross-validate", "--resume", folder)
    assert (result.code, result.out) == (2, "")
    assert f"config.yaml has {now}, but fold1 was trained with {key}: " in result.err
    assert not (folder / "fold3").exists()


def test_a_fold_that_was_deleted_is_trained_anew(cli, whole, folder):
    shutil.rmtree(folder / "fold2")
    refused = cli("evaluate", "--checkpoint", folder)
    assert refused.error.endswith(f"go on with: cnncli cross-validate --resume {folder}")
    resumed = cli("cross-validate", "--resume", folder)
    assert (resumed.code, resumed.out) == (0, f"{folder}\n")
    for name in ("report.json", "predictions.csv", "fold2/report.json", "fold2/best.safetensors"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes(), name


DAMAGES = {
    "best.safetensors": lambda path: path.write_bytes(path.read_bytes()[:1000]),
    "report.json": lambda path: path.write_text("{"),
    "lost best.safetensors": Path.unlink,
    "lost report.json": Path.unlink,
}


@pytest.mark.parametrize("is_finished", [False, True])
@pytest.mark.parametrize("what", DAMAGES)
def test_a_damaged_fold_is_named_with_the_way_out(cli, folder, what, is_finished):
    name = what.removeprefix("lost ")
    DAMAGES[what](folder / "fold1" / name)
    if not is_finished:
        (folder / "report.json").unlink()
    result = cli("cross-validate", "--resume", folder)
    assert (result.code, result.out) == (2, "")
    way_out = f"; delete {folder}/fold1 and go on with: cnncli cross-validate --resume {folder}"
    assert result.error.startswith(f"{folder}/fold1")
    assert name in result.error
    assert result.error.endswith(way_out)


ROWS = {
    (r"^.*/7/.*\n", ""): "12 of the 36 images of report.json have no row",
    (r"\A(.*\n)(.*\n)", r"\1\2\2"): "37 rows for the 36 images of report.json",
    (",1$", ",2"): "is in fold 2 here, and in fold 1 of splits.csv",
}


@pytest.mark.parametrize("change", ROWS)
def test_damaged_predictions_are_refused(cli, folder, change):
    edit(folder / "predictions.csv", *change)
    result = cli("suspect-labels", folder)
    assert (result.code, result.out) == (2, "")
    assert ROWS[change] in result.error
    command = re.search("; cnncli (evaluate .*) makes the file anew$", result.error)[1]
    assert cli(*command.split()).code == 0
    assert cli("suspect-labels", folder).code in (0, 3)


def test_compare_takes_nothing_of_one_fold_for_all(cli, whole, folder):
    edit(folder / "fold1" / "config.yaml", "^exclude: .*", f"exclude: {folder}/fold1/excluded.csv")
    compared = json.loads(cli("compare", whole, folder, "--format", "json").out)
    for run in compared["runs"]:
        assert "exclude" not in run["settings"]
        assert run["epochs_run"] is None


def test_a_warning_of_a_fold_names_it(tmp_path):
    write_digits(tmp_path / "figures", classes=("0", "1"), per_class=9)
    write_digits(tmp_path / "figures", classes=("7",), per_class=3)
    heard = Heard()
    plan_folds(RunConfig(data=str(tmp_path / "figures"), test_fraction=0.0), FOLDS, heard)
    told = heard.warnings
    assert [text.partition(": ")[0] for text in told] == ["fold 1", "fold 2", "fold 3"]
    assert all("too few images" in text and text.endswith("7") for text in told)
