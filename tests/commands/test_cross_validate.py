"""Cross-validation: every image judged once, by a network that did not see it."""

import csv
import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from helpers import write_digits
from sklearn.metrics import accuracy_score, log_loss

from cnncli.config import RunConfig, load_config
from cnncli.recipes import cross_validate as recipe
from cnncli.recipes.train import resume_run, train_run
from cnncli.reporting import SilentReporter
from cnncli.run import fold as fold_module
from cnncli.run import save_evaluation as save_module
from cnncli.training import session as session_module
from cnncli.training.distributed import ALONE

FOLDS = 3
QUICK = ("--model", "lenet5", "--epochs", "2", "--device", "cpu", "--precision", "fp32")


def cross_validate(output, data, **settings):
    """Cross-validate by the recipe itself, saying nothing; return the folder."""
    config = RunConfig(
        data=str(data),
        output=str(output),
        test_fraction=0.0,
        **{"model": "lenet5", "epochs": 2, "device": "cpu", "precision": "fp32"} | settings,
    )
    trainers = recipe.Trainers(train_run, resume_run)
    return recipe.cross_validate(config, FOLDS, SilentReporter(), trainers, world=ALONE, started=0)


def resume(folder):
    trainers = recipe.Trainers(train_run, resume_run)
    return recipe.resume_folds(folder, SilentReporter(), trainers, world=ALONE, started=0)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("folds") / "figures"
    write_digits(root, classes=("0", "1", "7"), per_class=12)
    return root


@pytest.fixture(scope="module")
def folder(data, tmp_path_factory):
    return cross_validate(tmp_path_factory.mktemp("runs"), data)


def read_rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def read_report(folder):
    return json.loads((folder / "report.json").read_text("utf-8"))


def test_each_image_is_judged_once_by_a_network_that_did_not_see_it(folder):
    predicted = {row["path"]: row for row in read_rows(folder / "predictions.csv")}
    assert len(predicted) == 36
    for fold in range(1, FOLDS + 1):
        splits = {r["path"]: r["split"] for r in read_rows(folder / f"fold{fold}" / "splits.csv")}
        mine = {path for path, row in predicted.items() if row["fold"] == str(fold)}
        assert {path for path, split in splits.items() if split == "test"} == mine
        assert len(mine) == 12
        assert set(splits.values()) == {"train", "val", "test"}
    known = {row["path"]: row["fold"] for row in read_rows(folder / "splits.csv")}
    assert known == {path: row["fold"] for path, row in predicted.items()}


def test_the_report_is_of_all_images_as_scikit_learn_counts_them(folder):
    report, rows = read_report(folder), read_rows(folder / "predictions.csv")
    assert (report["split"], report["images"]) == ("out of fold", 36)
    targets, labels = [r["target"] for r in rows], [r["label"] for r in rows]
    assert report["accuracy"]["value"] == pytest.approx(accuracy_score(targets, labels))
    names = report["class_names"]
    chances = [[float(row[f"probability_{name}"]) for name in names] for row in rows]
    chances = np.array(chances) / np.sum(chances, axis=1, keepdims=True)
    assert report["log_loss"] == pytest.approx(log_loss(targets, chances), abs=1e-5)


def test_the_folds_are_laid_side_by_side(folder):
    report, rows = read_report(folder), read_rows(folder / "predictions.csv")
    each = [
        np.mean([r["target"] == r["label"] for r in rows if r["fold"] == str(fold)])
        for fold in range(1, FOLDS + 1)
    ]
    assert [row["accuracy"] for row in report["folds"]["each"]] == pytest.approx(each)
    spread = report["folds"]["spread"]["accuracy"]
    assert spread["mean"] == pytest.approx(np.mean(each))
    assert spread["sd"] == pytest.approx(np.std(each, ddof=1))
    assert (spread["least"], spread["greatest"]) == pytest.approx((min(each), max(each)))


def test_evaluate_gives_the_same_report_byte_for_byte(cli, folder, data):
    result = cli("evaluate", "--checkpoint", folder)
    assert (result.code, result.out) == (0, (folder / "report.json").read_text("utf-8"))
    # Also where the images have moved: they are known by their content.
    moved = cli("evaluate", "--checkpoint", folder, "--data", data)
    assert moved.out == result.out


def test_predict_gives_the_mean_of_the_networks(cli, folder, data, tmp_path):
    write_digits(tmp_path / "new", classes=("7",), per_class=3, start=40)
    args = ("predict", tmp_path / "new", "--probabilities", "--format", "json")
    each = [
        json.loads(cli(*args, "--checkpoint", folder / f"fold{fold}").out)
        for fold in range(1, FOLDS + 1)
    ]
    means = np.mean([[list(r["probabilities"].values()) for r in rows] for rows in each], axis=0)
    found = json.loads(cli(*args, "--checkpoint", folder).out)
    assert [list(row["probabilities"].values()) for row in found] == pytest.approx(means, abs=2e-6)
    several = [f for fold in (1, 2, 3) for f in ("--checkpoint", folder / f"fold{fold}")]
    assert json.loads(cli(*args, *several).out) == found
    # evaluate on images that no fold knows averages too
    evaluated = cli(
        "evaluate", "--checkpoint", folder, "--data", tmp_path / "new", "--output", tmp_path / "out"
    )
    assert evaluated.code == 0
    rows = read_rows(tmp_path / "out" / "predictions.csv")
    chances = [[float(row[f"probability_{name}"]) for name in ("0", "1", "7")] for row in rows]
    assert chances == pytest.approx(means, abs=2e-6)
    assert json.loads(evaluated.out)["split"] == "new images"


def kill_at(monkeypatch_target, call, begin):
    """Run ``begin`` in a process that kills itself at a call of a function; return its signal."""
    pid = os.fork()
    if pid == 0:  # nothing of pytest may run in it
        try:
            module, name = monkeypatch_target
            function, calls = getattr(module, name), 0

            def counted(*args, **options):
                nonlocal calls
                calls += 1
                if calls == call:
                    os.kill(os.getpid(), signal.SIGKILL)
                return function(*args, **options)

            setattr(module, name, counted)
            begin()
        finally:
            os._exit(0)
    return os.WTERMSIG(os.waitpid(pid, 0)[1])


PLACES = {
    "before its splits are written": (fold_module, "write_folds", 1),
    "before the first state of fold 1": (session_module, "save_state", 1),
    "after epoch 1 of fold 2": (session_module, "save_state", 6),
    "between folds": (recipe, "read_fold", 2),
    "before the first image is pooled": (recipe, "pool_folds", 1),
    "while it writes what was pooled": (save_module, "save_report", 1),
}


QUICK_PLACE = "after epoch 1 of fold 2"
SOME = [p if p == QUICK_PLACE else pytest.param(p, marks=pytest.mark.slow) for p in PLACES]


@pytest.mark.parametrize("place", SOME)
def test_killed_and_resumed_it_gives_the_same_report(folder, data, tmp_path, place):
    module, name, call = PLACES[place]
    assert kill_at((module, name), call, lambda: cross_validate(tmp_path, data)) == signal.SIGKILL
    (begun,) = tmp_path.iterdir()
    assert not (begun / "report.json").exists()
    assert resume(begun) == begun
    for name in ("report.json", "predictions.csv", "splits.csv", "confusion_matrix.csv"):
        assert (begun / name).read_bytes() == (folder / name).read_bytes(), name
    for fold in range(1, FOLDS + 1):
        for name in ("best.safetensors", "report.json", "splits.csv"):
            mine = Path(f"fold{fold}") / name
            assert (begun / mine).read_bytes() == (folder / mine).read_bytes(), mine
        assert not (begun / f"fold{fold}" / "last.pt").exists()
    assert not list(begun.rglob("run.lock"))


def test_a_fold_by_itself_is_the_run_of_its_settings(folder, tmp_path):
    again = train_run(
        load_config(str(folder / "fold2" / "config.yaml"), {"output": str(tmp_path)}),
        SilentReporter(),
    )
    for name in ("best.safetensors", "report.json"):
        assert (again / name).read_bytes() == (folder / "fold2" / name).read_bytes()
