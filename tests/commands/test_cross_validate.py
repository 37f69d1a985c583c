"""Cross-validation: every image judged once, by a network that did not see it."""

import csv
import json
import os
import re
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from helpers import train, write_digits
from safetensors.numpy import load_file
from sklearn.metrics import accuracy_score, log_loss

from cnncli.config import RunConfig, load_config
from cnncli.errors import CnncliError
from cnncli.recipes import cross_validate as recipe
from cnncli.recipes.train import resume_run, train_run
from cnncli.reporting import SilentReporter
from cnncli.run import build_inputs, fit_head
from cnncli.run import fold as fold_module
from cnncli.run import save_evaluation as save_module
from cnncli.training import session as session_module
from cnncli.training.distributed import ALONE

FOLDS = 3
QUICK = ("--model", "lenet5", "--epochs", "2", "--device", "cpu", "--precision", "fp32")


def cross_validate(output, data, **settings):
    """Cross-validate by the recipe itself, saying nothing; return the folder."""
    quick = {"model": "lenet5", "epochs": 2, "device": "cpu", "precision": "fp32"}
    values = quick | {"data": str(data), "output": str(output), "test_fraction": 0.0} | settings
    config = RunConfig(**values)
    trainers = recipe.Trainers(train_run, resume_run)
    return recipe.cross_validate(config, FOLDS, SilentReporter(), trainers, world=ALONE, started=0)


def resume(folder, started=0):
    trainers = recipe.Trainers(train_run, resume_run)
    reporter = SilentReporter()
    return recipe.resume_folds(folder, reporter, trainers, world=ALONE, started=started)


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


def test_what_is_to_come_is_told_before_the_first_fold_trains(data, tmp_path):
    notes = []

    class Notes(SilentReporter):
        def note(self, text):
            notes.append(text)

    def fail(*args, **options):
        raise CnncliError("no training")

    config = RunConfig(model="lenet5", data=str(data), output=str(tmp_path), device="cpu")
    trainers = recipe.Trainers(fail, fail)
    with pytest.raises(CnncliError, match="no training"):
        recipe.cross_validate(config, FOLDS, Notes(), trainers, world=ALONE, started=0)
    told = "3 trainings one after the other; the end of fold 1 tells how long the others take"
    assert told in notes


def test_the_report_is_of_all_images_as_scikit_learn_counts_them(folder):
    report, rows = read_report(folder), read_rows(folder / "predictions.csv")
    assert (report["split"], report["images"]) == ("out of fold", 36)
    targets, labels = [r["target"] for r in rows], [r["label"] for r in rows]
    assert report["accuracy"]["value"] == pytest.approx(accuracy_score(targets, labels))
    names = report["class_names"]
    chances = [[float(row[f"probability_{name}"]) for name in names] for row in rows]
    chances = np.array(chances) / np.sum(chances, axis=1, keepdims=True)
    assert report["log_loss"]["value"] == pytest.approx(log_loss(targets, chances), abs=1e-5)


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


@pytest.mark.slow
def test_groups_of_the_file_of_splits_are_those_of_all_its_reports(cli, folder, data, tmp_path):
    rows = read_rows(folder / "splits.csv")
    for number, row in enumerate(rows):
        row["group"] = f"{row['fold']} {number % 4}"
    with (tmp_path / "grouped.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    grouped = cross_validate(tmp_path / "runs", data, splits=str(tmp_path / "grouped.csv"))
    assert read_report(grouped)["groups"] == len({row["group"] for row in rows}) < len(rows)
    for judged in (grouped, grouped / "fold1"):
        written = (judged / "report.json").read_text("utf-8")
        result = cli("evaluate", "--checkpoint", judged)
        assert (result.code, result.out) == (0, written)
        assert read_report(judged)["resampled"] == "group"


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


def test_a_fold_without_a_readable_image_is_no_end(cli, folder, data, tmp_path):
    mine, images = tmp_path / folder.name, tmp_path / "figures"
    shutil.copytree(folder, mine)
    shutil.copytree(data, images)
    (mine / "fold2" / "decision.json").write_text("{}")
    for row in read_rows(folder / "splits.csv"):
        if row["fold"] == "1":
            (images / row["path"]).write_bytes(b"no image")
    flags = ("--checkpoint", mine, "--data", images)
    result = cli("evaluate", *flags, "--on-bad-image", "skip")
    assert (result.code, json.loads(result.out)["images"]) == (0, 24)
    assert f"1 decision.json is left out: it was chosen for one network alone ({mine}" in result.err
    refused = cli("evaluate", *flags, "--raw")
    assert "12 images cannot be used" in refused.error
    assert "decision.json" not in refused.err


def test_the_command_that_an_error_names_writes_what_is_missing(cli, folder, tmp_path):
    mine = tmp_path / folder.name
    shutil.copytree(folder, mine)
    (mine / "predictions.csv").unlink()
    told = cli("suspect-labels", mine).error
    words = re.search("cnncli (evaluate .*) makes it", told)[1].split()
    assert cli(*words).code == 0
    expected = (folder / "predictions.csv").read_bytes()
    assert (mine / "predictions.csv").read_bytes() == expected


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


def test_killed_before_any_state_it_takes_the_images_of_now(data, tmp_path):
    mine, root = tmp_path / "figures", tmp_path / "runs"
    shutil.copytree(data, mine)
    (mine / "1" / "broken.png").write_bytes(b"no image")
    first = session_module, "save_state"
    settings = {"on_bad_image": "skip"}
    assert kill_at(first, 1, lambda: cross_validate(root, mine, **settings)) == signal.SIGKILL
    (begun,) = root.iterdir()
    (mine / "1" / "broken.png").unlink()
    write_digits(mine, classes=("7",), per_class=3, start=40)
    assert kill_at(first, 1, lambda: resume(begun)) == signal.SIGKILL
    folds = {row["path"]: row["fold"] for row in read_rows(begun / "splits.csv")}
    of_first = {row["path"]: row["split"] for row in read_rows(begun / "fold1" / "splits.csv")}
    assert len(folds) == 39
    assert {path for path, fold in folds.items() if fold == "1"} == {
        path for path, split in of_first.items() if split == "test"
    }
    assert not (begun / "bad_images.csv").exists()


def test_resumed_it_has_the_time_that_its_folds_have_left(folder, tmp_path):
    mine = tmp_path / folder.name
    shutil.copytree(folder, mine)
    shutil.rmtree(mine / "fold3")
    (mine / "report.json").unlink()
    config, metrics = mine / "config.yaml", mine / "fold1" / "metrics.csv"
    edited, count = re.subn("(?m)^time_limit: .*", "time_limit: 1000s", config.read_text())
    assert count == 1
    config.write_text(edited)
    metrics.write_text(re.sub("(?m)^1,[^,]*", "1,600", metrics.read_text()))
    kill_at((session_module, "save_state"), 1, lambda: resume(mine, started=time.monotonic()))
    (share,) = re.findall("time_limit: ([0-9.]+)s", (mine / "fold3" / "config.yaml").read_text())
    assert 0 < float(share) < 400


def test_a_fold_by_itself_is_the_run_of_its_settings(folder, tmp_path):
    again = train_run(
        load_config(str(folder / "fold2" / "config.yaml"), {"output": str(tmp_path)}),
        SilentReporter(),
    )
    for name in ("best.safetensors", "report.json"):
        assert (again / name).read_bytes() == (folder / "fold2" / name).read_bytes()


FROZEN = {
    "features": {"head": "epochs", "freeze": "backbone"},
    "augmented features": {
        "head": "epochs",
        "freeze": "backbone",
        "augment": "hflip",
        "augment_views": 2,
    },
    "fitted head": {"head": "fit", "freeze": "backbone"},
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", FROZEN)
def test_features_of_frozen_layers_are_computed_once(folder, data, tmp_path, monkeypatch, kind):
    asked = []

    def count(module, name):
        function = getattr(module, name)

        def counted(*args, **options):
            asked.append(name)
            return function(*args, **options)

        monkeypatch.setattr(module, name, counted)

    count(build_inputs, "compute_features")
    count(fit_head, "compute_vectors")
    settings = {"weights": str(folder / "fold1"), "model": "lenet5"} | FROZEN[kind]
    frozen = cross_validate(tmp_path / "cv", data, **settings)
    # The images themselves, and where there are any, views of them; not again for each fold.
    assert len(asked) == (1 if kind == "features" else 2)
    # And they are what the run of one fold alone computes.
    alone = load_config(str(frozen / "fold2" / "config.yaml"), {"output": str(tmp_path / "runs")})
    again = train_run(alone, SilentReporter())
    mine, other = (load_file(path / "best.safetensors") for path in (frozen / "fold2", again))
    for name, tensor in mine.items():  # another batch may change the last digits
        np.testing.assert_allclose(tensor, other[name], atol=1e-6, err_msg=name)


@pytest.mark.slow
def test_groups_stay_whole_and_the_intervals_draw_them(cli, data, tmp_path):
    rows = [(path, path.parent.name) for path in sorted(data.rglob("*.png"))]
    table = tmp_path / "table.csv"
    lines = [f"{path},{label},{number // 2}" for number, (path, label) in enumerate(rows)]
    table.write_text("\n".join(["path,label,patient", *lines]) + "\n")
    result = cli(
        *("cross-validate", table, "--group-col", "patient", "--folds", 2, *QUICK),
        *("--output", tmp_path / "runs"),
    )
    assert result.code == 0, result.err
    folder = Path(result.out.strip())
    folds = {}
    for row in read_rows(folder / "splits.csv"):
        folds.setdefault(row["group"], set()).add(row["fold"])
    assert len(folds) == 18
    assert {len(found) for found in folds.values()} == {1}
    report = read_report(folder)
    assert (report["resampled"], report["groups"]) == ("group", 18)
    assert cli("evaluate", "--checkpoint", folder).out == (folder / "report.json").read_text()


@pytest.fixture(scope="module")
def with_test(data, tmp_path_factory):
    """A cross-validation of images of which some are kept out for test."""
    root = tmp_path_factory.mktemp("kept_out")
    return cross_validate(root, data, test_fraction=0.25, epochs=1)


@pytest.mark.slow
def test_a_fold_says_that_test_images_were_kept_out_and_not_excluded(cli, with_test, tmp_path):
    told = cli("evaluate", "--checkpoint", with_test / "fold1").err
    assert "left out, as the cross-validation keeps them out for test: 9 (" in told
    assert "--exclude" not in told
    page = tmp_path / "page.html"
    assert cli("report", with_test / "fold1", "--no-images", "--output", page).code == 0
    rows = re.findall(r"<tr><th[^>]*>([^<]*)</th><td[^>]*>([^<]*)</td>", page.read_text("utf-8"))
    assert dict(rows)["kept out for test by the cross-validation"] == "9"
    assert dict(rows)["excluded on request (excluded.csv)"] == "0"


@pytest.mark.slow
def test_a_fold_says_that_its_splits_had_no_split_for_an_image(cli, data, tmp_path):
    """The run that wrote the splits could not read an image that is mended since."""
    images = tmp_path / "images"
    shutil.copytree(data, images)
    image = sorted(images.glob("*/*.png"))[0]
    whole = image.read_bytes()
    image.write_bytes(whole[:50])
    first = cross_validate(tmp_path / "a", images, epochs=1, on_bad_image="skip")
    image.write_bytes(whole)
    second = cross_validate(tmp_path / "b", images, epochs=1, splits=str(first / "splits.csv"))
    told = cli("evaluate", "--checkpoint", second / "fold1", "--data", images).err
    name = image.relative_to(images)
    assert f"left out, as in the run: its --splits has no split for them: 1 ({name})" in told
    assert "--exclude" not in told


@pytest.mark.slow
def test_a_test_split_is_in_no_fold_and_judged_by_the_mean(cli, with_test, tmp_path):
    rows = read_rows(with_test / "splits.csv")
    kept = {row["path"] for row in rows if row["split"] == "test"}
    assert len(kept) == 9
    assert {row["path"] for row in rows if not row["fold"]} == kept
    for fold in range(1, FOLDS + 1):
        assert not kept & {r["path"] for r in read_rows(with_test / f"fold{fold}" / "splits.csv")}
    own = cli("evaluate", "--checkpoint", with_test)
    assert json.loads(own.out)["images"] == 27
    assert "left out, the data's own test split: 9 images" in own.err
    asked = cli("evaluate", "--checkpoint", with_test, "--split", "test", "--output", tmp_path)
    assert json.loads(asked.out)["split"] == "test"
    found = read_rows(tmp_path / "predictions.csv")
    assert {row["path"] for row in found} == kept
    paths = [row["file"] for row in found]
    each = [
        json.loads(
            cli(
                *("predict", *paths, "--probabilities", "--format", "json"),
                *("--checkpoint", with_test / f"fold{fold}"),
            ).out
        )
        for fold in range(1, FOLDS + 1)
    ]
    means = np.mean([[list(r["probabilities"].values()) for r in rows] for rows in each], axis=0)
    chances = [[float(row[f"probability_{name}"]) for name in ("0", "1", "7")] for row in found]
    assert chances == pytest.approx(means, abs=2e-6)
    both = cli("evaluate", "--checkpoint", with_test, "--split", "all")
    assert json.loads(both.out)["split"] == "out of fold and test"


@pytest.mark.slow
def test_what_is_not_judged_may_hold_any_text_for_a_subgroup(cli, with_test, data, tmp_path):
    rows = read_rows(with_test / "splits.csv")
    ages = {
        row["path"]: "unknown?" if row["split"] == "test" else str(n) for n, row in enumerate(rows)
    }
    lines = [f"{data / path},{path.split('/')[0]},{age}" for path, age in ages.items()]
    table = tmp_path / "ages.csv"
    table.write_text("\n".join(["image,label,age", *lines]))
    flags = ("--checkpoint", with_test, "--data", table, "--subgroup", "age=20")
    assert len(json.loads(cli("evaluate", *flags).out)["subgroups"][0]["parts"]) == 2
    assert "holds texts" in cli("evaluate", *flags, "--split", "all").error


@pytest.mark.slow
def test_folds_of_a_file_are_taken(folder, data, tmp_path):
    again = cross_validate(tmp_path, data, splits=str(folder), epochs=1)
    mine, theirs = (
        {row["path"]: row["fold"] for row in read_rows(path / "splits.csv")}
        for path in (again, folder)
    )
    assert mine == theirs


WRONG = {
    ("--folds", 1): "--folds 1: must be a whole number from 2 to 100",
    ("--folds", 1000): "--folds 1000: must be a whole number from 2 to 100",
    ("--folds", 13): "--folds 13: class '0' has 12 images only, so at most 12 folds",
    ("--folds", 3, "--group-col", "patient"): "--group-col patient: --data",
    ("--freeze", "backbone"): "--freeze: goes with --finetune only",
    ("--fold", 1): "--fold: no such flag",
    ("--config", "folds.yaml", "--folds", "many"): "--folds many: must be a whole number",
    ("--resume", "nowhere"): "--resume nowhere: no such folder",
    ("--resume", "last"): "--resume last: no unfinished cross-validation in runs/",
}


@pytest.mark.parametrize("flags", WRONG, ids=lambda flags: " ".join(map(str, flags)))
def test_what_makes_no_sense_is_one_line(cli, data, tmp_path, monkeypatch, flags):
    monkeypatch.chdir(tmp_path)
    result = cli("cross-validate", data, *flags)
    assert (result.code, result.out) == (2, "")
    assert result.error.startswith(WRONG[flags])
    assert not list(tmp_path.iterdir())


def test_its_help_has_its_own_default(cli):
    assert cli("cross-validate", "--help").out.count("[0.15]") == 1  # --val-fraction


def test_what_takes_one_network_names_the_folds(cli, folder, data):
    for words in (
        ("inspect-layers", folder),
        ("visualize", "filters", folder),
        ("finetune", data, "--weights", folder, "--print-config"),
    ):
        result = cli(*words)
        assert result.code == 2
        assert f"name one of its folds: {folder}/fold1 to {folder}/fold3" in result.error
        assert "--checkpoint" not in result.error
    for flags in (("--split", "val"), ("--calibrate", "temperature")):
        result = cli("evaluate", "--checkpoint", folder, *flags)
        assert result.code == 2
        assert result.error.startswith(flags[0])
        assert f"{folder}/fold1" in result.error
    result = cli("train", "--config", folder / "config.yaml")
    assert "cnncli cross-validate --config" in result.error
    result = cli("train", "--resume", folder)
    assert f"cnncli cross-validate --resume {folder}" in result.error
    result = cli("cross-validate", "--resume", folder / "fold1")
    assert f"cnncli cross-validate --resume {folder}" in result.error
    result = cli("cross-validate", "--config", folder / "fold1" / "config.yaml")
    assert result.error.endswith(f"cnncli cross-validate --config {folder}/config.yaml")
    result = cli("suspect-labels", folder / "fold1")
    assert result.error.endswith(f"name the cross-validation: {folder}")
    done = cli("cross-validate", "--resume", folder)
    assert (done.code, done.out) == (0, f"{folder}\n")


def test_other_classes_are_not_averaged(cli, folder, tmp_path):
    write_digits(tmp_path / "others", classes=("0", "1", "8"), per_class=8)
    other = train(tmp_path / "runs", data=str(tmp_path / "others"))
    args = ("predict", tmp_path / "others" / "0", "--checkpoint", folder / "fold1")
    result = cli(*args, "--checkpoint", other)
    assert (result.code, result.out) == (2, "")
    assert "other classes than the first checkpoint (it has no '7'; it has '8'" in result.error
    twice = cli(*args, "--checkpoint", folder)
    assert "given twice" in twice.error


def test_classes_in_another_order_are_matched_by_name(cli, folder, data, tmp_path):
    other = train(tmp_path / "runs", data=str(data), class_order=["7", "1", "0"], image_size="24")
    args = ("predict", data / "7", "--probabilities", "--format", "json")
    runs = (folder / "fold1", other)
    first, second = (json.loads(cli(*args, "--checkpoint", run).out) for run in runs)
    mixed = json.loads(cli(*args, *(f for run in runs for f in ("--checkpoint", run))).out)
    for one, two, both in zip(first, second, mixed, strict=True):
        names = one["probabilities"]
        assert list(both["probabilities"]) == list(names)
        expected = {n: (p + two["probabilities"][n]) / 2 for n, p in names.items()}
        assert both["probabilities"] == pytest.approx(expected, abs=2e-6)


def test_runs_take_it_as_one(cli, folder, tmp_path):
    mine = tmp_path / "runs" / folder.name
    shutil.copytree(folder, mine)
    (listed,) = json.loads(cli("runs", "--dir", mine.parent, "--format", "json").out)
    assert (listed["run"], listed["state"]) == (folder.name, "finished")
    assert listed["metrics"]["test_accuracy"] == read_report(folder)["accuracy"]["value"]
    inside = json.loads(cli("runs", "--dir", mine, "--format", "json").out)
    assert sorted(run["run"] for run in inside) == ["fold1", "fold2", "fold3"]
    shown = json.loads(cli("runs", "show", mine, "--format", "json").out)
    assert (shown["folds"], shown["settings"]["model"]) == (FOLDS, "lenet5")
    (mine / "report.json").unlink()
    (mine / "fold3" / "report.json").unlink()
    (stopped,) = json.loads(cli("runs", "--dir", mine.parent, "--format", "json").out)
    assert stopped["state"] == "stopped at fold 2 of 3"
    refused = cli("predict", mine, "--checkpoint", mine)
    assert "not finished (2 of 3 folds are)" in refused.error
    (mine / "fold1" / "thesis.txt").write_text("mine")
    kept = cli("runs", "delete", mine, "--yes")
    assert "fold1/thesis.txt" in kept.error
    (mine / "fold1" / "thesis.txt").unlink()
    gone = cli("runs", "delete", mine, "--yes")
    assert (gone.code, mine.exists()) == (0, False)


@pytest.mark.slow
def test_compare_sets_two_beside_each_other(cli, folder, data, tmp_path):
    other = cross_validate(tmp_path, data, epochs=1)
    compared = json.loads(cli("compare", folder, other, "--format", "json").out)
    accuracies = [run["test_accuracy"]["value"] for run in compared["runs"]]
    assert accuracies == [read_report(path)["accuracy"]["value"] for path in (folder, other)]
    assert compared["paired"]["images"] == 36


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["kept out", "unreadable"])
def test_killed_in_a_fold_with_images_that_are_in_none(data, tmp_path, kind):
    mine = tmp_path / "figures"
    shutil.copytree(data, mine)
    settings = {"test_fraction": 0.25}
    if kind == "unreadable":
        (mine / "1" / "broken.png").write_bytes(b"no image")
        settings = {"on_bad_image": "skip"}
    whole = cross_validate(tmp_path / "whole", mine, **settings)
    for number, call in enumerate((3, 6, 7)):  # in folds 1 and 2, and before the first of fold 3
        root = tmp_path / str(number)
        target = session_module, "save_state"
        killed = kill_at(target, call, lambda root=root: cross_validate(root, mine, **settings))
        assert killed == signal.SIGKILL
        (begun,) = root.iterdir()
        resume(begun)
        for name in ("report.json", "predictions.csv", "splits.csv"):
            assert (begun / name).read_bytes() == (whole / name).read_bytes(), (call, name)
    alone = load_config(str(whole / "fold2" / "config.yaml"), {"output": str(tmp_path / "runs")})
    again = train_run(alone, SilentReporter())
    best = "best.safetensors"
    assert (again / best).read_bytes() == (whole / "fold2" / best).read_bytes()
