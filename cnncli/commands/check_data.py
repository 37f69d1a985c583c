"""``cnncli check-data``."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cnncli.errors import FINDINGS, CnncliError, count_of
from cnncli.reporting import TableLayout
from cnncli.shell.cells import cell_width
from cnncli.shell.flags import CsvSafe, Flags, takes
from cnncli.shell.run_flags import choose_flags
from cnncli.shell.tables import find_width
from cnncli.shell.terminal import (
    TerminalReporter,
    choose_format,
    print_json,
    print_rows,
    print_sentence,
    print_text,
)

if TYPE_CHECKING:
    from cnncli.recipes.check_data import DataReport

CheckFormat = Literal["table", "csv", "json"]

_FLAGS = (
    *("data", "image_col", "label_col", "split_col", "splits", "fold"),
    *("group_col", "group_regex", "exclude"),
)
_SEVERITY = {"spoils": "spoils a result", "note": "worth knowing"}
_MOST_CLASSES = 40
_MOST_PICTURES = 3


@takes(choose_flags(*_FLAGS))
def check_data(
    flags: Flags,
    fix_list: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write the files to leave out there, one path a line."),
    ] = None,
    move_to: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Move these files there, in their class folders; nothing is overwritten.",
        ),
    ] = None,
    cache: Annotated[
        bool,
        typer.Option("--cache/--no-cache", help="Take over what is known of unchanged files."),
    ] = True,
    output_format: Annotated[
        CheckFormat | None,
        typer.Option("--format", help="Form of the answer [table on a terminal, json in a pipe]."),
    ] = None,
    csv_safe: CsvSafe = False,
) -> None:
    """Find duplicates, damage, leaks and shortcuts in images; exit code 3 if results suffer.

    Results suffer from damaged files, copies with another label or in another split, groups in
    several splits, missing classes, and shortcuts: classes that their files alone give away. A
    folder of images without class folders is looked at without classes.
    """
    from cnncli.config import load_config

    config = load_config(None, flags, tell=TerminalReporter().note)
    from cnncli.files import check_output_file, expand_path
    from cnncli.recipes.check_data import check_data as run_check
    from cnncli.recipes.check_data import check_move, move_drops, save_fix_list

    if move_to is not None:
        check_move(config, move_to)
    if fix_list is not None:
        path = check_output_file(fix_list, "--fix-list")
        taken = None if config.exclude is None else expand_path(config.exclude)
        if taken is not None and taken.exists() and path.exists() and path.samefile(taken):
            raise CnncliError(
                f"--fix-list {fix_list}: is the list of --exclude, and would hold only what is "
                "found beside it; name another file"
            )
    reporter = TerminalReporter()
    report = run_check(config, reporter, cache=cache)
    if fix_list is not None:  # before a reader of the answer may leave
        count = save_fix_list(fix_list, report)
        reporter.note(f"{fix_list}: {count} file{'s' * (count != 1)} to leave out")
    if move_to is not None:
        moved = count_of(move_drops(move_to, report), "file")
        reporter.note(f"{move_to}: {moved} moved there from {config.data}")
    chosen = choose_format(output_format, piped="json")
    if chosen == "json":
        print_json(report.as_dict())
    elif chosen == "csv":
        columns = ("severity", "kind", "group", "path", "drop", "text")
        print_rows(report.rows(), columns, "csv", csv_safe=csv_safe)
    else:
        _print_report(report)
    if report.spoiled:
        raise typer.Exit(FINDINGS)


_LAYOUT = TableLayout(
    keep=("what", ""),
    paths=("such as",),
    words=("what", ""),
    drop_equal=False,
    whole="--format json",
)


def _print_report(report: DataReport) -> None:
    whole = report.as_dict()
    classes = whole["classes"]
    print_rows(classes[:_MOST_CLASSES], list(classes[0]), "table", layout=_LAYOUT)
    if len(classes) > _MOST_CLASSES:
        print_text(f"and {count_of(len(classes) - _MOST_CLASSES, 'more class')}")
    print_rows(_file_rows(whole["files"]), ("files", ""), "table", layout=_LAYOUT)
    rows = [
        {
            "finding": _SEVERITY[finding.severity],
            "what": finding.text,
            "such as": ", ".join(report.paths(finding.images[:1])),
        }
        for finding in report.findings
    ]
    if rows:
        print_rows(rows, ("finding", "what", "such as"), "table", layout=_LAYOUT)
        _print_copies(report)
        if any(finding.images for finding in report.findings):
            drops = any(finding.drop for finding in report.findings)
            listed = "; files to leave out: --fix-list FILE, or --move-to DIR" * drops
            print_sentence(f"all files: --format csv{listed}")
    else:
        print_text("nothing found")
    told = whole["told_by_nothing"]
    if whole["shortcuts"] and len(told) > 1:
        shown = ", ".join(told[:_MOST_CLASSES])
        print_sentence(f"cannot be told apart by file properties (good): {shown}")


def _print_copies(report: DataReport) -> None:
    """Print the first copies of each finding on copies, a line a picture."""
    for finding in report.findings:
        lines = report.copies(finding)
        if not lines:
            continue
        print_text(f"{finding.kind}: = same pixels, ≈ near copies")
        width = find_width(sys.stdout)
        for line in lines[:_MOST_PICTURES]:
            is_wide = width is not None and cell_width(line) + 2 > width
            for part in re.split(r" (?=[=≈] )", line) if is_wide else [line]:  # no path is cut
                print_text(f"  {part}")
        if len(lines) > _MOST_PICTURES:
            print_text(f"  and {count_of(len(lines) - _MOST_PICTURES, 'more picture')}")
        print_text("")


def _file_rows(files: dict[str, Any]) -> list[dict[str, object]]:
    """Return what the files are like, a line each; what says nothing is left out."""

    def counts(values: dict[str, int]) -> str:
        return ", ".join(f"{name} {count:,}" for name, count in values.items())

    def spread(values: dict[str, int] | None) -> str:
        if values is None:
            return ""
        low, middle, high = values["min"], values["median"], values["max"]
        return f"{low:,}" if low == high else f"{low:,} to {high:,}, median {middle:,}"

    lines = {
        "formats": counts(files["formats"]),
        "modes": counts(files["modes"]),
        "bits per channel": counts(files["bits"]),
        "width (px)": spread(files["width"]),
        "height (px)": spread(files["height"]),
        "size (bytes)": spread(files["bytes"]),
        "with alpha": files["alpha"] or "",
        "stored in colour": files["stored_in_colour"] or "",
        "of them grey to look at": files["stored_in_colour_but_grey"] or "",
    }
    return [{"files": name, "": value} for name, value in lines.items() if value != ""]
