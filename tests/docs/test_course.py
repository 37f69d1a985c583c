"""docs/course: its pages show what the commands print and draw, and its links hit headings."""

import re
import shlex
from xml.etree import ElementTree

import pytest
from helpers import ROOT
from typer.testing import CliRunner

from cnncli.cli import app

PAGES = sorted((ROOT / "docs" / "course").glob("*.md"))
BLOCK = re.compile(r"^```.*?\n(.*?)^```", re.M | re.S)
# Commands that need no data and no training.
QUICK = re.compile(r"cnncli (conv-size|convolve \"\d) ?")


def shown_answers():
    """Return each quick line of the pages with the lines shown below it."""
    shown = []
    for page in PAGES:
        variables = dict(re.findall(r"^\$ (\w+)='(.*)'$", page.read_text("utf-8"), re.M))
        for block in BLOCK.findall(page.read_text("utf-8")):
            for entry in re.split(r"^\$ ", block, flags=re.M)[1:]:
                line, _, answer = entry.partition("\n")
                for name, value in variables.items():
                    line = line.replace(f"${name}", value)
                if QUICK.match(line) and not re.search(r"[|$]", line):
                    shown.append((line.removeprefix("cnncli "), answer))
    return shown


SHOWN = shown_answers()
ANIMATED = [line for line, _ in SHOWN if "--animate" in line]


@pytest.mark.parametrize(("line", "answer"), SHOWN, ids=[line for line, _ in SHOWN])
def test_a_command_prints_what_the_course_shows(line, answer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = shlex.split(line)
    if "--chain" in arguments or arguments[0] == "convolve":
        arguments += ["--format", "table"]  # as on a terminal
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "80"})
    printed, expected = (
        [text.rstrip() for text in part.splitlines() if text.strip()]
        for part in (result.stdout + result.stderr, answer)
    )
    assert sorted(printed) == sorted(expected)  # both streams: their order is the terminal's


def test_the_course_shows_enough_to_compare():
    assert len(SHOWN) > 25
    assert len(ANIMATED) == 2


@pytest.mark.parametrize("line", ANIMATED)
def test_an_animation_is_as_the_command_draws_it(line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(app, shlex.split(line)).exit_code == 0
    name = line.split()[-1]
    assert any(f"](../images/{name})" in page.read_text("utf-8") for page in PAGES)
    # Not byte by byte: other versions of Pillow may place a letter a hundredth of a pixel away.
    drawn, shown = (
        [
            (element.tag, element.text, element.attrib.get("fill"))
            for element in ElementTree.parse(folder / name).iter()
        ]
        for folder in (tmp_path, ROOT / "docs" / "images")
    )
    assert drawn == shown, f"draw it again: cnncli {line}"


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
