"""docs/convolve.md: what stands under a command is what the command prints."""

import re
import shlex

import pytest
from helpers import ROOT

PAGE = (ROOT / "docs" / "convolve.md").read_text("utf-8")
_RUN = re.compile(r"^\$ cnncli (convolve \"\d.*)\n((?:(?!\$ ).*\n)*)", re.M)
# A command that reads no file and writes none; its output, up to the next one or the block's end.
RUNS = [
    (command, printed.rstrip("\n"))
    for block in re.findall(r"^```\n(.*?)^```", PAGE, re.M | re.S)
    for command, printed in re.findall(
        r"^\$ cnncli (convolve \"\d.*)\n((?:(?!\$ ).*\n)*)", block, re.M
    )
    if not re.search(r"--output|\" \| |--format csv \|", command)
]


def test_the_page_has_runs():
    assert len(RUNS) >= 10


@pytest.mark.parametrize(("command", "printed"), RUNS, ids=[command for command, _ in RUNS])
def test_a_run(cli, command, printed, monkeypatch):
    monkeypatch.setattr("cnncli.commands.convolve.choose_format", lambda chosen, piped: "table")
    monkeypatch.setenv("COLUMNS", "100")
    result = cli(*shlex.split(command))
    assert (result.err + result.out).rstrip("\n") == printed
