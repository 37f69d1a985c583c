"""``cnncli runs``."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cnncli.errors import count_of, shorten
from cnncli.shell.flags import CsvSafe
from cnncli.shell.terminal import (
    TerminalReporter,
    choose_format,
    format_cell,
    print_json,
    print_rows,
)

if TYPE_CHECKING:
    from cnncli.recipes.runs import ListedRun

ListFormat = Literal["table", "csv", "json"]

_IF_WIDE = ("data", "model")  # columns of a table for which a terminal may be too narrow
_WIDE = 120  # columns of a terminal that has room for them
_MOST_IF_WIDE = 16  # letters in one of them
_LEAST_NAME = 12  # letters of a run's name that are shown at least
_BETWEEN = 3  # letters between two columns


def runs(
    folder: Annotated[
        str, typer.Option("--dir", metavar="DIR", help="The folder that holds the runs.")
    ] = "runs",
    output_format: Annotated[
        ListFormat | None,
        typer.Option("--format", help="Form of the answer [table on a terminal, csv in a pipe]."),
    ] = None,
    csv_safe: CsvSafe = False,
) -> None:
    """List the runs of a folder, the newest first; show one, or delete some.

    A run is finished, running, stopped at an epoch, or damaged. The figures are those of its best
    epoch.
    """
    _list(folder, choose_format(output_format, piped="csv"), csv_safe=csv_safe)


def _list(folder: str, chosen: str, *, csv_safe: bool) -> None:
    from cnncli.recipes.runs import list_runs

    reporter = TerminalReporter()
    found = list_runs(folder)
    if chosen == "table":
        if found.runs:
            print_rows(*_cells(found.runs), "table")
        for run in found.runs:
            if run.state.word in ("damaged", "perhaps running"):
                reporter.warn(f"{run.record.name}: {run.state.describe()}")
    else:
        _print_summaries([run.summarize() for run in found.runs], chosen, csv_safe=csv_safe)
    if not found.runs:
        reporter.note(f"no run in {folder}/: train one (cnncli train --data FOLDER)")
    if found.others:
        are = count_of(len(found.others), "folder that is no run", "folders that are no runs")
        reporter.note(f"left out: {are} ({shorten(found.others)})")


def _print_summaries(summaries: Sequence[dict[str, Any]], chosen: str, *, csv_safe: bool) -> None:
    from cnncli.recipes.runs import METRICS

    if chosen == "json":
        print_json(list(summaries))
        return
    columns = ("run", "data", "model", "state", "best_epoch", *METRICS, "bytes")
    rows = [{**summary, **summary["metrics"]} for summary in summaries]
    print_rows(rows, columns, "csv", csv_safe=csv_safe)


def _cells(listed: Sequence[ListedRun]) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the rows of a table that fits the terminal, and its columns."""
    width = shutil.get_terminal_size((80, 24)).columns if sys.stdout.isatty() else None
    rows = [_row(run) for run in listed]
    names = [name for name in rows[0] if width is None or width >= _WIDE or name not in _IF_WIDE]
    if width is not None:
        widths = {
            name: max(len(name), *(len(format_cell(row[name])) for row in rows)) for name in names
        }
        for name in _IF_WIDE:
            widths[name] = min(widths.get(name, 0), _MOST_IF_WIDE)
        others = sum(wide for name, wide in widths.items() if name != "run")
        room = max(width - others - _BETWEEN * (len(names) - 1) - 2, _LEAST_NAME)
        for row in rows:
            row["run"] = shorten_middle(row["run"], room, len("2026-11-26_104526"))
            for name in _IF_WIDE:
                row[name] = row[name] and shorten_middle(row[name], _MOST_IF_WIDE)
    return rows, names


def _row(listed: ListedRun) -> dict[str, Any]:
    summary = listed.summarize()
    return {
        "run": summary["run"],
        "data": summary["data"],
        "model": summary["model"],
        "state": listed.state.abbreviate(),
        "best": summary["best_epoch"],
        "val acc": summary["metrics"]["val_accuracy"],
        "test acc": summary["metrics"]["test_accuracy"],
        "size": format_bytes(summary["bytes"]),
    }


def format_bytes(count: int) -> str:
    """Return a number of bytes with a unit, of which each is 1000 of the one below: ``"45 MB"``."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:,.{int(count < 10 * size)}f} {unit}"
    return f"{count} B"


def shorten_middle(text: str, most: int, keep: int = 0) -> str:
    """Return a text of at most so many letters: its beginning and its end, if it is longer.

    Args:
        text: The text.
        most: Its largest number of letters.
        keep: Number of letters at the beginning that stay, if two at the end can stay too.
    """
    if len(text) <= most:
        return text
    begin = max(most - 1 - (most - 1) // 2, min(keep, most - 3))
    end = most - 1 - begin
    return f"{text[:begin]}…{text[len(text) - end :]}"
