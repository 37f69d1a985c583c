"""Suspect labels: rows, sheet and list; what is said of weak networks; and bad input."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers import train, write_digits

COLUMNS = ["path", "given", "proposed", "margin", "probability_given", "probability_proposed"]
HEAD = "path,target,label,fold,probability_a,probability_b"
NAMES = ["one", "two", "zero"]
WRONG = {4: 1, 40: 2, 70: 1}  # the label that an image is given in place of its own


@pytest.fixture
def folder(tmp_path, folder_data, run_dir, monkeypatch):
    """Return a cross-validation whose two networks are one run's, to write predictions into."""
    root = tmp_path / "runs" / "cv"
    for name in ("fold1", "fold2"):
        (root / name).mkdir(parents=True)
        for file in ("best.safetensors", "config.yaml", "report.json", "splits.csv"):
            shutil.copy(run_dir / file, root / name)
    config = (run_dir / "config.yaml").read_text()
    (root / "config.yaml").write_text(f"folds: 2\n{config}")
    shutil.copy(run_dir / "report.json", root)
    monkeypatch.chdir(tmp_path)
    return root


def write(folder, data, sharpness=0.9, targets=None, seed=0):
    """Write what networks of some sharpness say of the images, three of them labelled wrongly."""
    paths = sorted(path.relative_to(data).as_posix() for path in data.glob("*/*.png"))
    truth = np.array([NAMES.index(path.split("/")[0]) for path in paths])
    if targets is None:
        targets = np.array([WRONG.get(number, int(of)) for number, of in enumerate(truth)])
    rng = np.random.default_rng(seed)
    mix = rng.dirichlet(np.ones(3), len(paths)) * (1 - sharpness) + np.eye(3)[truth] * sharpness
    with (folder / "predictions.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        columns = [f"probability_{name}" for name in NAMES]
        writer.writerow(["path", "target", "label", "probability", *columns, "file", "fold"])
        for number, (path, row) in enumerate(zip(paths, mix, strict=True)):
            cells = [f"{value:.6f}" for value in row]
            label = NAMES[row.argmax()]
            place = number % 2 + 1
            writer.writerow(
                [path, NAMES[targets[number]], label, max(cells), *cells, data / path, place]
            )
    write_folds(folder, paths)
    return paths, targets, mix


def write_folds(folder, paths):
    """Write what goes with predictions: the folds of the images, and their number in the report."""
    for fold in (0, 1, 2):  # the cross-validation itself, then its folds
        lines = ["path,split,fold" if fold == 0 else "path,split"]
        for number, path in enumerate(paths):
            place = number % 2 + 1
            split = "test" if place == fold else "train"
            lines.append(f"{path},train,{place}" if fold == 0 else f"{path},{split}")
        where = folder / f"fold{fold}" if fold else folder
        (where / "splits.csv").write_text("\n".join(lines) + "\n")
    report = json.loads((folder / "report.json").read_text())
    (folder / "report.json").write_text(json.dumps(report | {"images": len(paths)}))


def rows_of(result):
    return list(csv.DictReader(result.out.splitlines()))


def test_rows_are_the_wrong_labels_worst_first(cli, folder, folder_data):
    paths, targets, mix = write(folder, folder_data)
    result = cli("suspect-labels", folder)
    rows = rows_of(result)
    assert result.code == 3
    assert list(rows[0]) == COLUMNS
    assert {row["path"] for row in rows} == {paths[number] for number in WRONG}
    margins = [float(row["margin"]) for row in rows]
    assert margins == sorted(margins)
    for row in rows:
        number = paths.index(row["path"])
        given, proposed = targets[number], mix[number].argmax()
        assert (row["given"], row["proposed"]) == (NAMES[given], NAMES[proposed])
        assert float(row["probability_given"]) == pytest.approx(mix[number][given], abs=1e-6)
        assert float(row["probability_proposed"]) == pytest.approx(mix[number][proposed], abs=1e-6)
        gap = float(row["probability_given"]) - float(row["probability_proposed"])
        assert float(row["margin"]) == pytest.approx(gap, abs=2e-6)
    assert "3 labels of 90 look wrong; the networks are right on 0.9667" in result.err
    assert "Warning" not in result.err
    nested = cli("suspect-labels", "cv", "--format", "json")
    assert [row["path"] for row in json.loads(nested.out)] == [row["path"] for row in rows]
    assert cli("suspect-labels", "last").out == result.out


def test_no_suspects_is_no_finding(cli, folder, folder_data):
    truth = np.repeat(np.arange(3), 30)
    write(folder, folder_data, targets=truth)
    result = cli("suspect-labels", folder, "--list", "drop.txt", "--sheet", "s.png")
    assert (result.code, result.out) == (0, ",".join(COLUMNS) + "\n")
    assert Path("drop.txt").read_text() == ""
    assert "no label looks wrong: s.png is not written" in result.err
    assert not Path("s.png").exists()


def test_the_sheet_and_the_list(cli, folder, folder_data):
    """The list is what ``--exclude`` takes."""
    import cv2

    paths, _, _ = write(folder, folder_data)
    result = cli("suspect-labels", folder, "--list", "drop.txt", "--sheet", "s.png")
    assert Path("drop.txt").read_text().splitlines() == [row["path"] for row in rows_of(result)]
    height, width = cv2.imread("s.png").shape[:2]
    assert width > height > 100
    assert cli("split", folder_data, "--exclude", "drop.txt").code == 0
    with Path("splits.csv").open() as file:
        kept = {row["path"] for row in csv.DictReader(file)}
    assert set(paths) - kept == {paths[number] for number in WRONG}


def test_networks_that_guess_are_told(cli, folder, folder_data):
    write(folder, folder_data, sharpness=0.0)
    assert "too weak for these rows to mean anything" in cli("suspect-labels", folder).err
    # Two classes are told apart, and the third is taken for one of them.
    _, _, mix = write(folder, folder_data)
    mix[60:] = mix[np.random.default_rng(1).integers(60, size=30)]
    lines = (folder / "predictions.csv").read_text().splitlines()
    table = [line.split(",") for line in lines]
    for row, values in zip(table[1:], mix, strict=True):
        row[4:7] = [f"{value:.6f}" for value in values]
    (folder / "predictions.csv").write_text("\n".join(map(",".join, table)))
    told = cli("suspect-labels", folder).err
    assert "the networks do not tell 'zero' from the rest (30 images with this label" in told
    assert "'one'" not in told


def test_bad_input_is_one_line(cli, folder, folder_data, run_dir):
    write(folder, folder_data)
    for words, why in (
        ((), "name a cross-validation, or images with --data"),
        ((folder, "--data", folder_data), "name a cross-validation, or images with --data"),
        ((folder, "--epochs", 3), "--epochs: is for a cross-validation of --data"),
        ((folder, "--folds", 3), "--folds: is for a cross-validation of --data"),
        ((run_dir,), "a single run, which has seen the images that it was trained on"),
        ((folder / "nosuch",), "no such run folder or file"),
        ((folder, "--sheet", "s.txt"), "--sheet s.txt: must end in .png, .jpg or .jpeg"),
        ((folder, "--list", "no/drop.txt"), "there is no folder no"),
        (("--data", folder_data, "--freeze", "backbone"), "--freeze: goes with --finetune only"),
        (("--data", folder_data, "--folds", 1000), "must be a whole number from 2 to 100"),
    ):
        result = cli("suspect-labels", *words)
        assert (result.code, result.out) == (2, ""), words
        assert why in result.error
        assert "--checkpoint" not in result.error  # the run is an argument here
    for content, why in (
        ("path,target,label\nx,a,a\n", "not the file of a cross-validation"),
        (f"{HEAD}\nx,c,a,1,0,1\n", "has no probabilities of the class 'c'"),
        (f"{HEAD}\nx,a,a,1,?,1\n", "line 2: not the predictions.csv of evaluate"),
        (f"{HEAD}\n", "names no image"),
        (None, "no such file"),
    ):
        if content is None:
            (folder / "predictions.csv").unlink()
        else:
            (folder / "predictions.csv").write_text(content)
        result = cli("suspect-labels", folder)
        assert (result.code, result.out) == (2, "")
        assert why in result.error
    (folder / "fold2" / "report.json").unlink()
    error = cli("suspect-labels", folder).error
    assert error.startswith(f"{folder}: a cross-validation that is not finished (1 of 2 folds are)")


@pytest.mark.slow
def test_labels_that_were_changed_are_found_and_left_out(cli, tmp_path, monkeypatch):
    """The whole way: cross-validate, list, train without."""
    monkeypatch.chdir(tmp_path)
    paths = write_digits("data", per_class=40)
    wrong = {5: "1", 30: "2", 50: "0", 100: "0"}
    with Path("t.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label"))
        for number, path in enumerate(paths):
            writer.writerow((path, wrong.get(number, path.parent.name)))
    flags = ("--model", "lenet5", "--epochs", 8, "--folds", 3, "--device", "cpu")
    result = cli("suspect-labels", "--data", "t.csv", *flags, "--list", "drop.txt")
    assert result.code == 3
    rows = rows_of(result)
    assert {row["path"] for row in rows[:4]} == {str(paths[number]) for number in wrong}
    for row in rows[:4]:
        assert row["proposed"] == Path(row["path"]).parent.name
    run = train("cleaned", data="t.csv", exclude="drop.txt")
    with (run / "splits.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(paths) - len(rows)
    # A cross-validation leaves them out too, and its folder can be asked again.
    again = ("cross-validate", "t.csv", *flags[:2], "--epochs", 1, "--folds", 2, *flags[6:])
    folder = cli(*again, "--exclude", "drop.txt").out.strip()
    with Path(folder, "predictions.csv").open() as file:
        judged = {row["path"] for row in csv.DictReader(file)}
    assert judged == {str(path) for path in paths} - {row["path"] for row in rows}
    # It goes on without the list, too.
    before = Path(folder, "predictions.csv").read_bytes()
    Path("drop.txt").unlink()
    Path(folder, "report.json").unlink()
    shutil.rmtree(Path(folder, "fold2"))
    assert cli("cross-validate", "--resume", folder).out.strip() == folder
    assert Path(folder, "predictions.csv").read_bytes() == before
    done = cli("evaluate", "--checkpoint", folder, "--format", "json")
    assert json.loads(done.out)["images"] == len(judged)
