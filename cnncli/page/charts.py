"""The charts of the report: ROC, precision and recall, calibration, and the learning curves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnncli.arrays import Array
from cnncli.evaluation.curve_bands import Band, band_curves
from cnncli.evaluation.curves import curve_points
from cnncli.evaluation.intervals import Units
from cnncli.page.chart import Area, Axis, Chart, Line, axis_of

CALIBRATED_LOSS = "val_calibrated_loss"  # column of metrics.csv; old runs have none
MOST_CLASSES = 8  # as many lines as there are colours
_MOST_BANDS = 3  # more would hide each other


def ranking_charts(
    targets: Array,
    probabilities: Array,
    class_names: Sequence[str],
    shown: Mapping[str, Any],
    units: Units | None = None,
) -> list[Chart]:
    """Return the ROC curves and the precision-recall curves, each class against all others.

    Args:
        targets: (N,) class numbers.
        probabilities: (N, K).
        class_names: K names.
        shown: The report, whose figures stand in the legends.
        units: What was drawn independently, images or groups; None for images.

    Returns:
        Two charts; none if every image is of one class.
    """
    chosen = choose_classes(shown)
    roc = [Line("chance", (0, 1), (0, 1), style=None)]
    recall, areas = [], []
    for style, index in enumerate(chosen):
        is_it, scores = targets == index, probabilities[:, index]
        row = shown["per_class"][index]
        points = curve_points(is_it, scores)
        note = _area("AUROC", value_of(row["auroc"]))
        x, y = points.false_alarms.tolist(), points.recall.tolist()
        roc.append(Line(class_names[index], x, y, note, style=style))
        note = _area("AP", value_of(row["average_precision"]))
        steps = _as_steps(points.recall, points.precision)
        recall.append(Line(class_names[index], *steps, note, style=style))
        bands = band_curves(is_it, scores, units or Units())
        areas.append([_as_area(band, style) for band in bands])
    if not chosen:
        return []
    of_roc, of_recall = zip(*areas, strict=True)
    picked = None
    if len(chosen) > _MOST_BANDS:
        worst = min(chosen, key=lambda index: value_of(shown["per_class"][index]["auroc"]) or 0)
        picked = chosen.index(worst)
    told = _tell_bands(units, picks=picked is not None)
    left_out = "" if len(chosen) in (1, _defined(shown)) else _told_few(len(chosen))
    return [
        Chart(
            "ROC curve",
            f"Sensitivity against the share of false alarms, at every threshold. {told}{left_out}",
            Axis("1 − specificity"),
            Axis("sensitivity"),
            roc,
            areas=of_roc,
            picked=picked,
        ),
        Chart(
            "Precision and recall",
            "Precision (PPV) against recall (sensitivity), at every threshold. AP is the average "
            f"precision. {told}{left_out}",
            Axis("recall"),
            Axis("precision"),
            recall,
            areas=of_recall,
            picked=picked,
        ),
    ]


def _as_area(band: Band, style: int) -> Area:
    return Area(band.x.tolist(), band.low.tolist(), band.high.tolist(), style)


def _tell_bands(units: Units | None, *, picks: bool) -> str:
    """Return what the bands are, and what they take as independent."""
    drawn = "images" if units is None or units.groups is None else "whole groups of images"
    of = " of the class that is chosen below the chart" if picks else ""
    return (
        f"Shaded: the pointwise 95 % band{of}, from Wilson’s intervals in both directions, with "
        f"{drawn} as what is drawn independently. A whole curve is inside less often."
    )


def choose_classes(shown: Mapping[str, Any]) -> list[int]:
    """Return the classes that have a curve: the second of two, else those ranked worst."""
    values = [value_of(row["auroc"]) for row in shown["per_class"]]
    defined = [(value, number) for number, value in enumerate(values) if value is not None]
    if len(values) == 2:
        return [number for _, number in defined if number == 1]
    return sorted(number for _, number in sorted(defined)[:MOST_CLASSES])


def _defined(shown: Mapping[str, Any]) -> int:
    return sum(value_of(row["auroc"]) is not None for row in shown["per_class"])


def value_of(figure: Any) -> float | None:
    """Return the value of a figure of a report, which may have an interval."""
    value: float | None = figure["value"] if isinstance(figure, Mapping) else figure
    return value


def _told_few(count: int) -> str:
    return f" Only the {count} classes with the smallest AUROC are drawn."


def _area(name: str, value: float | None) -> str:
    return "" if value is None else f"{name} {value:.4f}"


def _as_steps(x: Array, y: Array) -> tuple[list[float], list[float]]:
    """Return the steps of which average precision is the area: before a point, its own value."""
    return np.repeat(x, 2)[:-1].tolist(), np.repeat(y, 2)[1:].tolist()


def calibration_chart(bins: Sequence[Mapping[str, float]]) -> Chart:
    """Return how often the predicted class is right, by how sure the network is.

    Args:
        bins: Rows of ``confidence``, ``accuracy``, ``low``, ``high`` and ``images``, without empty
            bins.
    """
    sure = [row["confidence"] for row in bins]
    lines = [
        Line("perfect calibration", (0, 1), (0, 1), style=None),
        *(
            Line("", (row["confidence"],) * 2, (row["low"], row["high"]), style=None, solid=True)
            for row in bins
        ),
        Line("these images", sure, [row["accuracy"] for row in bins], dots=True, joined=False),
    ]
    return Chart(
        "Calibration",
        "The share of right predictions against the mean probability of the predicted class. A dot "
        "below the line: the network is surer than it is right. Upright lines: 95 % intervals. At "
        "the foot: the number of images.",
        Axis("mean probability of the predicted class"),
        Axis("share that is right"),
        lines,
        counts=[(row["confidence"], _short(int(row["images"]))) for row in bins],
    )


def _short(count: int) -> str:
    """Return a count in at most four letters: 950, 1.2k, 31k."""
    if count < 1000:
        return str(count)
    return f"{count / 1000:.1f}k" if count < 9950 else f"{count / 1000:.0f}k"


def learning_charts(
    history: Sequence[Mapping[str, Any]], best: int | None, *, one_rate: bool = False
) -> list[Chart]:
    """Return loss, accuracy and learning rate over the epochs.

    Args:
        history: The rows of ``metrics.csv``; those of epoch 0 are of a fitted head.
        best: The epoch that was kept; None if it is not known.
        one_rate: Whether all layers learn at the same rate.
    """
    rows = [row for row in history if row["epoch"] > 0]
    if not rows:
        return []
    epochs = [float(row["epoch"]) for row in rows]
    first, last = (epochs[0], epochs[-1]) if len(epochs) > 1 else (0.0, 2.0)
    across = Axis("epoch", first, last, whole=True)

    def draw(title: str, told: str, y: Axis, names: Mapping[str, str]) -> Chart:
        lines = [
            Line(text, epochs, _column(rows, name), dots=len(rows) < 60, style=style)
            for style, (name, text) in enumerate(names.items())
        ]
        return Chart(title, told, across, y, lines, best, f"kept epoch {best}")

    names = {"train_loss": "train", "val_loss": "val"}
    told = "Cross-entropy in nats, over the epochs. Train is measured on augmented images."
    after = _column(rows, CALIBRATED_LOSS)
    if any(map(_is_other, after, _column(rows, "val_loss"))):
        names[CALIBRATED_LOSS] = "val, calibrated"
        told += " Calibrated is val after the temperature, which is fitted on val after each epoch."
    losses = [value for name in names for value in _column(rows, name)]
    rates = _column(rows, "lr")
    charts = []
    if any(map(math.isfinite, losses)):
        charts.append(
            draw(
                "Loss",
                told,
                axis_of("loss (nats)", losses, from_zero=True),
                names,
            )
        )
    charts.append(
        draw(
            "Accuracy",
            "The share of images that is right, over the epochs.",
            Axis("accuracy"),
            {"train_accuracy": "train", "val_accuracy": "val"},
        )
    )
    if any(map(math.isfinite, rates)):
        charts.append(
            draw(
                "Learning rate",
                f"{'The' if one_rate else 'The head’s'} learning rate in the first step of each "
                "epoch.",
                axis_of("learning rate", rates, from_zero=True),
                {"lr": "learning rate"},
            )
        )
    return charts


def _is_other(after: float, before: float) -> bool:
    return math.isfinite(after) and after != before


def _column(rows: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    return [float(row.get(name, math.nan)) for row in rows]
