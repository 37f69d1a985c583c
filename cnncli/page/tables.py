"""The tables of the page as rows of texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnncli.arrays import Array

Row = Mapping[str, Any]

MOST_CELLS = 30 * 30  # of a confusion matrix that is shown whole
_MOST_PAIRS = 100
_MOST_GROUPS = 100

_UNITS = {
    "accuracy": "share of the {of} that is right",
    "balanced_accuracy": "mean of the classes' recall",
    "macro_f1": "mean of the classes' F1",
    "mcc": "from −1 to 1; 0 is chance",
    "quadratic_kappa": "from −1 to 1; 0 is chance",
    "kappa": "from −1 to 1; 0 is chance",
    "linear_kappa": "from −1 to 1; 0 is chance",
    "log_loss": "nats; smaller is better",
    "brier": "squared error of the probabilities; smaller is better",
    "ece": "mean gap of confidence and accuracy; smaller is better",
}
_RANKING = {"auroc": "0.5 is chance", "average_precision": "chance is the class's share"}
_COUNTED = "accuracy"
_SPELT = {
    "macro_f1": "macro F1",
    "mcc": "MCC",
    "f1": "F1",
    "ppv": "PPV",
    "npv": "NPV",
    "auroc": "AUROC",
    "ece": "ECE",
    "brier": "Brier score",
}


def format_figure(value: float | None) -> str:
    """Return a figure as the page shows it."""
    return "undefined" if value is None else f"{value:.4f}"


def figure_rows(report: Mapping[str, Any], rows: Sequence[Row], *, of: str = "images") -> list[Row]:
    """Return the headline figures as texts.

    Args:
        report: The report.
        rows: Its figures: ``metric``, ``value``, ``low``, ``high``.
        of: What it is of: ``images``, or ``groups`` that have one answer each.
    """
    count = report.get("images", report.get("groups"))
    found: list[Row] = []
    if count is not None:
        found.append({"name": of, "value": f"{count:,}", "low": "", "why": "", "unit": ""})
    for row in rows:
        low, high = row["low"], row["high"]
        name, value = str(row["metric"]), row["value"]
        if isinstance(value, str) or not isinstance(value, int | float | None):
            continue
        undefined = "" if value is not None else "undefined: see below"
        found.append(
            {
                "name": spell(name),
                "value": format_figure(value),
                "low": "" if low is None else format_figure(low),
                "high": "" if high is None else format_figure(high),
                "why": undefined or "none",
                "unit": _tell_unit(name, report, of),
            }
        )
    return found


def interval_note(report: Mapping[str, Any]) -> str:
    """Return what the intervals of a report mean, and what they take as independent."""
    groups = report.get("groups")
    if report.get("resampled") == "group" and groups:
        return (
            "The intervals say how far a figure may move on another sample of as many groups, "
            f"{groups:,}: images of one group are not independent, and count together."
        )
    return (
        "The intervals say how far a figure may move on another sample of as many images, each "
        "independent of the others. Where several are of one patient, the truth is less certain."
    )


def _tell_unit(name: str, report: Mapping[str, Any], of: str) -> str:
    """Return what a figure is a figure of."""
    told, matrix = _UNITS.get(name, "").format(of=of), report.get("confusion_matrix")
    if name in _RANKING:
        names = report.get("class_names", [])
        what = f"of class {names[1]}" if len(names) == 2 else "mean over the classes"
        return f"{_RANKING[name]}; {what}"
    if name != _COUNTED or not matrix:
        return told
    right = sum(row[number] for number, row in enumerate(matrix))
    return f"{told} ({right:,} of {sum(map(sum, matrix)):,})"


def spell(name: str) -> str:
    """Return how the page writes the name of a figure: ``macro F1`` for ``macro_f1``."""
    return _SPELT.get(name, name.replace("_", " "))


def per_class_rows(rows: Sequence[Row]) -> list[Mapping[str, tuple[str, str]]]:
    """Return the figures of each class by their names, each with its interval, as texts.

    The name of the class is that of ``class``. Where there is no interval, its text is empty.
    """
    return [
        {
            "class" if name == "class_name" else spell(name): with_interval(value)
            for name, value in row.items()
        }
        for row in rows
    ]


def with_interval(value: Any) -> tuple[str, str]:
    """Return a figure and its interval as texts; empty where there is no interval."""
    if not isinstance(value, Mapping):
        return _show(value), ""
    shown = _show(value.get("value"))
    if value.get("low") is None:
        return shown, ""
    return shown, f"{format_figure(value['low'])} to {format_figure(value['high'])}"


def _show(value: Any) -> str:
    if value is None or isinstance(value, float):
        return format_figure(value)
    return f"{value:,}" if isinstance(value, int) else str(value)


def confused_pairs(matrix: Sequence[Sequence[int]]) -> list[tuple[int, int, int]]:
    """Return the pairs of different classes with the most images, most first.

    Args:
        matrix: (K, K) counts.

    Returns:
        Class, predicted class and images of each, at most 100.
    """
    counts = np.array(matrix)
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:_MOST_PAIRS]
    rows, columns = np.unravel_index(order, counts.shape)
    triples = zip(rows.tolist(), columns.tolist(), counts[rows, columns].tolist(), strict=True)
    return [triple for triple in triples if triple[2]]


def group_rows(groups: Sequence[str], wrong: Array) -> tuple[list[Row], str]:
    """Return the groups with their images and mistakes, and how many are not listed.

    Args:
        groups: N names; empty for an image without a group.
        wrong: (N,) whether each image's prediction is wrong.
    """
    images = Counter(groups)
    mistakes = Counter(name for name, is_wrong in zip(groups, wrong, strict=True) if is_wrong)
    order = sorted(images, key=lambda name: (-mistakes[name], -images[name], name))
    rows: list[Row] = [
        {"group": name or "(no group)", "images": images[name], "wrong": mistakes[name]}
        for name in order[:_MOST_GROUPS]
    ]
    left = len(order) - len(rows)
    hit = sum(mistakes[name] > 0 for name in order)
    note = f"{hit:,} of {len(order):,} groups have a mistake."
    return rows, note + (f" {left:,} more groups are not listed." if left else "")
