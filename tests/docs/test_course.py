"""docs/course: its pages show what `conv-size` prints, and its links hit headings."""

import re
import shlex

import pytest
from helpers import ROOT
from typer.testing import CliRunner

from cnncli.cli import app

COURSE = ROOT / "docs" / "course"
PAGES = sorted(COURSE.glob("*.md"))
BLOCK = re.compile(r"^```.*?\n(.*?)^```", re.M | re.S)


def shown_answers():
    """Return each `$ cnncli conv-size` line of the pages with the lines shown below it."""
    shown = []
    for page in PAGES:
        variables = dict(re.findall(r"^\$ (\w+)='(.*)'$", page.read_text("utf-8"), re.M))
        for block in BLOCK.findall(page.read_text("utf-8")):
            for entry in re.split(r"^\$ ", block, flags=re.M)[1:]:
                line, _, answer = entry.partition("\n")
                for name, value in variables.items():
                    line = line.replace(f"${name}", value)
                if line.startswith("cnncli conv-size ") and not re.search(r"[|$]", line):
                    shown.append(pytest.param(line, answer, id=line.removeprefix("cnncli ")))
    return shown


@pytest.mark.parametrize(("line", "answer"), shown_answers())
def test_conv_size_prints_what_the_course_shows(line, answer):
    arguments = shlex.split(line)[1:]
    if "--chain" in arguments:
        arguments += ["--format", "table"]  # as on a terminal
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "80"})
    printed = [text.rstrip() for text in (result.stdout + result.stderr).splitlines()]
    assert [text for text in printed if text] == [text for text in answer.splitlines() if text]


def test_the_course_shows_enough_to_compare():
    assert len(shown_answers()) > 20


def headings(page):
    """Return a page's headings as GitHub makes anchors of them."""
    text = BLOCK.sub("", page.read_text("utf-8"))
    titles = re.findall(r"^#+ (.*)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_sections_hit_a_heading(page):
    links = re.findall(r"\]\(([^)#\s]*)#([^)\s]+)\)", BLOCK.sub("", page.read_text("utf-8")))
    for path, anchor in links:
        target = (page.parent / path).resolve() if path else page
        assert anchor in headings(target), f"{path}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_question_has_an_answer(page):
    text = page.read_text("utf-8")
    asked = len(re.findall(r"^\*\*(?:Try:|Questions)\*\*", text, re.M))
    assert asked == text.count("<details>") == text.count("</details>")
