"""The folds of a cross-validation on the page: their figures, and their learning curves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from cnncli.page.chart import Axis, Chart, Line, axis_of
from cnncli.page.charts import MOST_CLASSES
from cnncli.page.tables import spell

Rows = Sequence[Mapping[str, Any]]

_LOSS, _ACCURACY = "loss (nats)", "accuracy"
# Column of metrics.csv, heading, label of the axis, and what the column is.
_CHARTS = (
    ("train_loss", "Loss on train", _LOSS, "Cross-entropy on the augmented training images"),
    ("val_loss", "Loss on val", _LOSS, "Cross-entropy on the images that each fold chose on"),
    ("train_accuracy", "Accuracy on train", _ACCURACY, "Share right of the training images"),
    ("val_accuracy", "Accuracy on val", _ACCURACY, "Share right of the images chosen on"),
)


def fold_table(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return the figures of each fold, then their mean and standard deviation, as texts.

    Args:
        rows: As `run.fold_figures.fold_rows` returns them.
    """
    return [{_head(name): _show(name, value) for name, value in row.items()} for row in rows]


def _head(name: str) -> str:
    return {"images": "images held out", "best_epoch": "kept epoch"}.get(name, spell(name))


def _show(name: str, value: Any) -> str:
    if name == "fold":
        return {"mean": "mean", "sd": "standard deviation"}.get(value, f"fold {value}")
    if name in ("images", "best_epoch"):
        return "" if value is None else f"{value:,}"
    return "undefined" if value is None else f"{value:.4f}"


def fold_charts(histories: Sequence[Rows]) -> list[Chart]:
    """Return loss and accuracy over the epochs, a line for each fold.

    Up to as many folds as there are colours have a line in the legend; of more, the thin lines are
    the folds and the thick one is their mean.

    Args:
        histories: The rows of each fold's ``metrics.csv``, without that of a fitted head. A fold
            without any has no line.
    """
    epochs = [row["epoch"] for rows in histories for row in rows]
    if not epochs:
        return []
    first, last = (1.0, float(max(epochs))) if max(epochs) > 1 else (0.0, 2.0)
    across = Axis("epoch", first, last, whole=True)
    charts = []
    for column, title, label, told in _CHARTS:
        lines = [_line(rows, column, number) for number, rows in enumerate(histories) if rows]
        values = [value for line in lines for value in line.y]
        if not any(map(math.isfinite, values)):
            continue
        upright = Axis(label) if label == _ACCURACY else axis_of(label, values, from_zero=True)
        thin = ""
        if len(histories) > MOST_CLASSES:
            lines = [Line("", line.x, line.y, style=None, solid=True) for line in lines]
            lines.append(_mean(histories, column))
            thin = " Thin lines: the folds."
        charts.append(
            Chart(title, f"{told}, over the epochs of each fold.{thin}", across, upright, lines)
        )
    return charts


def _line(rows: Rows, column: str, number: int) -> Line:
    values = [float(row.get(column, math.nan)) for row in rows]
    return Line(f"fold {number + 1}", [float(row["epoch"]) for row in rows], values, style=number)


def _mean(histories: Sequence[Rows], column: str) -> Line:
    """Return the mean over the folds that have an epoch; some may have stopped before it."""
    by_epoch: dict[float, list[float]] = {}
    for rows in histories:
        for row in rows:
            value = float(row.get(column, math.nan))
            if math.isfinite(value):
                by_epoch.setdefault(float(row["epoch"]), []).append(value)
    places = sorted(by_epoch)
    return Line("mean of the folds", places, [fmean(by_epoch[place]) for place in places], style=1)
