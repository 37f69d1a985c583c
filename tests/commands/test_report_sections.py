"""The sections of the page on data, subgroups and groups; all figures are those of report.json."""

import csv
import html
import json
import math
import re
import shutil

import pytest
import yaml
from helpers import train, write_digits

from cnncli.choices.subgroups import parse_subgroups
from cnncli.config import load_recorded
from cnncli.data.samples import CsvColumns
from cnncli.errors import CnncliError
from cnncli.recipes.check_data import check_data
from cnncli.recipes.evaluate import EvaluateSettings, evaluate_run
from cnncli.recipes.report import full_check
from cnncli.recipes.report.data_check import describe_check
from cnncli.reporting import SilentReporter

CLASSES = ("zero", "one", "two")


@pytest.fixture(scope="module")
def grouped(tmp_path_factory):
    """Return a run on 120 digits in groups of three, with a sex, and with one image twice."""
    root = tmp_path_factory.mktemp("grouped")
    paths = write_digits(root / "images", per_class=40, names=CLASSES)
    shutil.copy(paths[0], root / "images" / "one" / "copy.png")
    with (root / "table.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("image", "label", "split", "sex", "patient"))
        for index, path in enumerate([*paths, root / "images" / "one" / "copy.png"]):
            split = ("train", "val", "test", "test")[index // 3 % 4]
            split = "test" if path.name == "copy.png" else split
            row = path.relative_to(root), path.parent.name, split, "FM"[index // 12 % 2]
            writer.writerow((*row, f"p{index // 3}"))
    return train(
        root / "runs", data=str(root / "table.csv"), group_col="patient", epochs=3, lr=0.01
    )


@pytest.fixture(scope="module")
def evaluated(grouped, tmp_path_factory):
    """Return a copy of the run, with all that evaluate can add to its report."""
    copy = tmp_path_factory.mktemp("evaluated") / "run"
    shutil.copytree(grouped, copy)
    settings = EvaluateSettings(
        checkpoint=str(copy),
        columns=CsvColumns(extra=("sex",)),
        subgroups=parse_subgroups("sex,size"),
        by_group="mean",
        output=str(copy),
    )
    evaluate_run(settings, SilentReporter())
    return copy


def make(cli, run, output, *flags):
    result = cli("report", run, "--output", output, *flags)
    assert result.code == 0, result.err
    return output.read_text("utf-8")


def section(page, name):
    return re.search(rf'<section id="{name}".*?</section>', page, re.S)[0]


def tables(text):
    """Return the tables of a text as rows of cells; a cell is its texts."""
    found = []
    for table in re.findall(r"<table.*?</table>", text, re.S):
        rows = re.findall(r"<tr>(.*?)</tr>", table, re.S)
        cells = [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.S) for row in rows]
        found.append(
            [[[html.unescape(t) for t in re.split(r"<[^>]+>", c) if t] for c in r] for r in cells]
        )
    return found


def shown(figure):
    """Return how a figure of report.json is to be written, and its interval."""
    if figure is None:
        return ["undefined"]
    if isinstance(figure, int):
        return [f"{figure:,}"]
    if figure["low"] is None:
        return [f"{figure['value']:.4f}"]
    return [f"{figure['value']:.4f}", f"{figure['low']:.4f} to {figure['high']:.4f}"]


NAMES = {
    "macro F1": "macro_f1",
    "MCC": "mcc",
    "F1": "f1",
    "AUROC": "auroc",
    "ECE": "ece",
    "Brier score": "brier",
}


def key_of(name):
    return NAMES.get(name, name.replace(" ", "_"))


def check_headline(table, report):
    """Check a table of one figure a row; return the names of the figures."""
    rows = {row[0][0]: row[1] + row[2] for row in table[1:]}
    for name, cells in rows.items():
        expected = shown(report[key_of(name)])
        if len(expected) == 1 and name not in ("images", "groups"):
            cells = cells[:1]  # why there is no interval follows
        assert cells == expected, name
    return {key_of(name) for name in rows}


def test_every_figure_is_that_of_the_report(cli, evaluated, tmp_path):
    page = make(cli, evaluated, tmp_path / "page.html", "--no-images")
    report = json.loads((evaluated / "report.json").read_text())
    (table,) = tables(section(page, "figures"))
    named = check_headline(table, report)
    assert named >= {"images", "accuracy", "balanced_accuracy", "auroc", "log_loss", "ece"}
    ((header, *rows),) = tables(section(page, "classes"))
    for row, of_class in zip(rows, report["per_class"], strict=True):
        for (name,), cell in zip(header[1:], row[1:], strict=True):
            assert cell == shown(of_class[key_of(name)]), (of_class["class_name"], name)
    listed, by_group = tables(section(page, "groups"))
    assert len(listed) - 1 == report["groups"]
    named = check_headline(by_group, report["by_group"])
    assert named >= {"groups", "accuracy", "auroc", "brier"}
    assert "by the mean of its images’ probabilities" in section(page, "groups")
    check_parts(page, report)


def check_parts(page, report):
    parts = section(page, "parts")
    headings = re.findall(r"<h3>By <bdi>(.*?)</bdi>", parts)
    assert headings == ["format", "brightness", "sex", "size"]
    assert "All images have the same format: PNG." in parts
    by_sex = {row["by"]: row for row in report["subgroups"]}["sex"]
    (header, *rows) = tables(parts)[1]
    for row, part in zip(rows, by_sex["parts"], strict=True):
        assert row[0] == [part["value"]]
        for (name,), cell in zip(header[1:], row[1:], strict=True):
            if name == "wrong":
                share = 1 - part["accuracy"]["value"]
                assert float(cell[0]) == pytest.approx(share * part["images"])
            else:
                assert cell == shown(part[key_of(name)]), (part["value"], name)
    assert "Largest gap by sex: " in parts


def test_the_verdict_on_the_images_comes_first(cli, grouped, tmp_path):
    page = make(cli, grouped, tmp_path / "page.html", "--no-images")
    data = section(page, "data")
    assert page.index('<section id="data"') < page.index('<section id="run"')
    kept = json.loads((grouped / "data_check.json").read_text())
    (finding,) = (row for row in kept["findings"] if row["kind"] == "contradiction")
    assert f"<strong>spoils a result</strong> {html.escape(finding['text'])}" in data
    assert "(contradiction, 2 images)" in data
    assert re.search(r"<strong>Warning: \d+ faults? found: ", data)
    flags = json.loads(re.search(r'id="content">(.*?)</script>', page, re.S)[1])["flags"]
    assert "copy: the bytes of 1 other image in train (such as images/zero/" in str(flags)
    assert (
        "1 image has a flag (⚑). A flag says that an image has the bytes of another one"
        in section(page, "confusions")
    )
    (rows,) = tables(data)
    assert rows[3][:2] == [["used, with the bytes of another image"], ["1"]]


def test_report_makes_the_check_of_all_pixels(cli, grouped, tmp_path, monkeypatch):
    monkeypatch.setenv("CNNCLI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(full_check, "SECONDS", math.inf)
    config = load_recorded(str(grouped / "config.yaml"))
    splits = {"splits": str(grouped / "splits.csv")}
    expected = check_data(config.model_copy(update=splits), SilentReporter(), cache=False)
    assert {"contradiction", "few-images"} & {row.kind for row in expected.findings}
    flags = "--check", "--no-images", "--subgroup", "sex=1"
    result = cli("report", grouped, "--output", tmp_path / "page.html", *flags)
    assert result.code == 2
    assert result.err.endswith(
        "Error: --subgroup sex: holds texts, and no numbers to put into bands\n"
    )
    page = make(cli, grouped, tmp_path / "page.html", *flags[:3], "sex")
    data = html.unescape(section(page, "data"))
    for finding in expected.findings:
        assert finding.text in data
    assert "This is the check of cnncli check-data" in data
    assert re.findall(r"<h3>By <bdi>(.*?)</bdi>", page) == ["format", "size", "brightness", "sex"]


def test_a_check_that_takes_too_long_leaves_the_verdict_of_train(grouped, monkeypatch):
    monkeypatch.setattr(full_check, "SECONDS", -1.0)

    def check(config, reporter):
        with reporter.progress("looking", 1) as advance:
            advance(1)
        pytest.fail("it went on")

    told = {"with_names": True, "reporter": SilentReporter()}
    kept = describe_check(grouped, **told)
    found = describe_check(grouped, **told, check=check)
    assert found.findings == kept.findings
    assert "takes more than 10 seconds here" in found.how

    def refuse(config, reporter):
        raise CnncliError("no such folder")

    assert describe_check(grouped, **told, check=refuse) == kept


def test_names_are_left_out_of_the_verdict_and_old_runs_have_none(grouped, tmp_path):
    assert "contradicting labels" in str(describe_check(grouped, with_names=True))
    hidden = describe_check(grouped, with_names=False)
    assert {row["text"] for row in hidden.findings} == {""}
    assert "--no-names" in hidden.hidden
    assert describe_check(tmp_path, with_names=True).verdict == (
        "The run has kept no verdict on its images."
    )
    (tmp_path / "data_check.json").write_text("[]")
    found = describe_check(tmp_path, with_names=False)
    assert found.verdict == "The verdict on the images cannot be read."
    assert str(tmp_path) not in found.how


def test_without_the_images_the_report_s_own_parts_stay(cli, evaluated, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(evaluated, copy)
    config = yaml.safe_load((copy / "config.yaml").read_text("utf-8"))
    (copy / "config.yaml").write_text(yaml.safe_dump(config | {"data": "./gone"}), "utf-8")
    page = make(cli, copy, tmp_path / "page.html")
    parts = section(page, "parts")
    assert "The files cannot be read, so that their formats and sizes are not known." in parts
    assert re.findall(r"<h3>By <bdi>(.*?)</bdi>", parts) == ["sex", "size"]
    assert "whole groups of images as what is drawn independently" in page
    (copy / "predictions.csv").unlink()
    page = make(cli, copy, tmp_path / "page.html")
    report = json.loads((copy / "report.json").read_text())
    (by_group,) = tables(section(page, "groups"))
    assert check_headline(by_group, report["by_group"])
    report["mcc"] = None
    report["confusion_matrix"] = [[sum(row), 0, 0] for row in report["confusion_matrix"]]
    (copy / "report.json").write_text(json.dumps(report))
    page = make(cli, copy, tmp_path / "page.html")
    assert "mcc is undefined: every image is predicted as" in section(page, "figures")
