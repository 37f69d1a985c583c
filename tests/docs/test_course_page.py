"""The animations on the course page are what the commands above them draw."""

import re
import shlex
from xml.etree import ElementTree

import pytest
from helpers import ROOT
from typer.testing import CliRunner

from cnncli.cli import app

PAGE = (ROOT / "docs" / "course.md").read_text("utf-8")
LINES = re.findall(r"^\$ cnncli (conv-size .*--animate .*)\n(.*)\n(.*)$", PAGE, re.M)


def test_the_page_has_animations():
    assert len(LINES) == 2


@pytest.mark.parametrize(("line", "answer", "note"), LINES)
def test_an_animation_is_as_the_command_draws_it(line, answer, note, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, shlex.split(line))
    assert (result.stdout, result.stderr) == (f"{answer}\n", f"{note}\n")
    name = line.split()[-1]
    assert f"](images/{name})" in PAGE
    # Not byte by byte: other versions of Pillow may place a letter a hundredth of a pixel away.
    drawn, shown = (
        [
            (element.tag, element.text, element.attrib.get("fill"))
            for element in ElementTree.parse(folder / name).iter()
        ]
        for folder in (tmp_path, ROOT / "docs" / "images")
    )
    assert drawn == shown, f"draw it again: cnncli {line}"
