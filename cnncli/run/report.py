"""A split's report, and how its main figures are told; shared by train and evaluate."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnncli.arrays import Array
from cnncli.evaluation.report import build_report
from cnncli.files import write_atomically
from cnncli.images.preprocess import Preprocess
from cnncli.reporting import Reporter
from cnncli.training.checkpoint import Checkpoint

Report = dict[str, Any]

# Keys of a report that are no metric.
_NOT_FIGURES = {
    "split",
    "images",
    "class_names",
    "per_class",
    "confusion_matrix",
    "tta",
    "precision",
}


def evaluation_batch(preprocess: Preprocess) -> int:
    """Return how many images go through the network at once.

    Train's last evaluation and ``evaluate`` use the same number, since the last digits of a
    probability depend on it: 64 at 224×224 pixels or less, fewer of larger images.
    """
    return max(1, min(64, 64 * 224 * 224 // (preprocess.height * preprocess.width)))


def report_split(
    targets: Array, probabilities: Array, checkpoint: Checkpoint, *, split: str, reporter: Reporter
) -> Report:
    """Return the report of one split, and tell on stderr why a metric is undefined."""
    report, undefined = build_report(
        targets, probabilities, checkpoint.class_names, split=split, ordered=checkpoint.ordered
    )
    for reason in undefined:
        reporter.note(f"undefined: {reason}")
    return report


def report_precision(precision: str, asked: str | None, reporter: Reporter) -> None:
    """Say in what precision the figures are computed, where the user asked for one."""
    if asked is not None:
        reporter.note(f"--precision {asked}: computed in {precision}")


def save_report(path: Path, report: Report) -> None:
    """Write ``report.json``, as ``evaluate --format json`` prints it."""
    text = json.dumps(report, ensure_ascii=False, allow_nan=False, indent=2) + "\n"
    write_atomically(path, lambda part: part.write_text(text, encoding="utf-8"))


def summary_rows(report: Report) -> list[dict[str, object]]:
    """Return the report's figures as rows of a table: metric, value, 95 % interval."""
    rows: list[dict[str, object]] = []
    for name, value in report.items():
        if name in (
            "split",
            "images",
            "class_names",
            "per_class",
            "confusion_matrix",
            "tta",
            "precision",
        ):
            continue
        low, high = None, None
        if isinstance(value, Mapping):
            value, low, high = value["value"], value["low"], value["high"]
        rows.append({"metric": name, "value": value, "low": low, "high": high})
    return rows
