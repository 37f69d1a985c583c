"""``cnncli compare``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import typer

from cnncli.errors import FINDINGS, count_of
from cnncli.reporting import TableLayout
from cnncli.shell.cells import format_cells
from cnncli.shell.command import FLAG_HINTS
from cnncli.shell.flags import CsvSafe
from cnncli.shell.sides import print_sides
from cnncli.shell.terminal import (
    TerminalReporter,
    choose_format,
    print_json,
    print_rows,
    print_sentence,
)

ListFormat = Literal["table", "csv", "json"]
Order = Literal["monitor", "given"]
_FIRST = "setting or figure"
_INTERVAL = " 95 % interval"  # follows the name of its figure
_ONLY_JSON = ("path", "finished", "monitor")


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN...", help="Run folders, runs/*, or parts of names of runs."),
    ],
    sort: Annotated[
        Order, typer.Option(help="By the monitored value, the best first, or as given.")
    ] = "monitor",
    output: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Draw the learning curves into this PNG or JPEG."),
    ] = None,
    output_format: Annotated[
        ListFormat | None,
        typer.Option("--format", help="Form of the answer [table on a terminal, csv in a pipe]."),
    ] = None,
    csv_safe: CsvSafe = False,
) -> None:
    """Lay runs side by side: settings that differ, best epochs, test figures, learning curves.

    Of two runs, each with the predictions.csv of evaluate --output RUN in its folder, the
    differences of their figures have 95 % intervals, and it is told whether they are more than
    chance: by McNemar's exact test or, where images belong to groups, by drawing whole groups.
    """
    from cnncli.files import PICTURES, check_output_file
    from cnncli.recipes.compare import compare_runs, draw, summarize
    from cnncli.run.pair import describe_paired

    picture = None if output is None else check_output_file(output, suffixes=PICTURES)
    reporter = TerminalReporter()
    comparison = compare_runs(runs, reporter, best_first=sort == "monitor")
    if picture is not None:
        draw(comparison, picture)
    summaries = [summarize(run, comparison.differing) for run in comparison.runs]
    chosen = choose_format(output_format, piped="csv")
    if chosen == "json":
        print_json({"runs": summaries, "paired": comparison.paired})
    elif chosen == "csv":
        fields = [_fields(summary) for summary in summaries]
        names = dict.fromkeys(name for row in fields for name in row)
        print_rows(fields, list(names), "csv", csv_safe=csv_safe)
    else:
        _print_sides([_cells(summary) for summary in summaries])
        if comparison.paired is not None:
            _print_differences(comparison.paired)
    if comparison.paired is not None:
        reporter.note(describe_paired(comparison.paired))
    if comparison.skipped:
        raise typer.Exit(FINDINGS)


def _fields(summary: dict[str, Any]) -> dict[str, Any]:
    """Return a run as plain fields: its settings by their names, an interval's ends by theirs."""
    from cnncli.recipes.compare import describe_setting

    fields: dict[str, Any] = {}
    for name, value in summary.items():
        if name == "settings":
            fields |= {key: describe_setting(setting) for key, setting in value.items()}
        elif isinstance(value, dict):
            fields |= {name: value["value"], f"{name}_low": value["low"]}
            fields[f"{name}_high"] = value["high"]
        elif name not in _ONLY_JSON:
            fields[name] = value
    return fields


def _print_sides(runs: Sequence[dict[str, Any]]) -> None:
    """Print the settings and figures in which runs differ, and what is the same in all.

    Args:
        runs: The cells of each run, as ``_cells`` returns them.
    """
    names = dict.fromkeys(name for cells in runs for name in cells if name != "run")
    rows: dict[str, list[str]] = {}
    same = []
    for figure in (name for name in names if not name.endswith(_INTERVAL)):
        for name, texts in _format_rows(runs, figure).items():
            if len(runs) > 1 and any(texts) and len(set(texts)) == 1:
                same.append(f"{name} {texts[0]}")
            elif any(texts):
                rows[name] = texts
    print_sides(rows, [cells["run"] for cells in runs], corner=_FIRST, below=_INTERVAL)
    if same:
        print_sentence(f"The same in all: {', '.join(same)}.")


def _format_rows(runs: Sequence[Mapping[str, Any]], name: str) -> dict[str, list[str]]:
    """Return a figure or setting of each run, and its intervals, with as many decimals in all."""
    values = [cells.get(name) for cells in runs]
    pairs = [cells.get(f"{name}{_INTERVAL}") for cells in runs]
    ends = [end for pair in pairs if pair for end in pair]
    texts = iter(format_cells([*values, *ends], rounded=bool(ends)))
    return {
        name: [next(texts) for _ in values],
        f"{name}{_INTERVAL}": [f"{next(texts)}–{next(texts)}" if pair else "" for pair in pairs],
    }


def _print_differences(paired: Mapping[str, Any]) -> None:
    """Print how two runs differ on the same images."""
    rows = [{"figure": name, **ends} for name, ends in paired["differences"].items()]
    drawn = "images" if paired["groups"] is None else "whole groups"
    print_sentence(
        f"\n{' minus '.join(paired['runs'])}, on {count_of(paired['images'], 'image')}; 95 % "
        f"intervals from drawing {drawn}:\n"
    )
    headers = {"value": "difference"}
    layout = TableLayout(drop_equal=False, rounded=True, headers=headers, whole="--format json")
    print_rows(rows, ("figure", "value", "low", "high"), "table", layout=layout)


def _cells(summary: dict[str, Any]) -> dict[str, Any]:
    """Return what a table shows of a run: an interval (2,) below its figure, no text too long."""
    from cnncli.recipes.compare import describe_setting

    cells: dict[str, Any] = {}
    for name, value in summary.items():
        if name == "settings":
            cells |= {key: describe_setting(setting, 24) for key, setting in value.items()}
        elif isinstance(value, dict):
            cells[name] = value["value"]
            known = value["value"] is not None and value["low"] is not None
            cells[f"{name}{_INTERVAL}"] = (value["low"], value["high"]) if known else None
        elif name not in _ONLY_JSON:
            cells[name] = value
    return cells


_HINTS = {"--checkpoint": "name the runs without a flag: compare RUN RUN"}
setattr(compare, FLAG_HINTS, _HINTS)
