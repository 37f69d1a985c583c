"""``cnncli runs``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cnncli.errors import CnncliError, clip, count_of, did_you_mean, shorten
from cnncli.reporting import TableLayout
from cnncli.shell.cells import format_cell
from cnncli.shell.flags import CsvSafe
from cnncli.shell.terminal import (
    TerminalReporter,
    choose_format,
    print_json,
    print_rows,
    print_text,
)

if TYPE_CHECKING:
    from cnncli.recipes.runs import ListedRun

ListFormat = Literal["table", "csv", "json"]

_ACTIONS = ("show", "delete")
# The settings that show names in text; JSON has all.
_SETTINGS = ("weights", "freeze", "image_size", "optimizer", "lr", "batch_size", "seed")
_LAYOUT = TableLayout(
    drop=("size", "data", "model", "val acc", "best"),
    keep=("test acc", "state"),
    paths=("data", "model"),
    whole="--format csv",
)


def runs(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="show RUN | delete RUN",
            help="Show one run in detail, or delete runs; without it, list them. RUN is a path, or "
            "a part of a run's name that no other has; show takes last too, for the newest.",
            show_default=False,
        ),
    ] = None,
    folder: Annotated[
        str, typer.Option("--dir", metavar="DIR", help="The folder that holds the runs.")
    ] = "runs",
    output_format: Annotated[
        ListFormat | None,
        typer.Option("--format", help="Form of the answer [table on a terminal, csv in a pipe]."),
    ] = None,
    csv_safe: CsvSafe = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Delete without asking; needed where nobody can answer.")
    ] = False,
) -> None:
    """List the runs of a folder, the newest first; show one, or delete some.

    A run is finished, running, stopped at an epoch, or damaged. The figures are those of its best
    epoch.
    """
    action, *names = words or [""]
    if action not in ("", *_ACTIONS):
        near = did_you_mean(action, _ACTIONS)
        raise CnncliError(f"runs {clip(action)}: must be show or delete{near}")
    if yes and action != "delete":
        raise CnncliError("--yes: is for delete only")
    if action and not names:
        raise CnncliError(f"runs {action}: name a run; cnncli runs lists them")
    if action == "delete":
        if output_format is not None:
            raise CnncliError("--format: delete prints the paths that are gone, in no other form")
        _delete(names, folder, yes=yes)
        return
    chosen = choose_format(output_format, piped="csv")
    if action == "show":
        _show(names, folder, chosen, csv_safe=csv_safe)
    else:
        _list(folder, chosen, csv_safe=csv_safe)


def _list(folder: str, chosen: str, *, csv_safe: bool) -> None:
    from cnncli.recipes.runs import list_runs

    reporter = TerminalReporter()
    found = list_runs(folder)
    if chosen == "table":
        if found.runs:
            rows = [_row(run) for run in found.runs]
            print_rows(rows, list(rows[0]), "table", layout=_LAYOUT)
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


def _show(names: Sequence[str], folder: str, chosen: str, *, csv_safe: bool) -> None:
    from cnncli.recipes.runs import find_run, read_run

    if len(names) > 1:
        raise CnncliError(f"runs show: takes one run, not {len(names)}; compare takes several")
    run = read_run(find_run(names[0], folder))
    if chosen == "csv":
        _print_summaries([run.summarize()], chosen, csv_safe=csv_safe)
        return
    details = run.describe()
    if chosen == "json":
        print_json(details)
        return
    files, settings = details.pop("files"), details.pop("settings")
    report, metrics = details.pop("report") or {}, details.pop("metrics")
    lines = details | {"size": format_bytes(details.pop("bytes"))} | metrics
    accuracy = report.get("accuracy")
    if isinstance(accuracy, dict) and {"low", "high"} <= accuracy.keys():
        value, low, high = (format_cell(accuracy[key]) for key in ("value", "low", "high"))
        lines["report"] = f"{report['split']}: accuracy {value} ({low}–{high})"
    lines |= {name: settings.get(name) for name in _SETTINGS}
    lines["files"] = ", ".join(f"{name} {format_bytes(size)}" for name, size in files.items())
    wide = max(map(len, lines)) + 2
    for name, value in lines.items():
        if value is not None:
            print_text(f"{name:<{wide}}{format_cell(value)}")


def _delete(names: Sequence[str], folder: str, *, yes: bool) -> None:
    from cnncli.recipes.runs import find_run, read_run
    from cnncli.run.delete_run import check_deletable, delete_run
    from cnncli.training.find_run import LAST

    if LAST in names:
        raise CnncliError("runs delete last: name the run that is to be deleted")
    paths = list(dict.fromkeys(find_run(name, folder) for name in names))
    for path in paths:
        check_deletable(path)
    if not yes:
        if not _can_ask():
            told = shorten([str(path) for path in paths])
            raise CnncliError(f"runs delete: nobody can be asked here; add --yes to delete {told}")
        for path in paths:
            run = read_run(path)
            sys.stderr.write(f"{path}: {run.state.describe()}, {format_bytes(run.size)}\n")
        sys.stderr.write(f"Delete {count_of(len(paths), 'folder')} for ever? [y/N] ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            TerminalReporter().note("nothing is deleted")
            return
    for path in paths:
        delete_run(path)
        print_text(str(path))


def _can_ask() -> bool:
    return sys.stdin.isatty()


def _print_summaries(summaries: Sequence[dict[str, Any]], chosen: str, *, csv_safe: bool) -> None:
    from cnncli.recipes.runs import METRICS

    if chosen == "json":
        print_json(list(summaries))
        return
    columns = ("run", "data", "model", "state", "best_epoch", *METRICS, "bytes")
    rows = [{**summary, **summary["metrics"]} for summary in summaries]
    print_rows(rows, columns, "csv", csv_safe=csv_safe)


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
