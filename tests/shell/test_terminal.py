"""Cells as a table shows them, and rows in every format."""

import csv
import io
import json
import os
import subprocess
import sys

import pytest

from cnncli.errors import CnncliError
from cnncli.shell.cells import format_cell
from cnncli.shell.terminal import (
    TerminalReporter,
    print_batches,
    print_error,
    print_rows,
    print_text,
)
from cnncli.yaml_text import parse_yaml


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


def test_no_line_of_a_table_ends_with_a_space(capsys):
    rows = [{"a": "long enough", "b": "x"}, {"a": "s", "b": None}]
    print_rows(rows, ["a", "b"], "table")
    TerminalReporter().table("title", rows)
    for text in capsys.readouterr():
        assert "long enough" in text
        assert not [line for line in text.splitlines() if line != line.rstrip()]


@pytest.mark.parametrize("output_format", ["csv", "jsonl", "json", "table"])
def test_an_error_before_the_first_row_leaves_stdout_empty(output_format, capsys):
    def none():
        yield from ()
        raise CnncliError("nothing")

    with pytest.raises(CnncliError):
        print_rows(none(), ["a"], output_format)
    assert capsys.readouterr().out == ""


def test_no_row_is_a_header_alone(capsys):
    print_rows(iter(()), ["a", "b"], "csv")
    assert capsys.readouterr().out == "a,b\n"


@pytest.mark.parametrize(
    ("output_format", "first", "second"),
    [
        ("csv", 'a,b\n1,x\n2,""""\n', '"3","\r"\n4,\n'),
        ("jsonl", '{"a": 1, "b": "x"}\n{"a": 2, "b": "\\""}\n', '{"a": 3, "b": "\\r"}\n{"a": 4}\n'),
    ],
)
def test_a_batch_is_written_at_once(capsys, output_format, first, second):
    """Where a process waits for more, or is killed, all rows before are there."""

    def batches():
        yield [{"a": 1, "b": "x"}, {"a": 2, "b": '"'}]
        assert capsys.readouterr().out == first
        yield []
        assert capsys.readouterr().out == ""
        yield [{"a": 3, "b": "\r"}, {"a": 4}]
        assert capsys.readouterr().out == second

    print_batches(batches(), ["a", "b"], output_format)
    assert capsys.readouterr().out == ""


HOSTILE = "\x1b[31m\x07\x9b\u202e\u2066\r\u2028\ufeff\x7f"
SHOWN = r"\x1b[31m\x07\x9b\u202e\u2066\x0d\u2028\ufeff\x7f"


def test_control_characters_are_shown_to_people_and_kept_in_data(capsys):
    rows = [{f"k{HOSTILE}": f"v{HOSTILE}é 👩‍⚕️"}]
    columns = list(rows[0])
    print_rows(rows, columns, "table")
    table = capsys.readouterr().out
    assert f"k{SHOWN}" in table
    assert f"v{SHOWN}é 👩‍⚕️" in table
    assert not set(HOSTILE) - set("[31m") & set(table)
    print_rows(rows, columns, "csv")
    assert HOSTILE in capsys.readouterr().out
    for output_format in ("json", "jsonl"):
        print_rows(rows, columns, output_format)
        out = capsys.readouterr().out
        assert json.loads(out) == (rows if output_format == "json" else rows[0])
        assert not set(HOSTILE) - set("[31m") & set(out)
        assert "é 👩‍⚕️" in out


def test_control_characters_in_messages(capsys):
    reporter = TerminalReporter()
    reporter.note(f"n{HOSTILE}")
    reporter.warn(f"w{HOSTILE}\ttab")
    reporter.table(f"t{HOSTILE}", [{f"k{HOSTILE}": f"v{HOSTILE}"}])
    print_error(f"e{HOSTILE}\nline")
    print_text(f"p{HOSTILE}")
    out, err = capsys.readouterr()
    assert out == f"p{SHOWN}\n"
    assert not set(HOSTILE) - set("[31m") & set(err)
    assert f"n{SHOWN}\nWarning: w{SHOWN}\ttab\n" in err
    assert f"t{SHOWN}" in err
    assert f"k{SHOWN}" in err
    assert f"v{SHOWN}" in err
    assert err.endswith(f"Error: e{SHOWN} line\n")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_formulas_in_a_csv(capsys, start):
    rows = [{"path": f"{start}1+1", "label": "a=b", "n": -1.5, start: None}]
    print_rows(rows, list(rows[0]), "csv", csv_safe=True)
    (header, row) = csv.reader(io.StringIO(capsys.readouterr().out, newline=""))
    assert header == ["path", "label", "n", f"'{start}"]
    assert row == [f"'{start}1+1", "a=b", "-1.5", ""]
    print_rows(rows, list(rows[0]), "csv")
    (_, row) = csv.reader(io.StringIO(capsys.readouterr().out, newline=""))
    assert row[0] == f"{start}1+1"


def test_a_label_that_is_protected_names_its_column(capsys):
    rows = [{"label": "=a", "probability_=a": 0.5}]
    print_rows(rows, list(rows[0]), "csv", csv_safe=True)
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out, newline=""))
    assert row[f"probability_{row['label']}"] == "0.5"


TEXT = "größe-日本-\udcff"
WRITTEN = {
    "ascii": rb"gr\xf6\xdfe-\u65e5\u672c-" + b"\xff",
    "latin-1": "größe-".encode("latin-1") + rb"\u65e5\u672c-" + b"\xff",
    "utf-8": TEXT.encode("utf-8", "surrogateescape"),
}


@pytest.mark.parametrize("encoding", WRITTEN)
def test_a_stdout_that_lacks_characters(encoding):
    script = (
        "import sys; from cnncli.cli import _prepare_streams; _prepare_streams()\n"
        "from cnncli.shell.terminal import *\n"
        f"text = {TEXT!a}; print_line(text)\n"
        "print_rows([{'path': text}], ['path'], 'csv')\n"
        "print_rows([{'path': text}], ['path'], 'jsonl')\n"
        "print_rows([{'path': text}], ['path'], 'table')\n"
        "from cnncli.config import *\n"
        "from cnncli.shell.start_run import start_run\n"
        "start_run(RunConfig, {'data': text}, None, print_config=True, resume=None, afters=None)\n"
        "TerminalReporter().note(text); print_error(text)\n"
        "TerminalReporter().table(text, [{'path': text}])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == WRITTEN[encoding]
    assert lines[2] == WRITTEN[encoding]
    assert json.loads(lines[3].decode(encoding)) == {"path": TEXT}
    assert WRITTEN[encoding] in b"".join(lines[4:])
    assert b"udcff" in done.stderr
    config = done.stdout.partition(b"# Most used")[2]
    assert parse_yaml(config.decode(encoding))["data"] == TEXT
