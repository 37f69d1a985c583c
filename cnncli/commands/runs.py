"""``cnncli runs``."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cnncli.errors import CnncliError, clip, count_of, did_you_mean, shorten
from cnncli.reporting import TableLayout
from cnncli.shell.cells import format_cell, format_cells
from cnncli.shell.command import FLAG_HINTS
from cnncli.shell.flags import CsvSafe
from cnncli.shell.tables import find_width
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

_ACTIONS = ("show", "note", "prune", "delete")
_CHANGES = ("note", "prune", "delete")
# The settings that show names in text; JSON has all.
_SETTINGS = ("weights", "freeze", "image_size", "optimizer", "lr", "batch_size", "seed")
# Of a table for which the terminal is too narrow.
_LAYOUT = TableLayout(
    drop=("data", "model", "size", "test acc", "best", "state"),
    keep=("state", "best", "val acc", "note"),
    paths=("data", "model"),
    words=("note",),
    headers={"best": "best epoch"},
    whole="--format csv",
)
_NARROW = 100  # cells of a line, below which a header of two words costs a column


def runs(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="show RUN | note RUN TEXT | prune [RUN…] | delete RUN…",
            help="Show one run in detail, write a note on it, delete what finished runs need no "
            "more (last.pt), or delete runs; without it, list them. RUN is a path, or a part of a "
            "run's name that no other has, or last for the newest (not to delete).",
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
    all_: Annotated[
        bool, typer.Option("--all", help="Prune the weights of kept epochs (--keep-every) too.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what prune would delete, and delete nothing.")
    ] = False,
) -> None:
    """List the runs of a folder, the newest first; show, note, prune or delete them.

    A run is finished, running, stopped at an epoch, or damaged. The figures are those of its best
    epoch.
    """
    action, *names = words or [""]
    if action not in ("", *_ACTIONS):
        near = did_you_mean(action, _ACTIONS) or f"; the runs of a folder: --dir {clip(action)}"
        near = "; did you mean delete?" if action in ("rm", "remove") else near
        raise CnncliError(f"runs {clip(action)}: must be show, note, prune or delete{near}")
    _check_flags(action, {"--yes": yes, "--all": all_, "--dry-run": dry_run})
    if action not in ("", "prune") and not names:
        raise CnncliError(f"runs {action}: name a run; cnncli runs lists them")
    if action in _CHANGES and output_format is not None:
        raise CnncliError(f"--format: {action} prints paths, in no other form")
    if action == "delete":
        _delete(names, folder, yes=yes)
    elif action == "prune":
        _prune(names, folder, yes=yes, all_=all_, dry_run=dry_run)
    elif action == "note":
        _note(names, folder)
    elif action == "show":
        _show(names, folder, choose_format(output_format, piped="csv"), csv_safe=csv_safe)
    else:
        _list(folder, choose_format(output_format, piped="csv"), csv_safe=csv_safe)


def _check_flags(action: str, given: Mapping[str, bool]) -> None:
    """Refuse flags that the action does not take."""
    for flag, value in given.items():
        takers = ("prune", "delete") if flag == "--yes" else ("prune",)
        if value and action not in takers:
            raise CnncliError(f"{flag}: is for {' and '.join(takers)} only")


def _list(folder: str, chosen: str, *, csv_safe: bool) -> None:
    from cnncli.recipes.runs import list_runs

    reporter = TerminalReporter()
    found = list_runs(folder)
    if chosen == "table":
        rows = [_row(run) for run in found.runs]
        if rows:
            names = [name for name in rows[0] if name != "note" or any(row["note"] for row in rows)]
            narrow = (find_width(sys.stdout) or _NARROW) < _NARROW
            layout = replace(_LAYOUT, headers={}) if narrow else _LAYOUT
            print_rows(rows, names, "table", layout=layout)
            size = format_bytes(sum(run.size for run in found.runs))
            reporter.note(f"{count_of(len(rows), 'run')}, {size}")
        for run in found.runs:
            if run.state.word in ("damaged", "perhaps running"):
                reporter.warn(f"{run.record.name}: {run.state.describe()}")
    else:
        _print_summaries([run.summarize() for run in found.runs], chosen, csv_safe=csv_safe)
    if not found.runs:
        reporter.note(f"no run in {folder}/: train one (cnncli train --data FOLDER)")
    if found.studies:
        studies = shorten([str(path) for path in found.studies])
        reporter.note(f"trials of tune have lists of their own: cnncli runs --dir {studies}")
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
        value, low, high = format_cells([accuracy[key] for key in ("value", "low", "high")])
        lines["report"] = f"{report['split']}: accuracy {value} ({low}–{high})"
    lines |= {name: settings.get(name) for name in _SETTINGS}
    wide = max(map(len, lines)) + 2
    for name, value in lines.items():
        if value is not None:
            print_text(f"{name:<{wide}}{format_cell(value)}")
    for number, (name, size) in enumerate(files.items()):
        print_text(f"{'' if number else 'files':<{wide}}{name} {format_bytes(size)}")


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
        _check_can_ask("delete", "delete", [str(path) for path in paths])
        for path in paths:
            run = read_run(path)
            sys.stderr.write(f"{path}: {run.state.describe()}, {format_bytes(run.size)}\n")
        if not _ask(f"Delete {count_of(len(paths), 'folder')} for ever?"):
            TerminalReporter().note("nothing is deleted")
            return
    for path in paths:
        delete_run(path)
        print_text(str(path))


def _note(words: Sequence[str], folder: str) -> None:
    from cnncli.recipes.runs import find_run
    from cnncli.run.note import read_note, write_note

    name, *texts = words
    path = find_run(name, folder)
    if not texts:
        raise CnncliError(
            f'runs note {name}: give the text: cnncli runs note {name} "baseline"; an empty text '
            "removes the note"
        )
    before = read_note(path)
    after = write_note(path, " ".join(texts))
    print_text(str(path))
    if not after:
        TerminalReporter().note("its note is removed" if before else "it had no note")
    elif before and before != after:
        TerminalReporter().note(f"it was: {before}")


def _prune(names: Sequence[str], folder: str, *, yes: bool, all_: bool, dry_run: bool) -> None:
    from cnncli.recipes.runs import find_prunable
    from cnncli.run.prune_run import measure_files, prune_run

    reporter = TerminalReporter()
    found, left = find_prunable(names, folder, all_=all_)
    files = [path for paths in found.values() for path in paths]
    must_ask = bool(files) and not yes and not dry_run
    if must_ask:
        _check_can_ask("prune", "remove", [str(path) for path in files])
    if left:
        are = count_of(len(left), "run that is not finished", "runs that are not finished")
        reporter.note(f"left alone: {are} ({shorten(left)})")
    size = format_bytes(measure_files(files))
    if not files:
        reporter.note("nothing to remove: no finished run has a last.pt" + " or epochs" * all_)
        return
    if must_ask:
        for path, paths in found.items():
            told = ", ".join(str(file.relative_to(path)) for file in paths)
            sys.stderr.write(f"{path}: {told}, {format_bytes(measure_files(paths))}\n")
        if not _ask(f"Delete {count_of(len(files), 'file')}, {size}, for ever?"):
            reporter.note("nothing is deleted")
            return
    for path, paths in found.items():
        if not dry_run:
            prune_run(path, paths)
        for file in paths:
            print_text(str(file))
    reporter.note(f"{'would free' if dry_run else 'freed'} {size}")


def _check_can_ask(action: str, verb: str, paths: Sequence[str]) -> None:
    if not _can_ask():
        told = shorten(paths)
        raise CnncliError(f"runs {action}: nobody can be asked here; add --yes to {verb} {told}")


def _ask(question: str) -> bool:
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _can_ask() -> bool:
    return sys.stdin.isatty()


def _print_summaries(summaries: Sequence[dict[str, Any]], chosen: str, *, csv_safe: bool) -> None:
    from cnncli.recipes.runs import METRICS

    if chosen == "json":
        print_json(list(summaries))
        return
    columns = ("run", "data", "model", "state", "best_epoch", *METRICS, "bytes", "note")
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
        "note": summary["note"],
    }


def format_bytes(count: int) -> str:
    """Return a number of bytes with a unit, of which each is 1000 of the one below: ``"45 MB"``."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:,.{int(count < 10 * size)}f} {unit}"
    return f"{count} B"


_HINTS = {"--checkpoint": "name the run without a flag: runs show RUN"}
setattr(runs, FLAG_HINTS, _HINTS)
