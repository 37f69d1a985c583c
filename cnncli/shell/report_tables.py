"""A report as a person reads it on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cnncli.errors import count_of
from cnncli.evaluation.class_figures import CLASS_FIGURES
from cnncli.reporting import TableLayout
from cnncli.run.report import summary_rows
from cnncli.shell.confusions import print_confusions, print_mistakes
from cnncli.shell.decision_tables import print_decision
from cnncli.shell.subgroup_tables import print_internal, print_subgroups, show_figure
from cnncli.shell.terminal import print_line, print_rows, print_sentence

_LAYOUT = TableLayout(drop_equal=False, rounded=True, whole="--format json")
# A class's figures with their intervals are wide. Those go first that others follow from.
_CLASS_LAYOUT = TableLayout(
    drop=("average_precision", "f1", "specificity", "auroc", "precision", "groups"),
    headers={"class_name": "class", "average_precision": "AP", "auroc": "AUROC", "f1": "F1"},
    drop_equal=False,
    rounded=True,
    whole="--format json",
)
# Keys that tell how the figures came about; they stand above them.
_HEAD = ("split", "images", "groups", "tta", "precision")


def print_report(report: Mapping[str, Any]) -> None:
    """Print the figures of a report, those of each class, and what is confused with what.

    Args:
        report: As ``report.json`` holds it; with ``mistakes``, these are listed last.
    """
    _print_figures(report)
    print_confusions(report)
    if "by_group" in report:
        by_group = report["by_group"]
        left = count_of(by_group["left_out"], "group")
        print_line("")
        print_sentence(
            f"By group: one answer for each ({by_group['aggregate']} of its images' probabilities)"
            + f"; left out, with several labels: {left}" * bool(by_group["left_out"])
        )
        _print_figures(by_group)
    print_decision(report)
    if "subgroups" in report:
        print_subgroups(report)
    if "internal" in report:
        print_internal(report)
    if "mistakes" in report:
        print_mistakes(report)


def _print_figures(report: Mapping[str, Any]) -> None:
    head = [{"metric": name, "value": report[name]} for name in _HEAD if report.get(name)]
    rows = [*head, *summary_rows(report)]
    print_rows(rows, ("metric", "value", "low", "high"), "table", layout=_LAYOUT)
    classes = [_class_row(row) for row in report["per_class"]]
    print_rows(classes, list(classes[0]), "table", layout=_CLASS_LAYOUT)


def _class_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a class as a table shows it: each figure with its interval behind it."""
    return {
        name: show_figure(value) if name in CLASS_FIGURES else value for name, value in row.items()
    }
