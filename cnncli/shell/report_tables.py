"""A report as a person reads it on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cnncli.reporting import TableLayout
from cnncli.run.report import summary_rows
from cnncli.shell.confusions import print_confusions, print_mistakes
from cnncli.shell.terminal import print_rows

_LAYOUT = TableLayout(drop_equal=False, whole="--format json")
# Keys that tell how the figures came about; they stand above them.
_HEAD = ("split", "images", "tta", "precision")


def print_report(report: Mapping[str, Any]) -> None:
    """Print the figures of a report, those of each class, and what is confused with what.

    Args:
        report: As ``report.json`` holds it; with ``mistakes``, these are listed last.
    """
    head = [{"metric": name, "value": report[name]} for name in _HEAD if name in report]
    rows = [*head, *summary_rows(report)]
    print_rows(rows, ("metric", "value", "low", "high"), "table", layout=_LAYOUT)
    print_rows(report["per_class"], list(report["per_class"][0]), "table", layout=_LAYOUT)
    print_confusions(report)
    if "mistakes" in report:
        print_mistakes(report)
