"""The verdict, the bands, subgroups and groups of the page in a real browser.

``CNNCLI_AXE`` names ``axe.min.js`` of npm's axe-core, which checks the page for screen readers.
"""

import csv
import os
from pathlib import Path

import pytest
from browser import open_browser
from helpers import train, write_digits

from cnncli.choices.subgroups import parse_subgroups
from cnncli.data.samples import CsvColumns
from cnncli.recipes.report.settings import ReportSettings
from cnncli.recipes.report.write import write_report
from cnncli.reporting import SilentReporter

pytestmark = pytest.mark.slow

RIGHT_ARROW = "\ue014"


@pytest.fixture(scope="module")
def browser():
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Return the page of a run on four classes in groups, with a column of hostile texts."""
    root = tmp_path_factory.mktemp("sections")
    paths = write_digits(root / "images", classes=("0", "1", "2", "3"), per_class=40)
    with (root / "table.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("image", "label", "patient", "ward"))
        for index, path in enumerate(paths):
            ward = ("<b onclick=alert(1)>", "a name without a space " * 4)[index // 2 % 2]
            row = path.relative_to(root), path.parent.name, f"<i>{index // 2}", ward
            writer.writerow(row)
    run = train(root / "runs", data=str(root / "table.csv"), group_col="patient", epochs=2)
    settings = ReportSettings(
        run=str(run), columns=CsvColumns(extra=("ward",)), subgroups=parse_subgroups("ward")
    )
    return write_report(settings, SilentReporter())


@pytest.fixture
def opened(browser, page):
    browser.resize(1000)
    browser.console(), browser.requests()
    browser.open(page)
    browser.run("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    return browser


def bands(browser, chart):
    """Return which bands of a chart can be seen, by their class."""
    return browser.run(
        "const chart = document.querySelectorAll('#curves .chart')[arguments[0]];"
        "return [...chart.querySelectorAll('.area')].filter(area =>"
        "getComputedStyle(area).display !== 'none').map(area => area.className.baseVal.slice(-2))",
        chart,
    )


def test_a_click_or_an_arrow_shows_the_band_of_another_class(opened):
    (first,) = bands(opened, 0)
    other = "l0" if first != "l0" else "l1"
    opened.click(f"#curves .chart .pick.{other}")
    assert bands(opened, 0) == [other]
    assert bands(opened, 1) == [first]  # the other chart keeps its own
    opened.press(f"#curves .chart .pick.{other}", RIGHT_ARROW)
    assert bands(opened, 0) == [f"l{int(other[1]) + 1}"]
    assert opened.console() == []


@pytest.mark.parametrize("width", [1000, 400])
def test_wide_tables_scroll_in_their_own_box_and_texts_are_shown_as_they_are(opened, width):
    opened.resize(width)
    assert opened.run("return document.documentElement.scrollWidth") == width
    inner, outer, box = opened.run(
        "const s = document.querySelector('#network .scroll');"
        "return [s.scrollWidth, s.clientWidth, s.tabIndex]"
    )
    assert (inner > outer) == (width == 400)
    assert box == 0  # the keyboard reaches it
    headings = opened.run(
        "return [...document.querySelectorAll('#parts tbody th, #groups tbody th')]"
        ".map(h => h.textContent)"
    )
    assert "<b onclick=alert(1)>" in headings
    assert any(text.startswith("<i>") for text in headings)
    assert opened.run("return document.querySelectorAll('#parts b, #groups i').length") == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1000, 400])
def test_screen_readers_find_nothing_serious(opened, scheme, width):
    axe = os.environ.get("CNNCLI_AXE")
    if axe is None:
        pytest.skip("CNNCLI_AXE does not name axe.min.js (npm's axe-core)")
    opened.colours(scheme)
    opened.resize(width)
    opened.run(Path(axe).read_text("utf-8"))
    found = opened.run_until_called(
        "const done = arguments[arguments.length - 1];"
        "axe.run().then(result => done(result.violations.map(v => [v.impact, v.id])))"
    )
    assert [row for row in found if row[0] in ("serious", "critical")] == []


def test_a_long_name_of_a_class_hides_no_column(opened):
    opened.resize(1200)
    name, room = opened.run(
        "document.querySelector('#classes tbody bdi').textContent = 'pitted_surface'.repeat(5);"
        "const table = document.querySelector('#classes table');"
        "return [table.querySelector('th').offsetWidth, table.parentElement.clientWidth"
        " - table.offsetWidth]"
    )
    assert room >= 0
    assert name >= 80
