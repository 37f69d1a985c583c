"""What stands on a terminal while a command works: rows of epochs, messages, the bar."""

import io
import os
import pty
import subprocess
import sys

import pytest
from rich.cells import cell_len

from cnncli.run.epoch_lines import _LESS_VALUABLE, _describe_epoch, _epoch_cells, report_epoch
from cnncli.shell import terminal

ROW = {
    **{"seconds": 12.5, "images_per_second": 812.0, "lr": 0.00123, "val_macro_f1": 0.25},
    **dict.fromkeys(("train_loss", "train_accuracy", "val_loss", "val_accuracy"), 0.5),
    **{"val_calibrated_loss": 0.4321, "temperature": 2.5},
}
EPOCHS = [
    (describe(ROW | {"epoch": epoch}, 100, is_best=epoch == 99))
    for epoch in (1, 99, 100)
    for describe in (_epoch_cells, _describe_epoch)
]
# Without torch, which takes seconds to load.
WORK = f"""
from cnncli.shell.terminal import TerminalReporter, print_error
reporter = TerminalReporter()
reporter.note("a note of some words " * 9)
reporter.warn("see /a/path/" + "that_is_long_" * 12 + " now")
epochs = {EPOCHS!r}
for cells, text in zip(epochs[::2], epochs[1::2]):
    reporter.row(cells, text, drop={_LESS_VALUABLE!r})
reporter.table("title", [{{"a": 1}}])
print_error("wrong words " * 20)
"""


def work_on_terminal(columns):
    """Return the lines that WORK shows on a terminal of so many columns."""
    master, slave = pty.openpty()
    env = {**os.environ, "COLUMNS": str(columns), "NO_COLOR": "1"}
    process = subprocess.Popen([sys.executable, "-c", WORK], stderr=slave, stdout=slave, env=env)
    os.close(slave)
    shown = b""
    try:
        while data := os.read(master, 65536):
            shown += data
    except OSError:  # Linux says EIO at the end of a terminal
        pass
    os.close(master)
    assert process.wait(timeout=60) == 0, shown
    return shown.decode().replace("\r\n", "\n").splitlines()


@pytest.mark.parametrize(("columns", "gone"), [(60, {"lr", "time"}), (80, {"lr"}), (120, set())])
def test_epochs_are_rows_below_one_header(columns, gone):
    lines = work_on_terminal(columns)
    assert [line for line in lines if cell_len(line) > columns] == [
        line
        for line in lines
        if "that_is_long_" in line  # a path stays whole: it is copied
    ]
    (header,) = (line for line in lines if line.startswith("  epoch"))
    assert {"lr", "time"} - set(header.split()) == gone
    first = lines.index(header)
    assert [line.split()[0] for line in lines[first + 2 : first + 5]] == [
        "1/100",
        "99/100",
        "100/100",
    ]
    assert [line.endswith("kept") for line in lines[first + 2 : first + 5]] == [False, True, False]
    assert lines[first + 5 : first + 7] == ["", "title"]


def test_the_loss_that_decides_is_shown_where_it_is_another_one_than_val_loss():
    """Else a val loss that rises, in epochs that are kept, looks like a fault."""
    first, sure = ({**ROW, "epoch": 1, "temperature": t} for t in (1, 2.5))
    assert "val loss 0.5000 (calibrated 0.4321) acc" in _describe_epoch(sure, 9, is_best=True)
    assert "calibrated" not in _describe_epoch(first, 9, is_best=True)
    assert _epoch_cells(sure, 9, is_best=True)["calibrated"] == "0.4321"
    assert "calibrated" not in _epoch_cells(first, 9, is_best=True)


@pytest.mark.parametrize("columns", [80, 100, 140])
def test_the_loss_that_decides_has_room_on_every_terminal(columns, monkeypatch, capsys):
    monkeypatch.setattr(terminal, "find_width", lambda _: columns)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    reporter = terminal.TerminalReporter()
    for epoch, temperature in enumerate((1, 2.5, 1), 1):
        row = {**ROW, "epoch": epoch, "temperature": temperature}
        report_epoch(row, 9, reporter, is_best=True)
    before, after = capsys.readouterr().err.split("\n\n")
    assert "calibrated" not in before  # it is val loss
    head, _, second, third = after.splitlines()
    end = head.index("calibrated") + len("calibrated")
    assert second[:end].endswith("0.4321")
    assert third[:end].endswith(" " * len("calibrated"))
    assert "val loss" in head
    assert max(map(len, after.splitlines())) < columns


def test_train_says_what_it_reads_before_torch_is_loaded(monkeypatch):
    from cnncli.config import RunConfig
    from cnncli.shell.after_flags import WantedAfters
    from cnncli.shell.start_run import start_run

    stderr = io.StringIO()
    stderr.isatty = lambda: True
    monkeypatch.setattr("sys.stderr", stderr)
    monkeypatch.setitem(sys.modules, "cnncli.recipes.train", None)  # imports torch
    with pytest.raises(ImportError):
        start_run(
            RunConfig,
            {"data": "digits"},
            None,
            print_config=False,
            resume=None,
            afters=WantedAfters(report=False),
        )
    assert stderr.getvalue() == "Reading digits ...\n"


def test_words_stay_whole_on_a_terminal():
    words = " ".join(work_on_terminal(60)).split()
    assert words.count("wrong") == words.count("words") - 9 == 20
    assert [word for word in words if word.startswith("/a/path/")] == [
        "/a/path/" + "that_is_long_" * 12
    ]


def test_in_a_pipe_an_epoch_is_a_line_that_needs_no_header():
    env = {**os.environ, "COLUMNS": "40"}
    done = subprocess.run([sys.executable, "-c", WORK], capture_output=True, text=True, env=env)
    lines = done.stderr.splitlines()
    assert lines[0] == "a note of some words " * 9
    epochs = [line for line in lines if line.startswith("epoch ")]
    assert len(epochs) == 3
    assert epochs[1].startswith("epoch  99/100    12.5 s  train loss 0.5000 accuracy 0.5000")
