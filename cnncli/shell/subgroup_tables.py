"""Subgroups, and internal figures beside external ones, as a person reads them on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from cnncli.errors import count_of, shorten
from cnncli.evaluation.intervals import FEW
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
        for sentence in _tell(by["by"], parts, gap):
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


def _tell(by: str, parts: Sequence[Mapping[str, Any]], gap: Mapping[str, Any] | None) -> list[str]:
    """Return what is to be said below the table of a column."""
    told = []
    if len(parts) == 1:
        told.append(f"All images are the same in {by}: there is nothing to compare.")
    elif gap is None:
        told.append(f"No gap by {by}: fewer than two of its parts have the figure.")
    else:
        told.append(_tell_gap(by, parts, gap))
    small = [part["value"] for part in parts if part["small"]]
    if small:
        what = "images" if parts[0]["groups"] is None else "groups"
        told.append(f"Fewer than {FEW} {what}, too few to say much: {shorten(small, 8)}.")
    most = max(part["classes"] for part in parts)
    fewer = [part["value"] for part in parts if part["classes"] < most]
    if fewer:
        told.append(
            f"Averages are over fewer classes, as others have no image: {shorten(fewer, 8)}."
        )
    return told


def _tell_gap(by: str, parts: Sequence[Mapping[str, Any]], gap: Mapping[str, Any]) -> str:
    name = gap["figure"].replace("_", " ")
    low, high = (next(p for p in parts if p["value"] == gap[end]) for end in ("lowest", "highest"))
    one, other = (
        f"{part[gap['figure']]['value']:.2f} for {part['value']} "
        f"({count_of(part['images'], 'image')})"
        for part in (low, high)
    )
    told = f"Largest gap by {by}: {name} {one} and {other}, a difference of {gap['value']:.3f}"
    if gap["low"] is None:
        return f"{told}. It has no interval, and may be chance."
    several = f", widened for the largest of {gap['pairs']}" if gap["pairs"] > 1 else ""
    verdict = "it may be chance" if gap["may_be_chance"] else "more than chance"
    return f"{told} (95 % interval {gap['low']:.3f} to {gap['high']:.3f}{several}): {verdict}."


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
