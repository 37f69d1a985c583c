"""What a report says of a decision: its operating point, calibration and abstaining."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import numpy as np

from cnncli.arrays import Array
from cnncli.evaluation.abstaining import measure_abstaining
from cnncli.evaluation.intervals import Estimate, Units
from cnncli.evaluation.metrics import brier_scores, expected_calibration_error, log_loss
from cnncli.evaluation.operating_intervals import bound_figures
from cnncli.reporting import Reporter
from cnncli.run.decision import Decision

# Why a figure is undefined: what it is a share of, in images.
_SHARES = {
    "sensitivity": "no image of {positive} in this split",
    "specificity": "no image of other classes than {positive} in this split",
    "ppv": "no image is called {positive}",
    "npv": "every image is called {positive}",
}


def report_decision(
    decision: Decision,
    targets: Array,
    raw: Array,
    *,
    prevalence: float | None,
    groups: Array | None,
    reporter: Reporter,
) -> dict[str, Any]:
    """Return the parts of a report that are of a decision.

    Args:
        decision: The decision.
        targets: (N,) class numbers of the images judged.
        raw: (N, K) their probabilities before the decision.
        prevalence: Share of positive images where the classifier is to be used; None for none.
        groups: (N,) number of the group of each image; None where there are no groups.
        reporter: Gets a line for each figure that is undefined.

    Returns:
        ``decision``, and of what it does ``operating_point``, ``calibration`` and ``abstain``.
    """
    probabilities = decision.adjust(raw)
    parts: dict[str, Any] = {"decision": asdict(decision)}
    del parts["decision"]["class_names"]  # the report has them
    if decision.threshold is not None:
        parts["operating_point"] = _report_point(
            decision, targets, probabilities, prevalence, groups, reporter
        )
    if decision.temperature is not None:
        parts["calibration"] = {
            "temperature": decision.temperature,
            "temperature_of_weights": decision.temperature_of_weights,
            "before": _measure_calibration(targets, raw),
            "after": _measure_calibration(targets, probabilities),
        }
    if decision.abstain_below is not None:
        labels = decision.label(probabilities)
        said = probabilities[np.arange(len(labels)), labels].astype(np.float64)
        curve = measure_abstaining(labels == targets, said, decision.abstain_below, Units(groups))
        (chosen,) = [row for row in curve if row["below"] == decision.abstain_below]
        parts["abstain"] = {**chosen, "curve": curve}
    return parts


def _report_point(
    decision: Decision,
    targets: Array,
    probabilities: Array,
    prevalence: float | None,
    groups: Array | None,
    reporter: Reporter,
) -> dict[str, Any]:
    assert decision.threshold is not None
    positive = decision.positive_target
    is_called = probabilities[:, positive].astype(np.float64) >= decision.threshold
    is_positive = targets == positive
    figures = bound_figures(is_called, is_positive, Units(groups), prevalence=prevalence)
    for name, why in _SHARES.items():
        if math.isnan(figures[name].value):
            reporter.note(f"{name} is undefined: {why.format(positive=repr(decision.positive))}")
    for name, figure in figures.items():
        if math.isinf(figure.value):
            reporter.note(f"{name} is infinite: the share it is divided by is 0")
    return {
        "positive": decision.positive,
        "threshold": decision.threshold,
        "rule": decision.operating_point,
        "positive_images": int(is_positive.sum()),
        "negative_images": int((~is_positive).sum()),
        "prevalence": prevalence,
        **{name: _bounded(figure) for name, figure in figures.items()},
        "val": dict(decision.val),
    }


def _bounded(figure: Estimate) -> dict[str, float | None] | None:
    """Return a figure for JSON, which has no infinite numbers; None where it is undefined."""
    if math.isnan(figure.value):
        return None
    bounds = asdict(figure).items()
    return {key: number if math.isfinite(number) else None for key, number in bounds}


def _measure_calibration(targets: Array, probabilities: Array) -> dict[str, float]:
    return {
        "ece": expected_calibration_error(targets, probabilities),
        "brier": float(np.average(brier_scores(targets, probabilities))),
        "log_loss": log_loss(targets, probabilities),
    }
