"""Cells as a table shows them, and rows in every format."""

import json

import pytest

from cnncli.shell.terminal import format_cell, print_rows


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (1.0, "1.0000"),
        (0.99439, "0.9944"),
        (0.0, "0.0000"),
        (3e-5, "3e-05"),
        (12345.678, "12,345.68"),
        (1228454, "1,228,454"),
        (True, "True"),
        ("né", "né"),
    ],
)
def test_cells(value, shown):
    assert format_cell(value) == shown


def test_the_same_rows_in_every_format(capsys):
    rows = [{"path": 'a, "b".png', "label": None}, {"path": "[red]é", "label": "1"}]
    shown = {}
    for output_format in ("csv", "jsonl", "json", "table"):
        print_rows(iter(rows), ["path", "label"], output_format)
        shown[output_format] = capsys.readouterr().out
    assert shown["csv"] == 'path,label\n"a, ""b"".png",\n[red]é,1\n'
    assert [json.loads(line) for line in shown["jsonl"].splitlines()] == rows
    assert json.loads(shown["json"]) == rows
    assert "[red]é" in shown["table"]
    assert "\x1b" not in shown["table"]
