"""Decisions: chosen on val alone, stored beside the weights, and followed by later commands."""

import csv
import json
import math
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers import train
from sklearn.metrics import log_loss, precision_score, recall_score, roc_curve

POSITIVE = "one"
POINT = ("--positive", POSITIVE, "--operating-point", "sensitivity=0.9")


@pytest.fixture
def run(run_dir, tmp_path):
    """Return a copy of the shared run, beside which a decision may lie."""
    shutil.copytree(run_dir, tmp_path / "run")
    return tmp_path / "run"


def report_of(result):
    assert result.code == 0, result.err
    return json.loads(result.out)


def read_decision(run):
    return json.loads((run / "decision.json").read_text(encoding="utf-8"))


def write_decision(run, **changes):
    """Change keys of a run's decision by hand."""
    (run / "decision.json").write_text(json.dumps(read_decision(run) | changes))


def read_predictions(folder):
    """Return targets and probabilities of an evaluation, and its labels."""
    with (folder / "predictions.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = ("one", "two", "zero")
    probabilities = [[float(row[f"probability_{name}"]) for name in names] for row in rows]
    return (
        np.array([names.index(row["target"]) for row in rows]),
        np.array(probabilities),
        [row["label"] for row in rows],
    )


def judge_raw(cli, run, split, out):
    """Return targets and probabilities of a split of the run, without its decision."""
    result = cli("evaluate", "--checkpoint", run, "--split", split, "--raw", "--output", out)
    assert result.code == 0, result.err
    return read_predictions(out)[:2]


def test_the_threshold_is_one_of_val_and_the_figures_are_of_test(cli, run, tmp_path):
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    result = cli(
        *("evaluate", "--checkpoint", run, *POINT, "--prevalence", 0.1, "--output", tmp_path / "o")
    )
    point = report_of(result)["operating_point"]
    threshold = point["threshold"]
    targets, probabilities = judge_raw(cli, run, "val", tmp_path / "val")
    is_positive, scores = targets == 0, probabilities[:, 0]
    fpr, tpr, _ = roc_curve(is_positive, scores, drop_intermediate=False)
    assert point["val"]["sensitivity"] == recall_score(is_positive, scores >= threshold) >= 0.9
    assert point["val"]["specificity"] == pytest.approx(1 - fpr[tpr >= 0.9].min())
    assert point["val"]["images"] == len(targets)
    targets, probabilities = judge_raw(cli, run, "test", tmp_path / "test")
    is_positive, called = targets == 0, probabilities[:, 0] >= threshold
    assert point["sensitivity"]["value"] == pytest.approx(recall_score(is_positive, called))
    assert point["specificity"]["value"] == pytest.approx(recall_score(~is_positive, ~called))
    assert point["ppv"]["value"] == pytest.approx(precision_score(is_positive, called))
    assert (point["positive_images"], point["prevalence"]) == (is_positive.sum(), 0.1)
    others = np.where(np.arange(3) == 0, -1, probabilities).argmax(axis=1)
    labels = np.array(["one", "two", "zero"])[np.where(called, 0, others)].tolist()
    assert read_predictions(tmp_path / "o")[2] == labels
    accuracy = json.loads((tmp_path / "o" / "report.json").read_text())["accuracy"]["value"]
    assert accuracy == np.mean(np.array(labels) == np.array(["one", "two", "zero"])[targets])
    warning = "the threshold is chosen on few val images"
    assert sum(warning in line for line in result.err.splitlines()) == 1
    stored = read_decision(run)
    assert (stored["positive"], stored["threshold"]) == (POSITIVE, threshold)
    assert (stored["operating_point"], stored["format"]) == ("sensitivity=0.9", 1)
    after = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    del after["decision.json"]
    assert after == before


def test_other_labels_of_test_do_not_move_it(cli, run, folder_data, tmp_path):
    flags = ("--positive", "two", "--operating-point", "youden", "--calibrate", "temperature")
    first = report_of(cli("evaluate", "--checkpoint", run, *flags))
    stored = (run / "decision.json").read_bytes()
    (run / "decision.json").unlink()
    shutil.copytree(folder_data, tmp_path / "data")
    with (run / "splits.csv").open(newline="") as file:
        tested = [row["path"] for row in csv.DictReader(file) if row["split"] == "test"]
    for path in tested:  # each into the next class
        label, name = path.split("/")
        other = {"zero": "one", "one": "two", "two": "zero"}[label]
        shutil.move(tmp_path / "data" / path, tmp_path / "data" / other / f"moved_{name}")
    second = report_of(cli("evaluate", "--checkpoint", run, "--data", tmp_path / "data", *flags))
    assert second["accuracy"] != first["accuracy"]
    assert second["split"] == first["split"] == "test"
    assert (run / "decision.json").read_bytes() == stored


def test_new_images_are_judged_by_a_threshold_of_the_runs_own_val(cli, run, folder_data, tmp_path):
    report_of(cli("evaluate", "--checkpoint", run, *POINT))
    expected = read_decision(run)
    for path in folder_data.glob("*/*.png"):
        target = tmp_path / "new" / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        content = bytearray(path.read_bytes())
        target.write_bytes(content + b"\0")  # the same picture, another file
    result = cli("evaluate", "--checkpoint", run, "--data", tmp_path / "new", "--raw", *POINT)
    assert report_of(result)["split"] == "new images"
    assert read_decision(run) == expected


def test_some_val_images_among_new_ones_are_not_all_that_is_chosen_on(
    cli, run, folder_data, tmp_path
):
    report_of(cli("evaluate", "--checkpoint", run, *POINT))
    expected = read_decision(run)
    with (run / "splits.csv").open(newline="") as file:
        val = {row["path"] for row in csv.DictReader(file) if row["split"] == "val"}
    kept = [next(path for path in sorted(val) if path.startswith(name)) for name in ("one", "zero")]
    for path in folder_data.glob("*/*.png"):
        name = path.relative_to(folder_data).as_posix()
        target = tmp_path / "new" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes() + (b"" if name in kept else b"\0"))
    call = ("evaluate", "--checkpoint", run, "--data", tmp_path / "new", "--raw", *POINT)
    result = cli(*call)
    assert result.code == 0, result.err
    assert read_decision(run) == expected
    assert expected["val"]["images"] == len(val) > len(kept)
    assert "val images are there to choose on" not in result.err
    # Where the run's own data are gone, these must do, and that is said.
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(config.replace(str(folder_data), str(tmp_path / "gone")))
    result = cli(*call)
    assert result.code == 0, result.err
    assert f"only 2 of the run's {len(val)} val images are there to choose on" in result.err


def test_predict_follows_it(cli, run, folder_data, tmp_path):
    images = sorted(folder_data.glob("*/*.png"))[:40]
    ask = ("predict", *images, "--checkpoint", run, "--format", "jsonl", "--probabilities")
    ask = (*ask, "--top-k", 3)
    plain = cli(*ask)
    flags = (*POINT, "--calibrate", "temperature")
    report = report_of(cli("evaluate", "--checkpoint", run, *flags))
    threshold, temperature = (read_decision(run)[key] for key in ("threshold", "temperature"))
    assert cli(*ask, "--raw").out == plain.out
    result = cli(*ask)
    (note,) = [line for line in result.err.splitlines() if "decision.json" in line]
    assert note.endswith("--raw leaves it out")
    for before, after in zip(plain.out.splitlines(), result.out.splitlines(), strict=True):
        raw, row = (json.loads(line) for line in (before, after))
        powers = {name: p ** (1 / temperature) for name, p in raw["probabilities"].items()}
        expected = {name: power / sum(powers.values()) for name, power in powers.items()}
        assert row["probabilities"] == pytest.approx(expected, abs=2e-3)
        ranked = sorted(row["probabilities"], key=row["probabilities"].get, reverse=True)
        others = [name for name in ranked if name != POSITIVE]
        is_called = row["probabilities"][POSITIVE] >= threshold
        first = POSITIVE if is_called else others[0]
        assert [row["label"], row["label_2"], row["label_3"]] == [
            first,
            *(name for name in ranked if name != first),
        ]
        assert row["probability"] == row["probabilities"][first]
        assert "suggested" not in row
    targets, probabilities = judge_raw(cli, run, "test", tmp_path / "test")
    probabilities /= probabilities.sum(axis=1, keepdims=True)  # they were rounded
    before, after = report["calibration"]["before"], report["calibration"]["after"]
    assert before["log_loss"] == pytest.approx(log_loss(targets, probabilities), abs=1e-4)
    squares = ((probabilities - np.eye(3)[targets]) ** 2).sum(axis=1)
    assert before["brier"] == pytest.approx(squares.mean(), abs=1e-4)
    assert after["log_loss"] == report["log_loss"]["value"] != before["log_loss"]
    # Evaluated again, it is what was stored, and that is said.
    again = cli("evaluate", "--checkpoint", run)
    assert report_of(again) == report
    assert "decision.json: temperature" in again.err
    chosen_there = "was chosen on val, whose images are judged here"
    assert chosen_there not in again.err
    assert chosen_there in cli("evaluate", "--checkpoint", run, "--split", "val").err
    assert "decision" not in report_of(cli("evaluate", "--checkpoint", run, "--raw"))


def test_what_is_not_chosen_anew_stays(cli, run):
    report_of(cli("evaluate", "--checkpoint", run, *POINT))
    first = read_decision(run)
    report_of(cli("evaluate", "--checkpoint", run, "--calibrate", "temperature"))
    second = read_decision(run)
    assert first["temperature"] is None
    assert second["operating_point"] == "sensitivity=0.9"
    # The same val images are called, by other probabilities.
    assert second["threshold"] != first["threshold"]
    assert second["val"]["sensitivity"] >= 0.9
    report_of(cli("evaluate", "--checkpoint", run, "--abstain-below", 0.5))
    third = read_decision(run)
    assert third == second | {"abstain_below": 0.5}
    report_of(cli("evaluate", "--checkpoint", run, "--positive", "two", "--threshold", 0.3))
    fourth = read_decision(run)
    assert (fourth["positive"], fourth["threshold"], fourth["operating_point"]) == (
        "two",
        0.3,
        None,
    )
    assert (fourth["temperature"], fourth["val"]) == (second["temperature"], {"images": 12})
    result = cli("evaluate", "--checkpoint", run, "--calibrate", "temperature")
    assert (result.code, "give --positive and a threshold again" in result.err) == (2, True)
    report_of(cli("evaluate", "--checkpoint", run, "--raw", "--abstain-below", 0.5))
    assert read_decision(run)["threshold"] is None  # --raw begins anew


def test_a_withheld_label_keeps_its_class_and_probability(cli, run, folder_data, tmp_path):
    ask = ("predict", folder_data, "--checkpoint", run)
    plain = [*csv.DictReader(cli(*ask).out.splitlines())]
    values = sorted(float(row["probability"]) for row in plain)
    below = values[len(values) // 2]
    rows = [*csv.DictReader(cli(*ask, "--abstain-below", below).out.splitlines())]
    assert list(rows[0]) == ["path", "label", "probability", "suggested", "error"]
    for before, after in zip(plain, rows, strict=True):
        assert (after["suggested"], after["probability"]) == (
            before["label"],
            before["probability"],
        )
        is_sure = float(before["probability"]) >= below
        assert after["label"] == (before["label"] if is_sure else "abstain")
    assert {row["label"] for row in rows} > {"abstain"}
    assert not (run / "decision.json").exists()
    result = cli("evaluate", "--checkpoint", run, "--abstain-below", below)
    abstain = report_of(result)["abstain"]
    answered = sum(row["label"] != "abstain" for row in rows)
    assert abstain["below"] == below
    assert 0 < abstain["answered"] < report_of(result)["images"]
    assert abstain["coverage"] == abstain["answered"] / report_of(result)["images"]
    assert abstain["curve"][0]["accuracy"] == report_of(result)["accuracy"]["value"]
    stored = [*csv.DictReader(cli(*ask).out.splitlines())]
    assert sum(row["label"] != "abstain" for row in stored) == answered
    assert "withholds nothing" in cli(*ask, "--abstain-below", 0.3).err
    # A submission has no cell for it.
    sample, output = tmp_path / "sample.csv", tmp_path / "submission.csv"
    images = [Path(row["path"]) for row in stored if Path(row["path"]).parent.name == "zero"]
    sample.write_text("id,label\n" + "".join(f"{image.name},one\n" for image in images))
    ask = ("predict", *images, "--checkpoint", run, "--sample-submission", sample)
    assert cli(*ask, "--output", output).code == 0
    said = {Path(row["path"]): row["suggested"] for row in stored}
    written = output.read_text().splitlines()[1:]
    assert written == [f"{image.name},{said[image]}" for image in images]


BAD = [
    (("--positive", "on", "--threshold", "0.5"), "no class of the run; they are one, two, zero"),
    (("--positive", "on", "--threshold", "0.5"), "did you mean one"),
    (("--threshold", "0.5"), "which class is the positive one? Give one of --positive one"),
    (("--operating-point", "youden"), "which class is the positive one?"),
    (("--positive", "one"), "give the threshold too"),
    (("--positive", "one", "--operating-point", "sensitivity=2"), "write sensitivity=0.95"),
    (("--positive", "one", "--operating-point", "sensitivity=90"), "write sensitivity=0.9"),
    (("--positive", "one", "--operating-point", "sensitivity"), "write sensitivity=0.95"),
    (("--positive", "one", "--operating-point", "specificity=x"), "write specificity=0.95"),
    (("--positive", "one", "--operating-point", "specifity=0.9"), "did you mean specificity"),
    (("--positive", "one", "--operating-point", "youden=1"), "write youden alone"),
    (("--positive", "one", "--threshold", "1.5"), "between 0 and 1, such as 0.015"),
    (("--positive", "one", "--threshold", "nan"), "must lie between 0 and 1"),
    (("--positive", "one", "--threshold", "0.5", "--prevalence", "0"), "--prevalence 0: must lie"),
    (("--positive", "one", "--threshold", "0.5", "--prevalence", "1"), "--prevalence 1: must lie"),
    (("--prevalence", "0.1"), "of which class? Give --positive"),
    (("--abstain-below", "80"), "between 0 and 1, such as 0.8"),
    ((*POINT, "--threshold", "0.5"), "give one of them"),
    ((*POINT, "--split", "val"), "cnncli cross-validate"),
    (("--calibrate", "temperature", "--split", "all"), "cnncli cross-validate"),
    (("--calibrate", "platt"), "--calibrate platt: must be temperature"),
]


@pytest.mark.parametrize(("flags", "why"), BAD)
def test_bad_flags_are_one_line(cli, run_dir, flags, why):
    result = cli("evaluate", "--checkpoint", run_dir, *flags)
    assert result.code == 2
    lines = [line for line in result.err.splitlines() if line.startswith("Error: ")]
    assert len(lines) == 1, result.err
    assert result.err.splitlines()[-1] == lines[0]
    assert why in lines[0]
    assert not (run_dir / "decision.json").exists()


@pytest.mark.slow
def test_a_run_without_test_images_has_nothing_to_judge_a_threshold_on(cli, folder_data, tmp_path):
    run = train(tmp_path, data=str(folder_data), test_fraction=0)
    result = cli("evaluate", "--checkpoint", run, *POINT)
    assert (result.code, "cnncli cross-validate" in result.err) == (2, True)
    # A threshold of the user's own is chosen on nothing.
    flags = ("--positive", "one", "--threshold", 0.4)
    assert report_of(cli("evaluate", "--checkpoint", run, *flags))["split"] == "val (chosen on)"


DAMAGE = {
    "cut": lambda text: text[:40],
    "empty": lambda text: "",
    "list": lambda text: "[1]",
    "threshold": lambda text: text.replace('"threshold": 0.', '"threshold": 7.'),
    "number": lambda text: text.replace('"temperature": null', '"temperature": "1"'),
    "nan": lambda text: text.replace('"temperature": null', '"temperature": NaN'),
    "positive": lambda text: text.replace('"positive": "one"', '"positive": "four"'),
    "format": lambda text: text.replace('"format": 1', '"format": 9'),
    "weights": lambda text: text.replace('"weights": "', '"weights": "0'),
    "classes": lambda text: text.replace('"two",', '"2",'),
    "rule": lambda text: text.replace('"sensitivity=0.9"', '"sensitivity=9"'),
}


def test_what_is_not_of_these_weights_is_refused_with_the_way_out(cli, run, folder_data):
    report_of(cli("evaluate", "--checkpoint", run, *POINT))
    path = run / "decision.json"
    whole = path.read_text()
    image = next(folder_data.glob("*/*.png"))
    for name, damage in DAMAGE.items():
        path.write_text(damage(whole))
        assert path.read_text() != whole, name
        result = cli("predict", image, "--checkpoint", run)
        assert (result.code, result.out) == (2, ""), name
        assert str(path) in result.error, name
        assert "--raw leaves it out" in result.error, name
    assert cli("predict", image, "--checkpoint", run, "--raw").code == 0
    path.unlink()
    os.mkfifo(path)
    assert "a pipe, not a file" in cli("predict", image, "--checkpoint", run).error
    path.unlink()
    path.mkdir()
    assert cli("evaluate", "--checkpoint", run).code == 2
    result = cli("evaluate", "--checkpoint", run, "--raw", *POINT)
    assert (result.code, "cannot be written" in result.error.splitlines()[-1]) == (2, True)


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_judged(cli, run, monkeypatch):
    monkeypatch.setattr("cnncli.run.decide.os.access", lambda path, mode: False)
    result = cli("evaluate", "--checkpoint", run, *POINT)
    assert result.code == 2
    assert "decision.json: cannot be written, and the decision is stored there" in result.error


def test_weights_that_change_leave_their_decision_behind(cli, run, folder_data, tmp_path):
    """Deleted with its run, left alone by --resume, and not of the weights of another epoch."""
    other = train(tmp_path / "runs", data=str(folder_data), seed=1, keep_every=1)
    report_of(cli("evaluate", "--checkpoint", other, *POINT))
    stored = (other / "decision.json").read_bytes()
    assert cli("train", "--resume", other).code == 0
    assert (other / "decision.json").read_bytes() == stored
    epoch = other / "epochs" / "0001.safetensors"
    assert "decision" not in report_of(cli("evaluate", "--checkpoint", epoch))
    assert "kept epoch" in cli("evaluate", "--checkpoint", epoch, *POINT).error
    shutil.copy(other / "decision.json", run)
    image = next(folder_data.glob("*/*.png"))
    assert "other weights" in cli("predict", image, "--checkpoint", run).error
    Path(other / "decision.json.part").touch()
    assert json.loads(cli("runs", "show", other, "--format", "json").out)["files"]["decision.json"]
    assert cli("runs", "delete", other, "--yes").code == 0
    assert not other.exists()


def test_another_tta_than_it_was_chosen_with_is_told(cli, run, folder_data):
    report_of(cli("evaluate", "--checkpoint", run, *POINT, "--tta", "flips"))
    image = next(folder_data.glob("*/*.png"))
    warning = "decision.json was chosen with --tta flips, and here images are judged without --tta"
    assert warning in cli("predict", image, "--checkpoint", run).err
    result = cli("visualize", "fool", run, "--image", image, "--format", "csv")
    assert (result.code, "decision.json: not used here" in result.err) == (0, True)
    assert "was chosen" not in cli("predict", image, "--checkpoint", run, "--tta", "flips").err


def test_a_temperature_of_other_views_is_not_called_one_of_these(cli, run):
    call, flips = ("evaluate", "--checkpoint", run), ("--tta", "flips")
    report_of(cli(*call, "--calibrate", "temperature", *flips))
    first = read_decision(run)
    result = cli(*call, *POINT)
    assert result.code == 2
    assert "the stored temperature was fitted with --tta flips" in result.err.splitlines()[-1]
    assert "add --calibrate temperature" in result.err.splitlines()[-1]
    assert read_decision(run) == first
    # Given by hand, a threshold does not change what the temperature is of, and that is told.
    result = cli(*call, "--positive", POSITIVE, "--threshold", 0.4)
    assert (result.code, read_decision(run)["tta"]) == (0, "flips")
    assert result.err.count("was chosen with --tta flips, and here") == 1
    # Where all is chosen again, nothing is of other views.
    result = cli(*call, *POINT, "--calibrate", "temperature")
    assert (result.code, read_decision(run)["tta"]) == (0, None)
    assert "was chosen with --tta" not in result.err
    assert read_decision(run)["temperature"] != first["temperature"]


@pytest.mark.slow
def test_val_without_a_side_and_a_class_called_abstain(cli, tmp_path, folder_data):
    lines = ["image,label,split"]
    for name, label in (("zero", "abstain"), ("one", "b"), ("two", "c")):
        for number, path in enumerate(sorted((folder_data / name).glob("*.png"))[:12]):
            split = "train" if number < 6 else "val" if number < 9 and label != "b" else "test"
            lines.append(f"{path},{label},{split}")
    table = tmp_path / "table.csv"
    table.write_text("\n".join(lines) + "\n")
    run = train(tmp_path / "runs", data=str(table))
    flags = ("--positive", "b", "--operating-point", "youden")
    result = cli("evaluate", "--checkpoint", run, *flags)
    assert (result.code, "val has no image of class 'b'" in result.err) == (2, True)
    for command in (("evaluate",), ("predict", table.parent / "nothing")):
        result = cli(*command, "--checkpoint", run, "--abstain-below", "0.5")
        assert result.code == 2
        assert "a class is called 'abstain'" in result.err


def test_undefined_figures_are_null_with_their_reason(cli, run):
    """At a threshold that no image reaches, nothing is called, and a ratio is infinite or 0."""
    result = cli("evaluate", "--checkpoint", run, "--positive", "one", "--threshold", 0.999999)
    point = report_of(result)["operating_point"]
    assert point["sensitivity"]["value"] == 0
    assert point["ppv"] is None
    assert "ppv is undefined: no image is called 'one'" in result.err
    assert point["positive_likelihood_ratio"] is None
    assert point["negative_likelihood_ratio"]["value"] == 1
    assert not any(
        isinstance(value, float) and not math.isfinite(value) for value in point.values()
    )
