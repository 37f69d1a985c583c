"""Compare: runs side by side, from their files alone."""

import csv
import io
import json
import re
import shutil

import pytest
from fresh_process import HEAVY, run
from scipy.stats import binomtest
from written_run import IMAGES, INTERVAL, REPORT, write_run

from cnncli.plots.compare import COLOURS, RunCurves, save_comparison
from cnncli.recipes.compare import compare_runs, find_differing, label_runs
from cnncli.reporting import SilentReporter
from cnncli.run.read_folder import load_run
from cnncli.training.history import COLUMNS


@pytest.fixture
def two(tmp_path):
    """Return two runs that differ in the optimizer; the second is better."""
    runs = tmp_path / "runs"
    first = write_run(runs / "first", [0.9, 0.5, 0.6], optimizer="sgd", output="x")
    return first, write_run(runs / "second", [0.8, 0.4], optimizer="adamw", output="y")


def read_csv(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_a_row_per_run_the_best_first(cli, two):
    result = cli("compare", *two)
    rows = read_csv(result.out)
    assert result.code == 0
    assert result.err == ""
    assert [row["run"] for row in rows] == ["second", "first"]
    assert [row["optimizer"] for row in rows] == ["adamw", "sgd"]
    assert "output" not in rows[0]
    assert "model" not in rows[0]  # the same in both
    assert rows[1] | {"epochs_run": "3", "best_epoch": "2", "val_loss": "0.5"} == rows[1]
    assert rows[1] | {"test_accuracy": "0.75", "test_accuracy_low": "0.5"} == rows[1]
    assert rows[1]["test_ece"] == "0.125"
    assert rows[1]["seconds_per_epoch"] == "2.0"  # the median of 1, 2 and 3


def test_the_order_given(cli, two):
    rows = read_csv(cli("compare", *two, "--sort", "given").out)
    assert [row["run"] for row in rows] == ["first", "second"]


def test_accuracy_sorts_the_other_way(tmp_path, cli):
    for name, loss in (("low", 0.2), ("high", 0.4)):
        folder = write_run(tmp_path / name, [loss], monitor="val_accuracy")
        text = (folder / "metrics.csv").read_text().splitlines()
        value = dict(zip(COLUMNS, text[1].split(","), strict=True)) | {"val_accuracy": str(loss)}
        (folder / "metrics.csv").write_text(f"{text[0]}\n{','.join(value.values())}\n")
    rows = read_csv(cli("compare", tmp_path / "low", tmp_path / "high").out)
    assert [row["run"] for row in rows] == ["high", "low"]


def test_different_monitors_are_not_ranked(tmp_path, cli):
    write_run(tmp_path / "a", [0.9])
    write_run(tmp_path / "b", [0.1], monitor="val_macro_f1")
    result = cli("compare", tmp_path / "a", tmp_path / "b")
    assert [row["run"] for row in read_csv(result.out)] == ["a", "b"]
    assert "different columns (val_loss, val_macro_f1)" in result.err


def test_json_has_everything(cli, two):
    answer = json.loads(cli("compare", *two, "--format", "json").out)
    first = answer["runs"][1]
    assert answer["paired"] is None
    assert first["settings"] == {"optimizer": "sgd"}
    assert first["test_accuracy"] == INTERVAL
    assert first["path"] == str(two[0])
    assert first["finished"] is True


def test_a_real_run(cli, run_dir):
    row = read_csv(cli("compare", run_dir).out)[0]
    meta = json.loads(cli("compare", run_dir, "--format", "json").out)["runs"][0]
    report = json.loads((run_dir / "report.json").read_text())
    history = read_csv((run_dir / "metrics.csv").read_text())
    best = min(history, key=lambda epoch: float(epoch["val_loss"]))
    assert row["run"] == run_dir.name
    assert row["best_epoch"] == best["epoch"]
    assert float(row["val_accuracy"]) == float(best["val_accuracy"])
    assert meta["test_accuracy"] == report["accuracy"]
    # LeNet-5's 61,706 less 7 outputs of 84 weights and a bias.
    assert row["parameters"] == str(61_706 - 7 * 85)


def test_statistics_of_normalisation_are_no_parameters(tmp_path):
    import torch
    from safetensors.torch import save_file

    folder = write_run(tmp_path / "run", [0.5, 0.7])
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4))
    meta = {"cnncli": json.dumps({"epoch": 2})}
    save_file(network.state_dict(), folder / "best.safetensors", metadata=meta)
    run = load_run(folder, "run")
    assert run.parameters == sum(parameter.numel() for parameter in network.parameters())
    assert run.best["epoch"] == 2  # the file that is kept has the last word


def test_a_run_that_is_going_on(tmp_path, cli):
    folder = write_run(tmp_path / "run", [0.5], report=None)
    with (folder / "metrics.csv").open("a") as file:
        file.write("2,3.1,44")  # being written
    result = cli("compare", folder)
    assert result.code == 0
    assert read_csv(result.out)[0]["epochs_run"] == "1"
    assert result.err == "no test figures, not finished, or a trial of tune: run\n"
    (folder / "metrics.csv").unlink()
    row = read_csv(cli("compare", folder).out)[0]
    assert (row["epochs_run"], row["best_epoch"], row["val_loss"]) == ("0", "", "")


def test_a_report_of_val_is_not_told_as_one_of_test(tmp_path, cli):
    folder = write_run(tmp_path / "run", [0.5], report=REPORT | {"split": "val (chosen on)"})
    result = cli("compare", folder)
    assert read_csv(result.out)[0]["test_accuracy"] == ""
    assert result.err == "no test figures, judged on val (chosen on): run\n"


def moved(images, old, new):
    return [(*image[:2], new if image[2] == old else image[2], image[3]) for image in images]


OTHER = {
    "classes": (
        [(p, label.upper(), s, d) for p, label, s, d in IMAGES],
        {},
        "other classes than a",
    ),
    "set": (
        [(p, label, s, d + "0") for p, label, s, d in IMAGES],
        {"data": "./others"},
        "another data set than a: not comparable",
    ),
    "test": (moved(IMAGES, "test", "train"), {}, "other test images than a"),
    "both": (moved(moved(IMAGES, "val", "x"), "test", "val"), {}, "other val and test images"),
}


@pytest.mark.parametrize("name", OTHER)
def test_other_images_are_told(tmp_path, cli, name):
    images, settings, text = OTHER[name]
    images = [(*i[:2], "test" if i[2] == "x" else i[2], i[3]) for i in images]
    write_run(tmp_path / "a", [0.5])
    write_run(tmp_path / "b", [0.6], images=images, **settings)
    warnings = cli("compare", tmp_path / "a", tmp_path / "b").err.splitlines()
    assert len(warnings) == 1
    assert warnings[0].startswith(f"Warning: b: {text}")


def test_a_warning_stands_once_for_all_runs_that_it_is_about(tmp_path, cli):
    write_run(tmp_path / "a", [0.5])
    images = OTHER["test"][0]
    for name in "bc":
        write_run(tmp_path / name, [0.6], images=images)
    (line,) = cli("compare", tmp_path, "--sort", "given").err.splitlines()
    assert line.startswith("Warning: b, c: other test images than a")
    for name in "defg":
        write_run(tmp_path / name, [0.6], images=images)
    (line,) = cli("compare", tmp_path, "--sort", "given").err.splitlines()
    assert line.startswith("Warning: all 6 others: other test images than a")


@pytest.mark.parametrize("columns", [40, 60, 80, 100])
@pytest.mark.parametrize("count", [2, 7, 12])
def test_every_run_and_figure_is_seen(tmp_path, cli, monkeypatch, columns, count):
    monkeypatch.setenv("COLUMNS", str(columns))
    figure = {"low": 0.5, "high": 0.9}
    for n in range(count):
        report = REPORT | {"accuracy": figure | {"value": 0.6 + n / 1000}}
        name = f"2026-11-26_13{1000 + n}_resnet_small"
        write_run(tmp_path / name, [n + 0.25], lr=(n + 1) / 1000, report=report)
    out = cli("compare", tmp_path, "--format", "table").out
    assert max(map(len, out.splitlines())) <= columns
    for n in range(count):
        assert f"13{1000 + n}" in out
        assert re.search(rf"(?<![\d.]){(n + 1) / 1000:g}(?![\d.])", out)
        assert f"{0.6 + n / 1000:.4f}" in out
    if count == 7:
        assert "All runs are 2026-11-26_…_resnet_small." in out
        assert "hortened" not in out


def test_the_same_images_under_another_name_are_no_warning(tmp_path, cli):
    write_run(tmp_path / "a", [0.5])
    renamed = [(f"moved/{path}", *rest) for path, *rest in reversed(IMAGES)]
    write_run(tmp_path / "b", [0.6], images=renamed, data="/elsewhere")
    assert cli("compare", tmp_path / "a", tmp_path / "b").err == ""


def test_fewer_training_images_are_an_experiment(tmp_path, cli):
    write_run(tmp_path / "a", [0.5])
    write_run(tmp_path / "b", [0.6], images=IMAGES[1:], data="./part")
    assert cli("compare", tmp_path / "a", tmp_path / "b").err == ""


DAMAGE = {
    "config.yaml": ("[", "not YAML"),
    "metrics.csv": ("epoch,loss\n1,2\n", "no column train_loss"),
    "splits.csv": ("path,label\na,b\n", "not the splits.csv of a run"),
    "report.json": ("{", "not the report.json of a run"),
    "best.safetensors": ("PK", "not the checkpoint of a run"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_folder_is_one_line_and_the_others_are_told(cli, two, name):
    text, told = DAMAGE[name]
    (two[1] / name).write_text(text)
    result = cli("compare", *two)
    assert result.code == 3
    assert [row["run"] for row in read_csv(result.out)] == ["first"]
    (line,) = result.err.splitlines()
    assert line.startswith(f"Warning: left out: {two[1] / name}: ")
    assert told in line


def test_a_damaged_line_is_named(cli, two):
    lines = (two[1] / "metrics.csv").read_text().splitlines()
    (two[1] / "metrics.csv").write_text("\n".join([lines[0], "x" + lines[1], lines[2], ""]))
    assert "metrics.csv: line 2 is damaged" in cli("compare", *two).err


def test_a_glob_may_hold_other_things(cli, two):
    other = two[0].parent / "tune"
    other.mkdir()
    picture = two[0].parent / "compare.png"
    picture.touch()
    result = cli("compare", *two, other, picture)
    assert result.code == 0
    assert len(read_csv(result.out)) == 2
    assert result.err.count("not a run folder") == 2


def test_a_folder_of_runs_stands_for_them(cli, two):
    rows = read_csv(cli("compare", two[0].parent).out)
    assert [row["run"] for row in rows] == ["second", "first"]


def test_a_run_given_twice_counts_once_and_names_are_told_apart(tmp_path, cli, two):
    shutil.copytree(two[0], tmp_path / "elsewhere" / "first")
    rows = read_csv(cli("compare", two[0], two[0], tmp_path / "elsewhere" / "first").out)
    assert {row["run"] for row in rows} == {str(two[0]), str(tmp_path / "elsewhere" / "first")}


MISTAKES = [
    (("runs/nosuch",), "runs/nosuch: no such run folder"),
    ((".",), "no run folder to compare"),
    (("runs/first", "--output", "picture.pdf"), "must end in .png, .jpg or .jpeg"),
    (("runs/first", "--output", "nosuch/x.png"), "there is no folder nosuch"),
]


@pytest.mark.parametrize(("args", "text"), MISTAKES, ids=lambda value: str(value)[:40])
def test_mistakes_are_one_line(tmp_path, cli, two, monkeypatch, args, text):
    monkeypatch.chdir(tmp_path)
    result = cli("compare", *args)
    assert result.code == 2
    assert text in result.err.splitlines()[-1]


def test_what_differs():
    old = {"lr": 0.1, "model": "cnn", "device": "cpu", "augment": "none"}
    assert find_differing([old, old | {"device": "cuda", "workers": 4}]) == []
    assert find_differing([old, old | {"augment": [{"hflip": {"p": 0.5}}]}]) == ["augment"]
    # A key that the older run does not know stands for its default, balance: none.
    assert find_differing([old, old | {"balance": "none"}]) == []
    assert find_differing([old, old | {"balance": "loss", "lr": 0.2}]) == ["lr", "balance"]


def test_a_legend_tells_what_differs(two):
    runs = [load_run(path, path.name) for path in two]
    assert label_runs(runs, ["optimizer"]) == ["optimizer sgd", "optimizer adamw"]
    assert label_runs(runs, []) == ["first", "second"]
    assert label_runs(runs, ["model"]) == ["model lenet5 (first)", "model lenet5 (second)"]
    assert label_runs(runs, [*"abcde"]) == ["first", "second"]


def write_predictions(folder, right, wrong):
    lines = ["path,target,label,probability"]
    lines += [f"{i}.png,a,a,0.9" for i in right] + [f"{i}.png,a,b,0.9" for i in wrong]
    (folder / "predictions.csv").write_text("\n".join(lines) + "\n")


def write_groups(folder, groups):
    lines = ["path,label,split,group,bytes,hash"]
    lines += [f"{i}.png,a,test,{group},9,h{i}" for i, group in enumerate(groups)]
    (folder / "splits.csv").write_text("\n".join(lines) + "\n")


def paired(cli, two):
    result = cli("compare", *two, "--format", "json", "--sort", "given")
    assert result.code == 0
    return json.loads(result.out)["paired"], result.err


def test_two_runs_are_tested_on_the_same_images(cli, two):
    write_predictions(two[0], range(12), range(12, 20))
    write_predictions(two[1], range(2, 20), range(2))
    answer = cli("compare", *two, "--format", "json", "--sort", "given")
    paired = json.loads(answer.out)["paired"]
    assert (paired["only_first"], paired["only_second"]) == (2, 8)
    assert paired["p"] == pytest.approx(binomtest(2, 10).pvalue)
    assert (
        "the difference in accuracy may be chance (McNemar's exact test, p = 0.11)"
        in cli("compare", *two).err
    )
    write_predictions(two[1], range(30), ())
    assert "of different images: no paired test" in cli("compare", *two).err


def test_where_images_belong_to_groups_these_are_drawn_and_decide(cli, two):
    write_predictions(two[0], range(40), range(40, 60))
    write_predictions(two[1], range(10, 40), [*range(10), *range(40, 60)])
    answer, said = paired(cli, two)
    assert (answer["groups"], answer["resampled"]) == (None, "image")
    assert answer["p"] < 0.05
    assert "more than chance (McNemar's exact test" in said
    # The ten images that the first run alone has right are of one patient.
    write_groups(two[0], [n // 10 for n in range(60)])
    answer, said = paired(cli, two)
    assert (answer["groups"], answer["resampled"], answer["p"]) == (6, "group", None)
    assert answer["differences"]["accuracy"]["value"] == pytest.approx(1 / 6)
    assert answer["differences"]["accuracy"]["low"] == 0
    assert "on 60 images of 6 groups, first alone is right on 10" in said
    assert (
        "the difference in accuracy may be chance (accuracy differs by 0.1667, 95 % interval 0.0000"
        in said
    )
    assert "with so few groups it is too narrow; McNemar's test would take the images for" in said
    write_groups(two[1], [n // 20 for n in range(60)])
    answer, said = paired(cli, two)
    assert answer["groups"] == 3
    assert "those of the run with fewer groups are drawn" in said
    for folder in two:  # groups of one image each are no groups
        write_groups(folder, range(60))
    assert paired(cli, two)[0]["groups"] is None


DECISION = {
    **{"temperature": None, "positive": "a", "threshold": 0.3, "abstain_below": None},
    **{"operating_point": "sensitivity=0.9", "tta": None, "val": {}},
}
WAYS = [
    ({}, {}, None),
    ({}, {"decision": DECISION}, "decision"),
    ({"tta": "flips"}, {}, "tta"),
    ({"precision": "bf16", "decision": DECISION}, {}, "precision and decision"),
    # Each run has its own threshold by the same rule.
    ({"decision": DECISION}, {"decision": DECISION | {"threshold": 0.4}}, None),
    ({"decision": DECISION}, {"decision": DECISION | {"operating_point": None}}, "decision"),
    ({"decision": DECISION}, {"decision": DECISION | {"temperature": 1.5}}, "decision"),
    # What is withheld counts in every figure.
    ({}, {"decision": dict.fromkeys(DECISION) | {"abstain_below": 0.5}}, None),
]


@pytest.mark.parametrize(("one", "other", "told"), WAYS)
def test_runs_that_were_judged_in_other_ways_are_told(cli, two, one, other, told):
    for folder, ways in zip(two, (one, other), strict=True):
        write_predictions(folder, range(12), range(12, 20))
        (folder / "report.json").write_text(json.dumps(REPORT | ways))
    answer, said = paired(cli, two)
    assert answer["images"] == 20
    warnings = [line for line in said.splitlines() if "judged with" in line]
    assert len(warnings) == (told is not None)
    for line in warnings:
        assert line.startswith(f"Warning: second: judged with another {told} than first: ")


def test_the_table_of_differences_and_the_order_of_classes(cli, two):
    head = "path,target,label,probability,probability_{},probability_{}"
    for folder, (one, other) in zip(two, ("ab", "ba"), strict=True):
        rows = [head.format(one, other)]
        for n in range(20):
            chance = {"a": 0.9 if n < 10 else 0.2, "b": 0.1 if n < 10 else 0.8}
            label = max(chance, key=chance.get)
            target = "ab"[n // 10]
            rows.append(f"{n},{target},{label},{chance[label]},{chance[one]},{chance[other]}")
        (folder / "predictions.csv").write_text("\n".join(rows) + "\n")
    answer, said = paired(cli, two)
    assert set(answer["differences"]) == {
        *("accuracy", "balanced_accuracy", "macro_f1", "mcc", "auroc")
    }
    for difference in answer["differences"].values():
        assert difference == {"value": 0, "low": None, "high": None}
    assert "p = 1" in said
    result = cli("compare", *two, "--format", "table")
    assert "second minus first, on 20 images; 95 % intervals from drawing images" in result.out
    assert re.search(r"^auroc +0.0000", result.out, re.M)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("path,target\na,b\n", "not the predictions.csv of evaluate --output"),
        ("path,target,label,probability_a\nx,a,a,?\n", "not the predictions.csv of evaluate"),
        ("path,target,label\n", "names no image"),
        ("path,target,label\nx,a,a\nx,a,b\n", "names an image twice"),
    ],
)
def test_predictions_that_cannot_be_paired(cli, two, text, told):
    for folder in two:
        (folder / "predictions.csv").write_text(text)
    result = cli("compare", *two)
    assert result.code == 2
    assert told in result.err.splitlines()[-1]


def test_the_picture(cli, two, tmp_path):
    import cv2

    picture = tmp_path / "compare.png"
    assert cli("compare", *two, "--output", picture).code == 0
    pixels = cv2.imread(str(picture)).reshape(-1, 3)[:, ::-1]
    for colour in COLOURS[:2]:
        rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        assert (pixels == rgb).all(axis=1).sum() > 200, colour


@pytest.mark.parametrize("count", [1, 8, 30])
def test_any_number_of_runs_is_drawn(tmp_path, count):
    nan = float("nan")
    rows = [{"epoch": 1, "train_loss": nan, "val_loss": 1e9, "val_accuracy": 0.1}]
    runs = [RunCurves(f"lr {n} 强 $x_1$ \n" * 9, rows * (n % 2 + 1), n % 2) for n in range(count)]
    save_comparison(tmp_path / "many.jpg", runs)
    assert (tmp_path / "many.jpg").read_bytes()[:2] == b"\xff\xd8"


def test_no_epoch_no_picture(tmp_path, cli):
    folder = write_run(tmp_path / "run", [])
    result = cli("compare", folder, "--output", tmp_path / "x.png")
    assert result.code == 2
    assert "no run has finished an epoch" in result.err


def test_values_that_are_no_numbers_are_gaps(tmp_path):
    folder = write_run(tmp_path / "run", ["nan", 0.5, ""])
    (run,) = compare_runs([str(folder)], SilentReporter(), best_first=True).runs
    assert run.best["epoch"] == 2


def test_compare_never_reaches_torch(two, tmp_path):
    modules, _ = run("compare", *map(str, two), "--output", str(tmp_path / "compare.png"))
    assert modules & (HEAVY - {"matplotlib", "safetensors"}) == set()
    modules, _ = run("compare", *map(str, two))
    assert modules & HEAVY == set()


def test_runs_by_parts_of_their_names(cli, two, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = cli("compare", "sec", "runs/fir", "--sort", "given")
    assert [row["run"] for row in read_csv(result.out)] == ["second", "first"]
    assert result.err.splitlines() == ["sec: runs/second", "runs/fir: runs/first"]
    write_run(tmp_path / "runs" / "sector", [0.5])
    assert "may be any of 2 runs: " in cli("compare", "sec").error
    assert cli("compare", "secund").error.startswith(
        "secund: no such run folder; did you mean second"
    )
