"""The page in a real browser: what a person clicks, presses and sees, and that nothing is asked.

``CNNCLI_AXE`` names ``axe.min.js`` of npm's axe-core, which checks the page for screen readers.
"""

import csv
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from browser import ENTER, ESCAPE, open_browser
from helpers import train, write_digits
from safetensors import safe_open
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from cnncli.recipes.evaluate import EvaluateSettings, evaluate_run
from cnncli.recipes.report.settings import ReportSettings
from cnncli.recipes.report.write import write_report
from cnncli.reporting import SilentReporter
from cnncli.run.decision import Decision

pytestmark = pytest.mark.slow

CLASSES = ("<script>alert(1)<", "مرحبا 🙂", "a\"b'c & d, and a long name" + ", on and on" * 8)
FILES = ("<img src=x onerror=alert(2)>", "x\ny", "‮gpj.exe", "quote\"'`", "😀")


@pytest.fixture(scope="module")
def browser():
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """Return a run on classes and files whose names would do harm in a careless page."""
    root = tmp_path_factory.mktemp("hostile")
    paths = write_digits(root / "data", per_class=40, names=CLASSES)
    for number, path in enumerate(paths):
        path.rename(path.with_name(f"{FILES[number % len(FILES)]} {number}.png"))
    return train(root / "runs", data=str(root / "data"), epochs=2)


@pytest.fixture(scope="module")
def page(hostile):
    return write_report(ReportSettings(run=str(hostile)), SilentReporter())


@pytest.fixture
def opened(browser, page):
    browser.resize(1000)
    browser.console(), browser.requests()
    browser.open(page)
    return browser


def in_cell(browser):
    """Return the focused element, the pictures shown, and the line that counts them."""
    return browser.run(
        "const shown = document.getElementById('shown');"
        "return [document.activeElement.id, shown.querySelectorAll('li').length,"
        "document.getElementById('told').textContent]"
    )


def largest_cell(browser):
    """Return a selector of the cell with the most images, and their number."""
    texts = browser.run("return [...document.querySelectorAll('.cell')].map(c => c.textContent)")
    place = int(np.argmax([int(text) for text in texts]))
    browser.run("document.querySelectorAll('.cell')[arguments[0]].id = 'largest'", place)
    return "#largest", int(texts[place])


def test_nothing_is_asked_for_and_nothing_fails(opened, page):
    asked = [address for address in opened.requests() if not address.startswith("data:")]
    assert asked == [page.absolute().as_uri()]
    selector, _ = largest_cell(opened)
    opened.click(selector)
    assert opened.console() == []
    assert [address for address in opened.requests() if not address.startswith("data:")] == []


@pytest.mark.parametrize("way", ["click", "Enter"])
def test_a_cell_shows_its_images(opened, way):
    selector, count = largest_cell(opened)
    if way == "click":
        opened.click(selector)
    else:
        opened.press(selector, ENTER)
    assert in_cell(opened) == ["shown-heading", count, f"{count} of {count} images"]
    loaded = opened.run(
        "return [...document.querySelectorAll('#gallery li > img:first-child')]"
        ".map(image => { image.loading = 'eager'; return image.src.slice(0, 16); })"
    )
    assert loaded == ["data:image/webp;"] * count
    assert opened.run("return document.querySelector('#largest').ariaPressed") == "true"
    opened.press("#filter", "no such name")
    assert in_cell(opened)[1:] == [0, f"0 of {count} images"]
    opened.press("#filter", ESCAPE)
    assert opened.run("return document.activeElement.id") == "largest"


def test_the_list_of_paths_opens_every_file(opened):
    selector, count = largest_cell(opened)
    opened.click(selector)
    opened.click("#copy")
    text = opened.run("return document.getElementById('paths').value")
    paths = re.split(r"\n(?=/)", text)
    assert len(paths) == count
    assert all(Path(path).is_file() for path in paths)


def test_hostile_names_are_shown_as_they_are(opened):
    told = opened.run("return document.querySelector('#least-sure').textContent")
    assert opened.run("return document.querySelectorAll('script').length") == 2
    assert any(name in told for name in FILES)
    rows = opened.run(
        "return [...document.querySelectorAll('#classes tbody th')].map(h => h.textContent)"
    )
    assert sorted(rows) == sorted(CLASSES)
    assert opened.console() == []


def set_value(browser, name, value):
    browser.run(
        "const field = document.getElementById(arguments[0]); field.value = arguments[1];"
        "field.dispatchEvent(new Event('input'))",
        name,
        str(value),
    )


def figures(browser):
    rows = browser.run(
        "return [...document.querySelectorAll('#threshold-figures tbody tr')]"
        ".map(row => [...row.cells].map(cell => cell.textContent))"
    )
    return {name: value for name, value, _ in rows}


def judged(run, folder, positive):
    """Return the probabilities by ``evaluate``, and which images are of a class."""
    settings = EvaluateSettings(checkpoint=str(run), output=str(folder))
    evaluate_run(settings, SilentReporter())
    with (folder / "predictions.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = [key.removeprefix("probability_") for key in rows[0] if key.startswith("probability_")]
    scores = np.array([[float(row[f"probability_{name}"]) for name in names] for row in rows])
    return scores, np.array([row["target"] == names[positive] for row in rows])


def show(value):
    return "undefined" if np.isnan(value) else f"{value:.4f}"


def share(part, whole):
    return show(part / whole if whole else np.nan)


@pytest.mark.parametrize("positive", [0, 2])
def test_the_figures_of_a_threshold_are_scikit_learns(opened, hostile, tmp_path, positive):
    scores, is_it = judged(hostile, tmp_path, positive)
    set_value(opened, "positive", positive)
    for threshold in (0.05, 0.15, 0.25, 0.35, 0.4, 0.5, 0.6, 0.7, 0.85, 0.95):
        for least in (0, 0.45):
            set_value(opened, "threshold-value", threshold)
            set_value(opened, "abstain-value", least)
            called = scores[:, positive] >= threshold
            others = np.delete(scores, positive, axis=1).max(axis=1)
            answered = np.where(called, scores[:, positive], others) >= least
            truth, answer = is_it[answered], called[answered]
            (tn, fp), (fn, tp) = confusion_matrix(truth, answer, labels=[False, True])
            precision, recall, f1, _ = precision_recall_fscore_support(
                truth, answer, average="binary", pos_label=True, zero_division=np.nan
            )
            shown = figures(opened)
            assert shown["abstained share"] == show(1 - answered.mean())
            assert shown["sensitivity (recall)"] == show(recall)
            assert shown["specificity"] == share(tn, tn + fp)
            assert shown["PPV (precision)"] == show(precision)
            assert shown["NPV"] == share(tn, tn + fn)
            assert shown["F1"] == show(f1 if tp + fn else np.nan)


def set_stored(browser, run, output, **decision):
    """Store a decision with the run, and set it in its page; return the names of the classes."""
    with safe_open(run / "best.safetensors", framework="numpy") as file:
        meta = json.loads(file.metadata()["cnncli"])
    names = meta["class_names"]
    stored = {"format": 1, "weights": meta["digest"], "class_names": names, **decision}
    if "threshold" in decision:
        stored["positive"] = names[2]
    (run / "decision.json").write_text(json.dumps(stored), "utf-8")
    browser.open(write_report(ReportSettings(run=str(run), output=output), SilentReporter()))
    browser.click("#stored")
    return names


def test_abstaining_is_that_of_the_decision(browser, hostile, tmp_path):
    """The label that the threshold gives is withheld by its own probability, not the largest."""
    scores, is_it = judged(hostile, tmp_path, 2)
    truth = np.select([judged(hostile, tmp_path, label)[1] for label in range(3)], range(3))
    by_largest = []
    for threshold, least in ((0.2, 0.4), (0.6, 0.45), (None, 0.4)):
        point = {} if threshold is None else {"threshold": threshold}
        names = set_stored(browser, hostile, tmp_path / "p.html", abstain_below=least, **point)
        positive = None if threshold is None else names[2]
        decision = Decision(tuple(names), None, positive, threshold, abstain_below=least)
        labels = decision.label(scores)
        withheld = decision.withhold(scores, labels)
        by_largest.append((scores.max(axis=1) < least).sum() == withheld.sum())
        shown = figures(browser)
        assert shown["abstained share"] == show(withheld.mean())
        if threshold is None:
            told = browser.run("return document.getElementById('threshold-told').textContent")
            assert told == "none: the largest probability"
        else:
            answered = is_it & ~withheld
            assert shown["sensitivity (recall)"] == show((labels[answered] == 2).mean())
        right = (labels == truth)[~withheld]
        assert shown["accuracy of these answers"] == show(right.mean() if len(right) else np.nan)
    assert by_largest[-1]
    assert not all(by_largest)


def test_the_stored_threshold_is_set_exactly(browser, hostile, tmp_path):
    scores, is_it = judged(hostile, tmp_path, 2)
    threshold = float(np.sort(scores[:, 2])[9]) + 1e-5  # between two steps of the slider
    set_stored(
        *(browser, hostile, tmp_path / "page.html"),
        threshold=threshold,
        operating_point="sensitivity=0.9",
    )
    assert browser.run("return document.getElementById('threshold-told').textContent") == show(
        threshold
    )
    assert browser.run("return document.getElementById('positive').value") == "2"
    called = scores[:, 2] >= threshold
    assert 0 < called.sum() < len(called)
    assert figures(browser)["sensitivity (recall)"] == show(called[is_it].mean())
    assert figures(browser)["specificity"] == show(1 - called[~is_it].mean())
    set_value(browser, "threshold-value", 0.5)
    assert browser.run("return document.getElementById('threshold-told').textContent") == "0.50"


def test_the_threshold_begins_where_the_network_calls_as_many(browser, hostile, tmp_path):
    scores, _ = judged(hostile, tmp_path, 0)
    (hostile / "decision.json").unlink(missing_ok=True)
    browser.open(
        write_report(
            ReportSettings(run=str(hostile), output=tmp_path / "page.html"), SilentReporter()
        )
    )
    for positive in range(3):
        set_value(browser, "positive", positive)
        wanted = (scores.argmax(axis=1) == positive).sum()
        value = browser.run("return Number(document.getElementById('threshold-value').value)")
        gaps = [abs((scores[:, positive] >= step / 100).sum() - wanted) for step in range(1, 101)]
        assert gaps[round(value * 100) - 1] == min(gaps)


def test_the_stored_decision_is_set_at_the_beginning(browser, hostile, tmp_path):
    set_stored(browser, hostile, tmp_path / "page.html", threshold=0.2, abstain_below=0.4)
    set_by_click = figures(browser)
    browser.open(tmp_path / "page.html")
    assert figures(browser) == set_by_click
    told = browser.run("return document.getElementById('threshold-told').textContent")
    assert told == "0.20"


@pytest.mark.parametrize("width", [1000, 700, 400])
def test_no_figure_of_a_class_is_cut_off(opened, width):
    opened.resize(width)
    inner, outer = opened.run(
        "const s = document.querySelector('#classes .scroll');"
        "return [[s.scrollWidth, s.scrollHeight], [s.clientWidth, s.clientHeight]]"
    )
    assert inner == outer


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_horizontal_bar(opened, scheme):
    opened.resize(400)
    opened.colours(scheme)
    opened.press(".cell", ENTER)
    opened.run("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    assert opened.run("return document.documentElement.scrollWidth") == 400
    ground = opened.run("return getComputedStyle(document.body).backgroundColor")
    assert (min(map(int, re.findall(r"\d+", ground))) > 200) == (scheme == "light")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_screen_readers_find_nothing_serious(opened, scheme):
    axe = os.environ.get("CNNCLI_AXE")
    if axe is None:
        pytest.skip("CNNCLI_AXE does not name axe.min.js (npm's axe-core)")
    opened.colours(scheme)
    opened.click(".cell")
    opened.run("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    opened.run(Path(axe).read_text("utf-8"))
    found = opened.run_until_called(
        "const done = arguments[arguments.length - 1];"
        "axe.run().then(result => done(result.violations.map(v => [v.impact, v.id])))"
    )
    assert [row for row in found if row[0] in ("serious", "critical")] == []
