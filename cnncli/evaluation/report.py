"""The report: all metrics of one split as plain values, and why some of them are undefined."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from cnncli.evaluation.class_figures import CLASS_FIGURES
from cnncli.evaluation.figures import Figures, compute_figures
from cnncli.evaluation.intervals import Estimate
from cnncli.evaluation.metrics import Counts, FloatArray, IntArray, check_inputs

# The figures of all images, in the order of the report.
FIGURES = (
    *("accuracy", "balanced_accuracy", "macro_f1", "mcc", "auroc", "average_precision"),
    *("kappa", "linear_kappa", "quadratic_kappa", "log_loss", "brier", "ece"),
)
# Those that count how far off a prediction is: only of classes whose order means something.
OF_GRADES = ("linear_kappa", "quadratic_kappa")
NAMES_SHOWN = 3


def build_report(
    targets: IntArray,
    probabilities: FloatArray,
    class_names: Sequence[str],
    *,
    split: str,
    ordered: bool,
    predictions: IntArray | None = None,
    groups: IntArray | None = None,
) -> tuple[dict[str, Any], list[str]]:
    """Compute the content of ``report.json``.

    Every figure is ``{"value", "low", "high"}`` with a 95 % interval; see `compute_figures`.
    Averages over classes are over the classes that have images in this split. With two classes,
    auroc and average_precision are those of ``class_names[1]`` as the positive class; with more,
    they are the means over each class against all others. log_loss is in nats; ece has 15 bins.

    Args:
        targets: (N,) class indices.
        probabilities: (N, K), rows sum to 1.
        class_names: K names, in the order of the columns.
        split: Name of the images in the report, such as ``val``.
        ordered: Whether the order of the classes has a meaning, as that of grades has; otherwise
            linear_kappa and quadratic_kappa are None.
        predictions: (N,) class indices that a threshold gave; None for the most probable classes.
        groups: (N,) number of the group of each image, from 0 without a gap; the intervals then
            draw whole groups. None where images are independent.

    Returns:
        The report as values that JSON can hold, with None for what is undefined; and lines of text
        that say why something is undefined.

    Raises:
        CnncliError: If there is no image, or a probability is NaN or infinite.
    """
    check_inputs(targets, probabilities)
    if len(class_names) != probabilities.shape[1]:
        raise ValueError(f"{len(class_names)} names for {probabilities.shape[1]} classes")
    figures = compute_figures(targets, probabilities, groups, predictions)
    whole = {
        name: None if name in OF_GRADES and not ordered else _plain(figures.whole[name])
        for name in FIGURES
    }
    report = {
        "split": split,
        "images": len(targets),
        "groups": None if groups is None else int(groups.max()) + 1,
        "resampled": "image" if groups is None else "group",
        "class_names": list(class_names),
        **whole,
        "per_class": _per_class(class_names, figures, is_grouped=groups is not None),
        "confusion_matrix": figures.matrix.tolist(),
    }
    return report, _explain_undefined(report, figures.counts, ordered=ordered)


def figure_value(figure: float | Mapping[str, float | None] | None) -> float | None:
    """Return the value of a figure of a report; those of old reports may have no interval."""
    return figure["value"] if isinstance(figure, Mapping) else figure


def _plain(estimate: Estimate) -> dict[str, float | None] | None:
    """Return an estimate as JSON holds it; None if it is undefined."""
    if not math.isfinite(estimate.value):
        return None
    ends = (end if math.isfinite(end) else None for end in (estimate.low, estimate.high))
    return dict(zip(("value", "low", "high"), (estimate.value, *ends), strict=True))


def _per_class(
    class_names: Sequence[str], figures: Figures, *, is_grouped: bool
) -> list[dict[str, Any]]:
    return [
        {
            "class_name": class_name,
            "images": int(figures.counts.actual[index]),
            **({"groups": figures.class_units[index]} if is_grouped else {}),
            **{name: _plain(figures.per_class[name][index]) for name in CLASS_FIGURES},
        }
        for index, class_name in enumerate(class_names)
    ]


def explain_undefined(report: Mapping[str, Any], what: str = "image") -> list[str]:
    """Return lines that say why figures of a report are undefined, from its confusion matrix.

    Args:
        report: A report as it was read; one without a matrix has no reasons.
        what: What it has one answer for: ``image``, or ``group``.
    """
    if "confusion_matrix" not in report:
        return []
    names = [row["class_name"] for row in report["per_class"]]
    figures = {name: report.get(name) for name in FIGURES}
    units = {"groups": None, "resampled": what, "images": report.get("groups")}
    known = {name: report.get(name, value) for name, value in units.items()}
    counts = Counts.of(np.array(report["confusion_matrix"]))
    return _explain_undefined({**figures, **known, "class_names": names}, counts, ordered=False)


def _explain_undefined(report: dict[str, Any], counts: Counts, *, ordered: bool) -> list[str]:
    """Return lines that say why values are None or averaged over fewer classes."""
    names = report["class_names"]
    present = [name for name, images in zip(names, counts.actual, strict=True) if images]
    absent = [name for name, images in zip(names, counts.actual, strict=True) if not images]
    predicted = [name for name, images in zip(names, counts.predicted, strict=True) if images]
    reasons = []
    if len(present) == 1:
        affected = ["mcc", "auroc", "average_precision", "kappa", *(OF_GRADES if ordered else ())]
        reasons.append(
            f"{', '.join(affected)} are undefined: only class {present[0]!r} occurs in this split"
        )
    elif len(predicted) == 1:
        reasons.append(f"mcc is undefined: every image is predicted as {predicted[0]!r}")
    without_interval = [
        name for name, value in report.items() if isinstance(value, dict) and value["low"] is None
    ]
    lacking = f"{', '.join(without_interval)} {'has' if len(without_interval) == 1 else 'have'}"
    if without_interval and (report["groups"] or report["images"]) == 1:
        reasons.append(f"{lacking} no interval: there is only one {report['resampled']}")
    elif without_interval:
        reasons.append(f"{lacking} no interval: no resampling changes the value")
    if absent:
        reasons.append(
            f"recall, f1, auroc, average_precision of {_quoted(absent)} are undefined: no image "
            f"in this split; averages are over the {len(present)} of {len(names)} classes "
            "that have one"
        )
    never_predicted = [name for name in names if name not in set(predicted)]
    if never_predicted:
        it = "it" if len(never_predicted) == 1 else "one of them"
        reasons.append(
            f"precision of {_quoted(never_predicted)} is undefined: no image was predicted as {it}"
        )
    return reasons


def _quoted(class_names: Iterable[str]) -> str:
    quoted = [repr(name) for name in class_names]
    shown = ", ".join(quoted[:NAMES_SHOWN])
    more = len(quoted) - NAMES_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
