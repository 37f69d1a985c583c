"""Subgroups, and internal figures beside external ones, as a person reads them on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cnncli.evaluation.tell_subgroups import tell_parts
from cnncli.reporting import TableLayout
from cnncli.run.report import summary_rows
from cnncli.shell.cells import format_cell
from cnncli.shell.terminal import can_print, print_line, print_rows, print_sentence

_COUNTS = ("images", "groups")
_LAYOUT = TableLayout(
    drop=("specificity", "macro_f1", "auroc", "balanced_accuracy", "groups"),
    headers={
        "balanced_accuracy": "balanced accuracy",
        "macro_f1": "macro F1",
        "auroc": "AUROC",
        "quadratic_kappa": "quadratic kappa",
    },
    drop_equal=False,
    rounded=True,
    whole="--format json",
)
_SIDES = TableLayout(drop_equal=False, rounded=True, whole="--format json")


def print_subgroups(report: Mapping[str, Any]) -> None:
    """Print the figures of each part of the images, and where they differ most."""
    for by in report["subgroups"]:
        parts = by["parts"]
        print_line("")
        rows = [_part_row(part) for part in parts]
        gap = by["largest_gap"]
        layout = replace(
            _LAYOUT,
            headers={**_LAYOUT.headers, "value": by["by"]},
            keep=() if gap is None else (gap["figure"],),
        )
        print_rows(rows, list(rows[0]), "table", layout=layout)
        for sentence in tell_parts(by["by"], parts, gap):
            print_sentence(sentence)
    if len(report["subgroups"]) > 1:
        print_sentence("Each of these is looked at alone; their combinations are not.")


def _part_row(part: Mapping[str, Any]) -> dict[str, Any]:
    shown = {name: value for name, value in part.items() if name not in ("small", "classes")}
    if part["groups"] is None:
        del shown["groups"]
    return {
        n: value if isinstance(value, int) else show_figure(value) for n, value in shown.items()
    }


def print_internal(report: Mapping[str, Any]) -> None:
    """Print the figures of the run's own test split beside those of the images judged."""
    internal = report["internal"]
    names = [str(row["metric"]) for row in summary_rows(report)]
    known = [name for name in ("split", *_COUNTS) if internal.get(name) or report.get(name)]
    rows = [
        {
            "figure": name,
            "internal": show_figure(internal.get(name)),
            "external": show_figure(report.get(name)),
        }
        for name in (*known, *names)
    ]
    print_line("")
    print_sentence("The run's own figures beside those of these images, with 95 % intervals:")
    print_line("")
    print_rows(rows, ("figure", "internal", "external"), "table", layout=_SIDES)


def show_figure(figure: Any) -> str | None:
    """Return a figure as ``0.91 (0.85–0.95)``; what is no figure as a table shows it."""
    if not isinstance(figure, Mapping):
        return None if figure is None else format_cell(figure)
    if figure["low"] is None:
        return f"{figure['value']:.2f}"
    value, low, high = (f"{figure[end]:.2f}" for end in ("value", "low", "high"))
    return f"{value} ({low}{'–' if can_print('–') else '-'}{high})"
