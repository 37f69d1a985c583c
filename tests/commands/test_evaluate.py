"""Evaluate: which images count, what the report says of them, and what is written."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import sklearn.metrics as reference
import torch
import yaml
from helpers import run_process, train, write_digits

CLASSES = ("zero", "one", "two")


def answer(result):
    """Return the report that was printed as JSON."""
    assert result.code == 0, result.err
    return json.loads(result.out)


def read_splits(run):
    with (run / "splits.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def count(run, split):
    return sum(row["split"] == split for row in read_splits(run))


def test_it_is_the_report_of_the_run(cli, in_workspace, run_dir):
    result = cli("evaluate")
    assert answer(result) == json.loads((run_dir / "report.json").read_text())
    assert f"checkpoint: runs/{run_dir.name}/best.safetensors (the newest run)" in result.err
    assert "that the run was trained on" in result.err


def test_a_run_in_place_of_images_is_evaluated_on_its_own(cli, in_workspace, run_dir):
    report = json.loads((run_dir / "report.json").read_text())
    for given in (run_dir, run_dir / "best.safetensors", run_dir.name, "last"):
        result = cli("evaluate", given)
        assert answer(result) == report
        assert f"{given} is a run, and no images: it is evaluated on its own" in result.err
    result = cli("evaluate", "runs")
    assert (result.code, "name one of them" in result.error) == (2, True)
    result = cli("evaluate", run_dir, "--checkpoint", run_dir)
    assert (result.code, "a run, and no images" in result.error) == (2, True)


@pytest.mark.parametrize("model", ["lenet5", "cnn"])
def test_it_is_the_report_whatever_the_batches_of_training(cli, folder_data, tmp_path, model):
    run = train(tmp_path, data=str(folder_data), model=model, batch_size=5)
    report = answer(cli("evaluate", "--checkpoint", run))
    assert report == json.loads((run / "report.json").read_text())


@pytest.mark.parametrize("trained", ["fp32", "bf16"])
@pytest.mark.parametrize("has_bf16", ["0", "1"])
def test_figures_do_not_depend_on_the_processor(
    cli, folder_data, tmp_path, monkeypatch, trained, has_bf16
):
    """Report and evaluation are float32's, as the network's own float32 pass says."""
    from cnncli.data.find_samples import find_samples
    from cnncli.training.checkpoint import load_checkpoint

    monkeypatch.setenv("CNNCLI_CPU_BF16", has_bf16)
    run = train(tmp_path, data=str(folder_data), precision=trained)
    written = json.loads((run / "report.json").read_text())
    result = cli("evaluate", "--checkpoint", run, "--output", tmp_path / "out")
    assert answer(result) == written
    assert "--precision" not in result.err
    assert "precision" not in written
    network, checkpoint = load_checkpoint(run / "best.safetensors")
    rows = list(csv.DictReader((tmp_path / "out" / "predictions.csv").read_text().splitlines()))
    samples = find_samples(str(folder_data))
    numbers = [list(samples.paths).index(row["path"]) for row in rows]
    images = [checkpoint.preprocess(samples.source.read(number)) for number in numbers]
    with torch.inference_mode():
        exact = checkpoint.classifier(network).eval()(torch.from_numpy(np.stack(images))).numpy()
    told = [[float(row[f"probability_{name}"]) for name in checkpoint.class_names] for row in rows]
    np.testing.assert_allclose(told, exact, atol=2e-6)


def test_another_precision_is_told_and_stands_in_the_report(cli, run_dir, monkeypatch):
    monkeypatch.setenv("CNNCLI_CPU_BF16", "0")
    written = json.loads((run_dir / "report.json").read_text())
    for asked, computed in (("bf16", "bf16"), ("auto", "fp32"), ("fp32", "fp32")):
        result = cli("evaluate", "--checkpoint", run_dir, "--precision", asked)
        report = answer(result)
        assert report.pop("precision") == computed
        assert f"--precision {asked}: computed in {computed}" in result.err
        assert (report == written) == (computed == "fp32")


def test_data_that_moved_are_known_by_path_and_size(cli, folder_data, run_dir, tmp_path):
    shutil.copytree(folder_data, tmp_path / "elsewhere")
    result = cli("evaluate", "--data", tmp_path / "elsewhere", "--checkpoint", run_dir)
    assert answer(result) == json.loads((run_dir / "report.json").read_text())


def test_other_images_of_equal_paths_and_sizes_are_new(cli, tmp_path):
    for folder, seed in (("A", 0), ("B", 1)):  # as a camera writes them: one size, numbered anew
        random = np.random.default_rng(seed)
        for name in ("x/1.bmp", "x/2.bmp", "x/3.bmp", "y/1.bmp", "y/2.bmp", "y/3.bmp"):
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(path), random.integers(0, 256, (8, 8), dtype=np.uint8))
    run = train(tmp_path / "runs", data=str(tmp_path / "A"))
    result = cli("evaluate", "--data", tmp_path / "B", "--checkpoint", run)
    report = answer(result)
    assert (report["split"], report["images"]) == ("new images", 6)
    assert "left out" not in result.err


def test_a_run_without_hashes_is_told_in_one_warning(cli, folder_data, run_dir, tmp_path):
    for name in ("best.safetensors", "config.yaml"):
        shutil.copy(run_dir / name, tmp_path / name)
    rows = read_splits(run_dir)
    with (tmp_path / "splits.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows([{**row, "hash": ""} for row in rows])
    result = cli("evaluate", "--data", folder_data, "--checkpoint", tmp_path)
    assert answer(result)["images"] == count(run_dir, "test")
    (warning,) = [line for line in result.err.splitlines() if line.startswith("Warning: ")]
    assert f"splits.csv has no hash of {len(rows)} of the run's images" in warning


def test_files_with_other_names_are_known_by_content(cli, folder_data, run_dir, tmp_path):
    for number, path in enumerate(sorted(folder_data.glob("*/*.png"))):
        target = tmp_path / "renamed" / path.parent.name / f"image{number}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    result = cli("evaluate", "--data", tmp_path / "renamed", "--checkpoint", run_dir)
    report = answer(result)
    assert (report["split"], report["images"]) == ("test", count(run_dir, "test"))
    assert (
        f"not evaluated: {count(run_dir, 'train')} images that the run was trained on" in result.err
    )


@pytest.mark.parametrize("column", ["split", "label"])
def test_splits_that_were_edited_after_the_run_are_told(cli, run_dir, tmp_path, column):
    edited = tmp_path / "run"
    shutil.copytree(run_dir, edited)
    assert "was edited" not in cli("evaluate", "--checkpoint", edited).err
    rows = read_splits(edited)
    with (edited / "splits.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    assert "was edited" not in cli("evaluate", "--checkpoint", edited).err  # the same content
    text = (edited / "splits.csv").read_text(encoding="utf-8")
    row = next(row for row in rows if row["split"] == "train")
    other = "test" if column == "split" else "other"
    line = next(line for line in text.splitlines() if row["path"] in line)
    (edited / "splits.csv").write_text(
        text.replace(line, line.replace(f'"{row[column]}"', f'"{other}"')), encoding="utf-8"
    )
    said = cli("evaluate", "--checkpoint", edited)
    assert said.code == 0
    assert f"Warning: {edited / 'splits.csv'} was edited after the run" in said.err


def test_labels_that_changed_since_the_run_are_told(cli, folder_data, run_dir, tmp_path):
    shutil.copytree(folder_data, tmp_path / "data")
    assert "another label" not in cli("evaluate", tmp_path / "data", "--checkpoint", run_dir).err
    one = next(row["path"] for row in read_splits(run_dir) if row["split"] == "test")
    then = one.split("/")[0]
    now = next(
        name for name in sorted(p.name for p in (tmp_path / "data").iterdir()) if name != then
    )
    moved = f"{now}/moved.png"
    (tmp_path / "data" / one).rename(tmp_path / "data" / moved)
    said = cli("evaluate", tmp_path / "data", "--checkpoint", run_dir)
    assert answer(said)["images"] == count(run_dir, "test")
    assert (
        f"1 of {len(read_splits(run_dir))} images has another label now ({moved}: {then!r} then, "
        f"{now!r} now); the run was trained with the labels of then"
    ) in " ".join(said.err.split())


def test_trained_files_among_new_ones_are_left_out_and_named(cli, folder_data, run_dir, tmp_path):
    rows = read_splits(run_dir)
    trained = [row["path"] for row in rows if row["split"] == "train"][:2]
    write_digits(tmp_path / "new", per_class=5, start=60, names=CLASSES)
    for name in trained:
        shutil.copy(folder_data / name, tmp_path / "new" / name)
    result = cli("evaluate", "--data", tmp_path / "new", "--checkpoint", run_dir)
    report = answer(result)
    assert (report["split"], report["images"]) == ("new images", 15)
    assert "not evaluated: 2 images that the run was trained on" in result.err
    assert all(name in result.err for name in trained)
    result = cli("evaluate", "--data", tmp_path / "new", "--checkpoint", run_dir, "--split", "all")
    report = answer(result)
    assert (report["split"], report["images"]) == ("all (partly trained on)", 17)


@pytest.mark.parametrize(
    ("split", "name"),
    [
        ("train", "train (trained on)"),
        ("val", "val (chosen on)"),
        ("test", "test"),
    ],
)
def test_splits_of_the_run(cli, folder_data, run_dir, split, name):
    report = answer(
        cli("evaluate", "--data", folder_data, "--checkpoint", run_dir, "--split", split)
    )
    assert (report["split"], report["images"]) == (name, count(run_dir, split))


def test_all_of_the_run(cli, folder_data, run_dir):
    report = answer(
        cli("evaluate", "--data", folder_data, "--checkpoint", run_dir, "--split", "all")
    )
    assert report["split"] == "all (partly trained on, partly chosen on)"
    assert report["images"] == len(read_splits(run_dir))


def test_train_and_val_without_test(cli, tmp_path):
    write_digits(tmp_path / "data/train", per_class=8)
    write_digits(tmp_path / "data/val", per_class=3, start=20)
    run = train(tmp_path / "runs", data=str(tmp_path / "data"))
    report = answer(cli("evaluate", "--checkpoint", run))
    assert (report["split"], report["images"]) == ("val (chosen on)", 9)
    assert report == json.loads((run / "report.json").read_text())
    result = cli("evaluate", "--checkpoint", run, "--split", "test")
    assert result.code == 2
    assert "none of the 33 images is in the run's test split" in result.err


def test_an_unknown_class_is_named(cli, run_dir, tmp_path):
    write_digits(tmp_path, names=("zero", "one", "twoo"), per_class=2)
    result = cli("evaluate", "--data", tmp_path, "--checkpoint", run_dir)
    assert (result.code, result.out) == (2, "")
    assert "class 'twoo' is unknown" in result.error
    assert "did you mean two" in result.error


def test_classes_are_matched_by_name(cli, run_dir, tmp_path):
    """Without "one", which sorts first, every index would shift by one."""
    paths = write_digits(
        tmp_path / "other", classes=("0", "2"), per_class=20, start=50, names=("zero", "two")
    )
    output = tmp_path / "out"
    arguments = ("--data", tmp_path / "other", "--checkpoint", run_dir, "--output", output)
    report = answer(cli("evaluate", *arguments))
    assert report["class_names"] == ["one", "two", "zero"]
    assert np.sum(report["confusion_matrix"], axis=1).tolist() == [0, 20, 20]
    assert report["images"] == len(paths)
    with (output / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert all(row["path"].split("/")[0] == row["target"] for row in rows)
    right = np.mean([row["label"] == row["target"] for row in rows])
    assert report["accuracy"]["value"] == pytest.approx(right)


def test_the_four_files(cli, folder_data, run_dir, tmp_path):
    output = tmp_path / "a/b"
    result = cli("evaluate", "--data", folder_data, "--checkpoint", run_dir, "--output", output)
    report = answer(result)
    assert {path.name for path in output.iterdir()} == {
        "report.json",
        "predictions.csv",
        "confusion_matrix.csv",
        "confusion_matrix.png",
    }
    assert json.loads((output / "report.json").read_text()) == report
    assert (output / "confusion_matrix.png").read_bytes().startswith(b"\x89PNG")
    with (output / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = report["class_names"]
    table = [[float(row[f"probability_{name}"]) for name in names] for row in rows]
    targets = [names.index(row["target"]) for row in rows]
    assert np.allclose(np.sum(table, axis=1), 1, atol=1e-5)
    assert [row["label"] for row in rows] == [names[i] for i in np.argmax(table, axis=1)]
    matrix = reference.confusion_matrix(targets, np.argmax(table, axis=1))
    assert matrix.tolist() == report["confusion_matrix"]
    lines = (output / "confusion_matrix.csv").read_text().splitlines()
    assert lines == [
        ",".join(("target", *names)),
        *(",".join((n, *map(str, r))) for n, r in zip(names, matrix, strict=True)),
    ]


def test_without_splits_csv_a_warning(cli, folder_data, run_dir, tmp_path):
    shutil.copy(run_dir / "best.safetensors", tmp_path / "model.safetensors")
    arguments = ("evaluate", "--checkpoint", tmp_path / "model.safetensors")
    result = cli(*arguments, "--data", folder_data)
    assert "Warning: no splits.csv beside" in result.err
    report = answer(result)
    assert (report["split"], report["images"]) == ("new images", len(read_splits(run_dir)))
    result = cli(*arguments)
    assert (result.code, result.out) == (2, "")
    assert "--data: missing" in result.error


def test_what_is_undefined_is_null_with_a_reason(cli, run_dir, tmp_path):
    write_digits(tmp_path, classes=("1",), names=("one",), per_class=6, start=60)
    result = cli("evaluate", "--data", tmp_path, "--checkpoint", run_dir)
    report = answer(result)
    assert report["quadratic_kappa"] is None  # the classes are no grades
    for name in ("mcc", "auroc", "average_precision"):
        assert report[name] is None
        assert any(name in line for line in result.err.splitlines() if " are undefined: " in line)
    assert report["accuracy"]["value"] is not None
    assert "NaN" not in result.out


@pytest.mark.parametrize("output", ["/proc/nope", "file"])
def test_an_unwritable_output_is_told_before_the_work(cli, run_dir, tmp_path, monkeypatch, output):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    paths = write_digits(tmp_path / "data", names=CLASSES, per_class=2, start=60)
    paths[0].write_bytes(b"unreadable: it would be told instead, were it read before")
    result = cli("evaluate", "--data", "data", "--checkpoint", run_dir, "--output", output)
    assert (result.code, result.out) == (2, "")
    assert f"--output {output}: cannot be made" in result.error


def test_a_table(cli, folder_data, run_dir):
    arguments = ("--data", folder_data, "--checkpoint", run_dir)
    result = cli("evaluate", *arguments, "--format", "table")
    report = json.loads((run_dir / "report.json").read_text())
    lines = [line.split() for line in result.out.splitlines()]
    assert ["split", "test"] in lines
    assert ["images", str(report["images"])] in lines
    accuracy = next(line for line in lines if line[:1] == ["accuracy"])
    assert float(accuracy[1]) == pytest.approx(report["accuracy"]["value"], abs=5e-3)
    assert {line[0] for line in lines if line} >= {"zero", "one", "two"}


def test_a_bad_image_is_named(cli, run_dir, tmp_path):
    paths = write_digits(tmp_path, names=CLASSES, per_class=3, start=60)
    paths[4].write_bytes(paths[4].read_bytes()[:50])
    result = cli("evaluate", "--data", tmp_path, "--checkpoint", run_dir)
    assert (result.code, result.out) == (2, "")
    assert paths[4].name in result.err


def test_a_pickle_is_refused(cli, tmp_path):
    torch.save({}, tmp_path / "model.pt")
    result = cli("evaluate", "--data", "digits", "--checkpoint", tmp_path / "model.pt")
    assert (result.code, result.out) == (2, "")
    assert "pickle" in result.error


def test_a_run_on_a_csv_needs_no_flags_again(cli, tmp_path):
    paths = write_digits(tmp_path / "data" / "files", per_class=14)
    rows = [f"{p.relative_to(tmp_path / 'data')},{p.parent.name}" for p in paths]
    (tmp_path / "data" / "list.csv").write_text("\n".join(["where,what", *rows]) + "\n")
    run = train(
        tmp_path / "runs",
        data=str(tmp_path / "data" / "list.csv"),
        image_col="where",
        label_col="what",
        model="lenet5",
        epochs=1,
    )
    assert answer(cli("evaluate", "--checkpoint", run)) == json.loads(
        (run / "report.json").read_text()
    )


@pytest.mark.slow
def test_hostile_class_names_reach_neither_terminal_nor_spreadsheet(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ("=1+1", "größe", "red\x1b[31m\u202e")
    write_digits(tmp_path / "data", names=names)
    run = train(tmp_path / "runs", data="data")
    before = (run / "config.yaml").read_bytes()
    names = ("=1+1", "größe", "red[31m")  # without what is not seen, as labels are read
    for command in (
        ("evaluate", "--format", "table"),
        ("evaluate", "--format", "json"),
        ("predict", "data", "--format", "table"),
        ("check-data", "data", "--format", "table"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "cnncli", *command],
            capture_output=True,
            env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "1"},
        )
        assert done.returncode in (0, 3), done.stderr
        shown = (done.stdout + done.stderr).decode("ascii")
        assert "Traceback" not in shown
        assert "\x1b" not in shown
        if "json" in command:
            assert sorted(json.loads(done.stdout)["class_names"]) == sorted(names)
        else:
            assert r"gr\xf6\xdfe" in shown
            # A class has lost its control characters; those of a path are written out.
            assert (r"red\x1b[31m" if "predict" in command else "red[31m") in shown
    result = run_process("evaluate", "--output", "out", "--csv-safe", cwd=tmp_path)
    assert result.code == 0, result.err
    with (tmp_path / "out" / "confusion_matrix.csv").open(newline="", encoding="utf-8") as file:
        assert next(csv.reader(file)) == ["target", "'=1+1", *names[1:]]
    with (tmp_path / "out" / "predictions.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {"'=1+1", *names[1:]} == {row["target"] for row in rows}
    assert all(row["path"].startswith(("'=", "größe", "red")) for row in rows)
    assert (run / "config.yaml").read_bytes() == before


def test_a_precision_that_the_device_lacks_is_refused_before_images_are_looked_at(
    cli, run_dir, tmp_path
):
    args = ("--checkpoint", run_dir, "--data", tmp_path / "nosuch", "--device", "cpu")
    result = cli("evaluate", *args, "--precision", "fp16")
    assert result.code == 2
    assert result.error.startswith("--precision fp16")


def test_a_terminal_gets_the_matrix_and_mistakes_whose_paths_open(
    cli, folder_data, run_dir, tmp_path, monkeypatch
):
    monkeypatch.chdir(folder_data)
    result = cli("evaluate", "--checkpoint", run_dir, "--data", folder_data, "--split", "all",
                 "--format", "table")  # fmt: skip
    assert "Confusion matrix: rows are true classes" in result.out
    assert "mistake" not in result.out  # in a pipe
    monkeypatch.setenv("COLUMNS", "100")
    options = ("--split", "all", "--mistakes", "3", "--mistakes-grid", tmp_path / "wrong.png")
    result = cli("evaluate", "--checkpoint", run_dir, "--data", folder_data, *options,
                 "--output", tmp_path / "out", "--format", "table")  # fmt: skip
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    start = next(number for number, line in enumerate(lines) if "surest of" in line)
    shown = [line.split() for line in lines[start + 4 :]]
    with (tmp_path / "out" / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[-1] == "file"
    wrong = [row for row in rows if row["target"] != row["label"]]
    wrong.sort(key=lambda row: -float(row["probability"]))
    assert [line[0] for line in shown] == [f"{float(r['probability']):.4f}" for r in wrong[:3]]
    for line, row in zip(shown, wrong, strict=False):
        assert Path(line[-1]).samefile(row["file"])
        assert not line[-1].startswith("/")
    assert (tmp_path / "wrong.png").read_bytes().startswith(b"\x89PNG")


def test_mistakes_are_a_key_of_the_json_where_they_are_asked_for(cli, run_dir, tmp_path):
    plain = answer(cli("evaluate", "--checkpoint", run_dir, "--split", "all"))
    options = ("--mistakes", "4", "--output", tmp_path / "out")
    report = answer(cli("evaluate", "--checkpoint", run_dir, "--split", "all", *options))
    mistakes = report.pop("mistakes")
    assert report == plain == json.loads((tmp_path / "out" / "report.json").read_text())
    assert [list(row) for row in mistakes] == 4 * [
        ["path", "file", "target", "label", "probability"]
    ]
    refused = cli("evaluate", "--checkpoint", run_dir, "--mistakes", "-1")
    assert (refused.code, refused.error) == (2, "--mistakes -1: must be at least 0")
    refused = cli("evaluate", "--checkpoint", run_dir, "--mistakes-grid", tmp_path / "x.gif")
    assert (refused.code, refused.out) == (2, "")
    assert refused.error.startswith(f"--mistakes-grid {tmp_path}/x.gif: must end in")


def test_the_report_of_a_run_is_written_over_by_its_own_alone(cli, tmp_path, run_dir):
    finished, begun = tmp_path / "finished", tmp_path / "begun"
    shutil.copytree(run_dir, finished)
    shutil.copytree(run_dir, begun)
    (begun / "report.json").unlink()
    before = (finished / "report.json").read_bytes()
    data = yaml.safe_load((run_dir / "config.yaml").read_text("utf-8"))["data"]

    assert cli("evaluate", "--checkpoint", finished, "--output", finished).code == 0
    assert (finished / "report.json").read_bytes() == before
    for given in (
        ("--checkpoint", finished, "--split", "train", "--output", finished),
        ("--checkpoint", run_dir, "--output", finished),
        ("--checkpoint", finished, "--data", data, "--output", finished),
    ):
        result = cli("evaluate", *given)
        assert result.code == 2
        assert f"--output {finished}: is the folder of a run, whose report would" in result.err
    assert (finished / "report.json").read_bytes() == before

    result = cli("evaluate", "--checkpoint", begun, "--output", begun)
    assert result.code == 2
    assert f"--output {begun}: is the folder of a run that has not finished" in result.err
    assert not (begun / "report.json").exists()
