"""The page of a cross-validation: figures out of fold, the folds side by side, whose network."""

import csv
import json
import re
import shutil
import statistics
import time

import numpy as np
import pytest
from helpers import cross_validate_figures, write_digits
from sklearn.metrics import accuracy_score, confusion_matrix

from cnncli.data.find_samples import find_samples
from cnncli.data.samples import CsvColumns
from cnncli.recipes.report import after, images
from cnncli.recipes.report.settings import ReportSettings
from cnncli.recipes.report.write import write_report
from cnncli.reporting import SilentReporter
from cnncli.run.afters import FinishedRun
from cnncli.training.checkpoint import load_checkpoint

FOLDS = 3


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("folds_page")
    write_digits(root / "figures", classes=("0", "1", "7"), per_class=12)
    write_digits(root / "others", classes=("0", "1", "7"), per_class=4, start=40)
    return root


@pytest.fixture(scope="module")
def folder(root):
    return cross_validate_figures(root, FOLDS)


@pytest.fixture(scope="module")
def page(folder, tmp_path_factory):
    output = tmp_path_factory.mktemp("page") / "page.html"
    write_report(ReportSettings(run=str(folder), output=output, device="cpu"), SilentReporter())
    return output.read_text("utf-8")


def make(cli, run, output, *flags):
    result = cli("report", run, "--output", output, *flags)
    assert (result.code, result.out) == (0, f"{output}\n"), result.err
    return output.read_text("utf-8"), result.err


def rows_below(page, heading):
    """Return the rows of the first table below a heading, as texts."""
    body = page[page.index(f"<h3>{heading}</h3>") :]
    body = re.search(r"<tbody>(.*?)</tbody>", body, re.S)[1]
    rows = re.findall(r"<tr>(.*?)</tr>", body, re.S)
    plain = [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.S) for row in rows]
    return [[re.sub(r"<[^>]+>", "", cell) for cell in row] for row in plain]


def content(page):
    return json.loads(re.search(r'id="content">(.*?)</script>', page, re.S)[1])


def test_the_figures_are_out_of_fold_and_the_folds_stand_side_by_side(page, folder):
    with (folder / "predictions.csv").open(newline="") as file:
        kept = list(csv.DictReader(file))
    targets, labels = ([row[name] for row in kept] for name in ("target", "label"))
    counted = re.findall(r'data-target="(\d)" data-predicted="(\d)".*?>(\d+)<', page)
    matrix = np.zeros((3, 3), int)
    for row, column, count in counted:
        matrix[int(row), int(column)] = int(count)
    np.testing.assert_array_equal(matrix, confusion_matrix(targets, labels))
    figures = re.search(r'<section id="figures".*?</section>', page, re.S)[0]
    assert f">{accuracy_score(targets, labels):.4f}</td>" in figures
    assert f"cross-validation {folder.name}, 36 images out of fold" in page
    *folds, mean, deviation = rows_below(page, "Each fold")
    accuracies = [
        accuracy_score(*zip(*mine, strict=True))
        for number in "123"
        if (mine := [(r["target"], r["label"]) for r in kept if r["fold"] == number])
    ]
    assert [row[0] for row in folds] == ["fold 1", "fold 2", "fold 3"]
    assert [row[1] for row in folds] == ["12", "12", "12"]
    assert [row[3] for row in folds] == [f"{value:.4f}" for value in accuracies]
    assert mean[3] == f"{statistics.fmean(accuracies):.4f}"
    assert deviation[3] == f"{statistics.stdev(accuracies):.4f}"
    flow = {row[0]: row[1] for row in rows_below(page, "Where the images went")}
    assert [flow[name] for name in ("found", "fold 1", "fold 2", "fold 3")] == ["36", *["12"] * 3]
    assert f"cnncli cross-validate --config {folder}/config.yaml" in page
    assert page.count("fingerprint of the weights of fold") == FOLDS
    assert re.findall(r"<figcaption><h3>(Loss on \w+)</h3>", page) == [
        "Loss on train",
        "Loss on val",
    ]
    assert page.count("<bdi>fold 3</bdi>") == 4  # a line in each chart of the epochs
    assert len(content(page)["pictures"]) == 36


def test_each_heat_map_is_of_the_network_that_did_not_see_the_image(page, folder):
    held = content(page)
    with (folder / "predictions.csv").open(newline="") as file:
        fold = {row["path"]: row["fold"] for row in csv.DictReader(file)}
    told = {held["names"][int(number)]: text for number, text in held["told"].items()}
    assert told
    for name, text in told.items():
        assert text.endswith(f"(network of fold {fold[name]})")


def test_a_heat_map_is_that_of_the_folds_own_network(folder, monkeypatch, tmp_path):
    """The networks that are asked for maps are read from the folds' files."""
    asked = {}

    def draw(find, samples, chosen, reporter, *, seconds):
        asked.update({str(samples.paths[i]): find(i).network.state_dict() for i in chosen})
        return {}, {}

    monkeypatch.setattr(images, "draw_heat", draw)
    settings = ReportSettings(run=str(folder), output=tmp_path / "p.html", device="cpu")
    write_report(settings, SilentReporter())
    known = [load_checkpoint(folder / f"fold{n}" / "best.safetensors")[0] for n in (1, 2, 3)]
    for number, network in enumerate(known, start=1):
        with (folder / f"fold{number}" / "splits.csv").open(newline="") as file:
            unseen = {row["path"] for row in csv.DictReader(file) if row["split"] == "test"}
        mine = [state for path, state in asked.items() if path in unseen]
        assert mine
        for state in mine:
            assert all((state[k] == value).all() for k, value in network.state_dict().items())


def test_other_images_are_judged_by_the_mean_and_have_no_heat_map(cli, root, folder, tmp_path):
    flags = ("--data", root / "others")
    page, told = make(cli, folder, tmp_path / "page.html", *flags)
    assert "12 images: new images" in page
    assert "Each fold</h3>" not in page
    assert content(page)["heat"] == {}
    assert "heat maps of 12 images that the mean of all networks judged" in told
    assert f"<dt>images judged</dt><dd><bdi>{root}/others" in page
    hidden, _ = make(cli, folder, tmp_path / "page.html", *flags, "--no-names")
    assert "heat maps of 12 images that the mean of all networks judged" in hidden
    assert str(root) not in hidden


def test_one_fold_is_a_run_like_any_other(cli, folder, tmp_path):
    page, _ = make(cli, folder / "fold2", tmp_path / "page.html")
    assert "Report of run fold2, 12 test images" in page
    assert "Each fold</h3>" not in page


def test_without_its_images_it_takes_the_kept_predictions(cli, root, folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / folder.name)
    for config in (copy / "config.yaml", *copy.glob("fold*/config.yaml")):
        text = config.read_text("utf-8")
        config.write_text(text.replace(str(root / "figures"), "./gone"), "utf-8")
    page, told = make(cli, copy, tmp_path / "page.html")
    assert "the page has no pictures, because the images cannot be judged" in told
    assert len(content(page)["names"]) == 36
    assert "<h3>Each fold</h3>" in page


def test_at_the_end_it_is_made_of_what_the_folds_have_kept(
    root, folder, page, tmp_path, monkeypatch
):
    monkeypatch.setattr(after, "_MOST", 1e6)
    monkeypatch.setattr(after, "_SHARE", 1e6)
    copy = shutil.copytree(folder, tmp_path / folder.name)
    samples = find_samples(str(root / "figures"), CsvColumns())
    run = FinishedRun(copy, time.monotonic() - 100, samples=samples)
    after.page_after().make(run, SilentReporter())
    made, known = content((copy / "report.html").read_text("utf-8")), content(page)
    for key in ("names", "targets", "predicted", "pictures", "root"):
        assert made[key] == known[key]
    assert all(re.search(r"\(network of fold [123]\)$", text) for text in made["told"].values())
    assert [path.parent for path in copy.rglob("report.html")] == [copy]


def test_a_fold_whose_history_is_cut_is_named(cli, folder, tmp_path):
    copy = tmp_path / "cv"
    shutil.copytree(folder, copy)
    metrics = copy / "fold2" / "metrics.csv"
    metrics.write_bytes(metrics.read_bytes()[:30])
    page, told = make(cli, copy, tmp_path / "page.html", "--no-images", "--no-names")
    lost = "the page has no learning curve of fold 2, because fold2/metrics.csv is damaged: "
    assert told.count(f"Warning: {lost}") == 1
    assert f"Missing:</strong> {lost}" in page


def lose_a_report(folder):
    (folder / "fold2" / "report.json").unlink()
    return "a cross-validation that is not finished (2 of 3 folds are)"


def cut_the_weights(folder):
    path = folder / "fold2" / "best.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    return f"; delete {folder}/fold2 and go on with: cnncli cross-validate --resume {folder}"


def damage_the_report(folder):
    (folder / "report.json").write_text("{")
    return "report.json: not the report.json of a run; put the file back, or, if it is report.json"


@pytest.mark.parametrize("damage", [lose_a_report, cut_the_weights, damage_the_report])
def test_what_is_not_whole_is_one_line(cli, folder, tmp_path, damage):
    copy = shutil.copytree(folder, tmp_path / folder.name)
    why = damage(copy)
    result = cli("report", copy)
    assert (result.code, result.out) == (2, "")
    assert why in result.error
    assert not (copy / "report.html").exists()
