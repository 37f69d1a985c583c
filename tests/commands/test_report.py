"""The page of a run: its figures, what it holds of the images, and what it does without them."""

import csv
import json
import re
import shutil
from collections import Counter

import pytest
import yaml
from helpers import train

from cnncli.page.render import format_figure
from cnncli.recipes.report.facts import describe_run
from cnncli.recipes.report.material import read_material
from cnncli.reporting import SilentReporter


def make(cli, run, output, *flags):
    """Write the page; return it, and what was said."""
    result = cli("report", run, "--output", output, *flags)
    assert result.code == 0, result.err
    assert result.out == f"{output}\n"
    return output.read_text("utf-8"), result.err


def cells(page, section):
    """Return the rows of a section's first table, as texts."""
    body = re.search(rf'<section id="{section}".*?<tbody>(.*?)</tbody>', page, re.S)[1]
    rows = re.findall(r"<tr>(.*?)</tr>", body, re.S)
    plain = [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.S) for row in rows]
    return [[re.sub(r"<span.*?</span>|<[^>]+>", "", cell) for cell in row] for row in plain]


def content(page):
    return json.loads(re.search(r'id="content">(.*?)</script>', page, re.S)[1])


@pytest.fixture(scope="module")
def moved(workspace, run_dir, tmp_path_factory):
    """Return a copy of the shared run whose data are not where its settings say."""
    copy = tmp_path_factory.mktemp("moved") / "run"
    shutil.copytree(run_dir, copy)
    config = yaml.safe_load((copy / "config.yaml").read_text("utf-8"))
    (copy / "config.yaml").write_text(yaml.safe_dump(config | {"data": "./gone"}), "utf-8")
    return copy


def test_the_figures_are_those_of_the_report(cli, run_dir, tmp_path):
    page, told = make(cli, run_dir, tmp_path / "page.html")
    report = json.loads((run_dir / "report.json").read_text())
    shown = {row[0]: row[1:] for row in cells(page, "figures")}
    for key, name in {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy"}.items():
        value, low, high = (format_figure(report[key][part]) for part in ("value", "low", "high"))
        assert shown[name] == [value, f"{low} to {high}"]
    assert shown["log loss"][0] == f"{report['log_loss']['value']:.4f}"
    matrix = re.findall(r'data-target="(\d+)" data-predicted="(\d+)".*?>(\d+)<', page)
    counted = {(int(row), int(column)): int(count) for row, column, count in matrix}
    assert counted == {
        (row, column): count
        for row, counts in enumerate(report["confusion_matrix"])
        for column, count in enumerate(counts)
        if count
    }
    assert ">predicted class</th>" in page
    assert "blue is right, orange is wrong." in page
    held = content(page)
    assert len(held["names"]) == len(held["pictures"]) == report["images"]
    count = report["images"]
    assert f"<title>Report of run {run_dir.name}, {count} test images</title>" in page
    assert f"This page holds {count} pictures and {count} file names" in page
    assert f"holds {count} pictures" in told
    # It asks for nothing from anywhere.
    assert "http:" not in page
    assert "https:" not in page
    assert not re.search(r"<(link|iframe|object|embed|base)\b|@import|url\(", page)
    assert "default-src 'none'" in page
    assert len(page) < 5_000_000


def test_pictures_and_names_can_be_left_out(cli, run_dir, folder_data, tmp_path):
    page, _ = make(cli, run_dir, tmp_path / "page.html", "--no-images", "--no-names")
    assert "This page holds no picture and no file name" in page
    assert "data:image" not in page
    assert ".png" not in page
    assert str(folder_data) not in page
    half, _ = make(cli, run_dir, tmp_path / "page.html", "--images", "2")
    assert len(content(half)["pictures"]) == 2
    assert "This page holds 2 pictures and" in half


def test_without_data_and_predictions_it_says_what_is_missing(cli, moved, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(moved, copy)
    (copy / "predictions.csv").unlink()
    page, told = make(cli, copy, tmp_path / "page.html")
    assert (
        "Missing:</strong> the page has no images, threshold, ranking and calibration, because"
        in page
    )
    assert "./gone" in told
    assert 'id="content"' not in page
    assert cells(page, "figures")[1][0] == "accuracy"
    assert "Learning curves" in page


def test_without_the_data_it_takes_the_predictions_that_were_kept(cli, run_dir, moved, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(moved, copy)
    page, told = make(cli, copy, tmp_path / "page.html")
    assert "Missing:</strong> the page has no pictures, because the images cannot be judged" in page
    assert "Warning: the page has no pictures, because" in told
    assert "name the images with <code>--data</code>" in page  # never broken over two lines
    report = json.loads((run_dir / "report.json").read_text())
    assert len(content(page)["names"]) == report["images"]
    assert "ROC curve" in page
    lines = (copy / "predictions.csv").read_text().splitlines(keepends=True)
    (copy / "predictions.csv").write_text("".join(lines[:-1]))  # of other images
    page, _ = make(cli, copy, tmp_path / "page.html")
    assert "predictions.csv: not of the images of report.json" in page


def test_splits_that_are_cut_are_not_taken_for_those_of_the_run(cli, run_dir, moved, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(moved, copy)
    splits = copy / "splits.csv"
    splits.write_bytes(splits.read_bytes()[:150])
    page, told = make(cli, copy, tmp_path / "page.html")
    assert told.count("Warning: splits.csv is not the file of the run any more") == 1
    assert "Warning:</strong> splits.csv is not the file of the run any more" in page
    rows = [["found", "not known"], ["train", "not known"], ["val", "not known"]]
    assert cells(page, "data") == [*rows, ["test", "not known"]]
    assert "(of the run; splits.csv has another by now)" in page


def test_rows_that_splits_have_lost_are_named_as_the_cause(cli, run_dir, in_workspace, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run_dir, copy)
    splits = copy / "splits.csv"
    lines = splits.read_text("utf-8").splitlines(keepends=True)
    splits.write_text("".join(line for line in lines if ",val," not in line), "utf-8")
    page, told = make(cli, copy, tmp_path / "page.html", "--no-images", "--no-names")
    assert told.count("splits.csv was edited after the run") == 1
    assert "has others: splits.csv, which says which images are judged, has changed" in told
    assert "or the machine" not in told
    assert "Warning:</strong> splits.csv is not the file of the run any more" in page


@pytest.mark.parametrize(
    ("kept", "why"),
    [
        (None, "is gone"),
        (20, "is damaged: not the metrics.csv of a run (no column epoch)"),
        (1, "has no row of epoch "),
    ],
)
def test_a_history_that_is_lost_is_named(moved, tmp_path, kept, why):
    """Of None there is no file, of 20 its first bytes, and of 1 its first line."""
    copy = tmp_path / "run"
    shutil.copytree(moved, copy)
    path = copy / "metrics.csv"
    text = path.read_text("utf-8")
    path.write_text(text.splitlines(keepends=True)[0] if kept == 1 else text[:kept], "utf-8")
    if kept is None:
        path.unlink()
    material = read_material(
        copy / "best.safetensors", [copy / "best.safetensors"], SilentReporter()
    )
    (told,) = material.missing
    assert told.startswith(f"the page has no learning curves, because metrics.csv {why}")
    facts = describe_run(material.record, material.files, material.checkpoint, with_names=True)
    assert re.fullmatch(r"not known; kept: epoch \d+", dict(facts)["epochs"])


def test_data_that_are_named_are_judged_or_refused(cli, run_dir, folder_data, tmp_path):
    flags = "--data", folder_data, "--split", "all", "--no-images"
    page, _ = make(cli, run_dir, tmp_path / "page.html", *flags)
    assert "Warning:</strong> the images judged are all (partly trained on, partly chosen" in page
    assert "of the images were trained on</p>" in page
    result = cli("report", run_dir, "--data", folder_data)
    assert "--data: the page in the run's folder is of the images of report.json" in result.error
    result = cli("report", run_dir, "--output", tmp_path / "p.html", "--data", tmp_path / "none")
    assert result.code == 2
    assert "none" in result.error


def test_a_report_that_says_otherwise_is_told(cli, run_dir, workspace, tmp_path, monkeypatch):
    monkeypatch.chdir(workspace)
    copy = tmp_path / "run"
    shutil.copytree(run_dir, copy)
    report = json.loads((copy / "report.json").read_text())
    report["confusion_matrix"][0][0] += 1
    (copy / "report.json").write_text(json.dumps(report))
    page, told = make(cli, copy, tmp_path / "page.html", "--no-images")
    assert "as they are judged today" in told
    assert "as they are judged today" in page


@pytest.mark.parametrize("flag", [("--calibrate", "temperature"), ("--threshold", 0.2)])
def test_the_page_is_of_the_network_before_its_decision(cli, run_dir, in_workspace, tmp_path, flag):
    """What `evaluate --output RUN` writes with a decision is not taken for the network's own."""
    copy = tmp_path / "run"
    shutil.copytree(run_dir, copy)
    positive = () if flag[0] == "--calibrate" else ("--positive", "two")
    flags = ("--checkpoint", copy, *flag, *positive, "--output", copy)
    assert cli("evaluate", *flags).code == 0
    raw = json.loads((run_dir / "report.json").read_text())
    written = json.loads((copy / "report.json").read_text())
    page, told = make(cli, copy, tmp_path / "page.html", "--no-images")
    shown = {row[0]: row[1:] for row in cells(page, "figures")}
    for name in ("accuracy", "log_loss"):
        assert shown[name.replace("_", " ")][0] == f"{raw[name]['value']:.4f}"
    assert any(raw[name]["value"] != written[name]["value"] for name in ("accuracy", "log_loss"))
    assert "report.json was written with decision.json, and has other figures" in told
    assert "have changed since" not in told
    config = yaml.safe_load((copy / "config.yaml").read_text("utf-8"))
    (copy / "config.yaml").write_text(yaml.safe_dump(config | {"data": "./gone"}), "utf-8")
    page, told = make(cli, copy, tmp_path / "page.html", "--no-names")
    assert 'id="content"' not in page
    assert "predictions.csv: written with decision.json; left aside" in page
    assert "the figures are those of report.json, written with decision.json" in page
    written["confusion_matrix"][0][0] += 1  # of one image more
    (copy / "report.json").write_text(json.dumps(written))
    shutil.copy(run_dir / "config.yaml", copy)
    _, told = make(cli, copy, tmp_path / "page.html", "--no-images")
    assert "have changed since" in told


def test_a_run_that_has_not_finished_says_so(cli, run_dir, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run_dir, copy)
    (copy / "report.json").unlink()
    result = cli("report", copy, "--no-images")
    assert result.out == f"{copy / 'report.html'}\n"
    page = (copy / "report.html").read_text("utf-8")
    assert "Warning:</strong> the run has not finished: this is of best.safetensors" in page
    (copy / "epochs").mkdir()
    shutil.copy(copy / "best.safetensors", copy / "epochs" / "0001.safetensors")
    kept = cli("report", copy / "epochs" / "0001.safetensors", "--no-images")
    assert kept.out == f"{copy / 'epochs' / '0001.html'}\n"
    assert cli("runs", "delete", copy, "--yes").code == 0  # the page is a file of the run
    assert not copy.exists()


def test_it_tells_where_the_images_went(cli, folder_data, tmp_path):
    shutil.copytree(folder_data, tmp_path / "data")
    (tmp_path / "data" / "one" / "broken.png").write_bytes(b"no image")
    run = train(tmp_path / "runs", data=str(tmp_path / "data"), on_bad_image="skip")
    page, _ = make(cli, run, tmp_path / "page.html", "--no-images")
    with (run / "splits.csv").open(newline="", encoding="utf-8") as file:
        splits = Counter(row["split"] for row in csv.DictReader(file))
    rows = {name: int(count) for name, count in cells(page, "data")}
    assert rows.pop("found") == splits.total() + 1
    assert rows.pop("cannot be read (bad_images.csv)") == 1
    assert rows.pop("used, with the bytes of another image") == 0
    assert rows.pop("excluded on request (excluded.csv)") == 0
    assert rows == dict(splits)


def test_groups_are_counted(cli, run_dir, folder_data, in_workspace, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run_dir, copy)
    with (copy / "splits.csv").open(newline="", encoding="utf-8") as file:
        images = list(csv.DictReader(file))
    for image in images:
        image["group"] = f"ward {image['path'][-6]}"  # ten files each
    with (copy / "splits.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, images[0])
        writer.writeheader()
        writer.writerows(images)
    page, _ = make(cli, copy, tmp_path / "page.html", "--no-images")
    tested = [image["group"] for image in images if image["split"] == "test"]
    rows = {row[0]: (int(row[1]), int(row[2])) for row in cells(page, "groups")}
    assert {name: count for name, (count, _) in rows.items()} == Counter(tested)
    matrix = json.loads((run_dir / "report.json").read_text())["confusion_matrix"]
    right = sum(counts[number] for number, counts in enumerate(matrix))
    assert sum(wrong for _, wrong in rows.values()) == len(tested) - right
    # The intervals draw the groups that are listed, whatever names the images.
    for flags in (("--data", folder_data), ("--split", "test"), ("--group-regex", r"(.)..png$")):
        drawn, _ = make(cli, copy, tmp_path / "page.html", "--no-images", *flags)
        assert f"on another sample of as many groups, {len(rows)}:" in drawn
        assert len(cells(drawn, "groups")) == len(rows)
    hidden, _ = make(cli, copy, tmp_path / "page.html", "--no-images", "--no-names")
    assert sorted(int(row[0]) for row in cells(hidden, "groups")) == list(range(1, len(rows) + 1))
    assert "ward" not in hidden


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (("nosuch",), "nosuch"),
        (("--no-images", "--images", "3"), "--images 3 and --no-images"),
        (("--device", "cud"), "--device cud"),
        (("--label-col", "nosuch"), "nosuch"),
        (("--output", "page.pdf"), "must end in .html or .htm"),
    ],
)
def test_what_cannot_be_done_is_one_line(cli, in_workspace, flags, why):
    result = cli("report", *flags)
    assert (result.code, result.out) == (2, "")
    *notes, error = result.err.splitlines()
    assert all(note.startswith("run: ") for note in notes)
    assert error.startswith("Error: ")
    assert why in error
