"""The report: all metrics of one split as plain values, and why some of them are undefined."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from cnncli.evaluation.intervals import bootstrap_intervals
from cnncli.evaluation.metrics import (
    Counts,
    FloatArray,
    IntArray,
    check_inputs,
    class_ranking,
    combine_classes,
    confusion_matrix,
    count_metrics,
    expected_calibration_error,
    log_loss,
)

NAMES_SHOWN = 3


def build_report(
    targets: IntArray,
    probabilities: FloatArray,
    class_names: Sequence[str],
    *,
    split: str,
    ordered: bool,
    predictions: IntArray | None = None,
    seed: int = 0,
    resamples: int = 1000,
) -> tuple[dict[str, Any], list[str]]:
    """Compute the content of ``report.json``.

    Metrics with an interval (accuracy, balanced_accuracy, macro_f1, mcc, quadratic_kappa) are
    ``{"value", "low", "high"}``, with a 95 % bootstrap interval; see ``bootstrap_intervals``.
    Averages over classes are over the classes that have images in this split. With two classes,
    auroc and average_precision are those of ``class_names[1]`` as the positive class; with more,
    they are the means over each class against all others. log_loss is in nats; ece has 15 bins.

    Args:
        targets: (N,) class indices.
        probabilities: (N, K), rows sum to 1.
        class_names: K names, in the order of the columns.
        split: Name of the images in the report, such as ``val``.
        ordered: Whether the order of the classes has a meaning, as that of grades has; otherwise
            quadratic_kappa is None.
        predictions: (N,) class indices that a threshold gave; None for the most probable classes.
        seed: Seed of the bootstrap.
        resamples: Number of the bootstrap's resamples.

    Returns:
        The report as values that JSON can hold, with None for what is undefined; and lines of text
        that say why something is undefined.

    Raises:
        CnncliError: If there is no image, or a probability is NaN or infinite.
    """
    check_inputs(targets, probabilities)
    if len(class_names) != probabilities.shape[1]:
        raise ValueError(f"{len(class_names)} names for {probabilities.shape[1]} classes")
    if predictions is None:
        predictions = probabilities.argmax(axis=1)
    matrix = confusion_matrix(targets, predictions, len(class_names))
    counts = Counts.of(matrix)
    values = {name: float(value) for name, value in count_metrics(counts).items()}
    if not ordered:
        values["quadratic_kappa"] = math.nan
    intervals = bootstrap_intervals(matrix, seed=seed, resamples=resamples)
    bounded = {name: _with_interval(values[name], intervals[name]) for name in values}
    auroc, average_precision = class_ranking(targets, probabilities)
    report = {
        "split": split,
        "images": len(targets),
        "class_names": list(class_names),
        "accuracy": bounded["accuracy"],
        "balanced_accuracy": bounded["balanced_accuracy"],
        "macro_f1": bounded["macro_f1"],
        "mcc": bounded["mcc"],
        "auroc": _number_or_none(combine_classes(auroc)),
        "average_precision": _number_or_none(combine_classes(average_precision)),
        "quadratic_kappa": bounded["quadratic_kappa"],
        "log_loss": log_loss(targets, probabilities),
        "ece": expected_calibration_error(targets, probabilities),
        "per_class": _per_class(class_names, counts, auroc, average_precision),
        "confusion_matrix": matrix.tolist(),
    }
    return report, _explain_undefined(report, counts, ordered=ordered)


def _number_or_none(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _with_interval(value: float, interval: tuple[float, float]) -> dict[str, float | None] | None:
    if not math.isfinite(value):
        return None
    low, high = interval
    return {"value": value, "low": _number_or_none(low), "high": _number_or_none(high)}


def _per_class(
    class_names: Sequence[str], counts: Counts, auroc: FloatArray, average_precision: FloatArray
) -> list[dict[str, Any]]:
    columns = {
        "precision": counts.precision,
        "recall": counts.recall,
        "f1": counts.f1,
        "auroc": auroc,
        "average_precision": average_precision,
    }
    return [
        {
            "class_name": class_name,
            "images": int(counts.actual[index]),
            **{name: _number_or_none(column[index]) for name, column in columns.items()},
        }
        for index, class_name in enumerate(class_names)
    ]


def _explain_undefined(report: dict[str, Any], counts: Counts, *, ordered: bool) -> list[str]:
    """Return lines that say why values are None or averaged over fewer classes."""
    names = report["class_names"]
    present = [name for name, images in zip(names, counts.actual, strict=True) if images]
    absent = [name for name, images in zip(names, counts.actual, strict=True) if not images]
    predicted = [name for name, images in zip(names, counts.predicted, strict=True) if images]
    reasons = []
    if len(present) == 1:
        affected = "auroc, average_precision, mcc" + (", quadratic_kappa" if ordered else "")
        reasons.append(f"{affected}: only class {present[0]!r} occurs in this split")
    elif len(predicted) == 1:
        reasons.append(f"mcc: every image is predicted as {predicted[0]!r}")
    without_interval = [
        name for name, value in report.items() if isinstance(value, dict) and value["low"] is None
    ]
    if without_interval:
        reasons.append(
            f"{', '.join(without_interval)}: no interval, as no resampling changes the value"
        )
    if absent:
        reasons.append(
            f"recall, f1, auroc, average_precision of {_quoted(absent)}: no image in this split; "
            f"averages are over the {len(present)} of {len(names)} classes that have one"
        )
    never_predicted = [name for name in names if name not in set(predicted)]
    if never_predicted:
        reasons.append(f"precision of {_quoted(never_predicted)}: never predicted in this split")
    return reasons


def _quoted(class_names: Iterable[str]) -> str:
    quoted = [repr(name) for name in class_names]
    shown = ", ".join(quoted[:NAMES_SHOWN])
    more = len(quoted) - NAMES_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
