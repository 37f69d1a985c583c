"""What a report says of a decision, as a person reads it on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cnncli.reporting import TableLayout
from cnncli.shell.terminal import print_line, print_rows, print_sentence

_LAYOUT = TableLayout(drop_equal=False, rounded=True, whole="--format json")
_FIGURES = (
    "sensitivity",
    "specificity",
    "ppv",
    "npv",
    "positive_likelihood_ratio",
    "negative_likelihood_ratio",
    "ppv_at_prevalence",
    "npv_at_prevalence",
)


def print_decision(report: Mapping[str, Any]) -> None:
    """Print the operating point, calibration and abstaining of a report that has them."""
    if "decision" in report:
        print_line("")
    if "operating_point" in report:
        _print_point(report["operating_point"])
    if "calibration" in report:
        _print_calibration(report["calibration"])
    if "abstain" in report:
        _print_abstaining(report["abstain"])


def _print_point(point: Mapping[str, Any]) -> None:
    rule = "given" if point["rule"] is None else f"chosen on val for {point['rule']}"
    print_sentence(
        f"Class {point['positive']!r} ({point['positive_images']:,} images) against all others "
        f"({point['negative_images']:,}), threshold {point['threshold']:.4g} ({rule}):"
    )
    rows = []
    for name in _FIGURES:
        if name in point:
            figure = point[name] or dict.fromkeys(("value", "low", "high"))
            label = name.replace("at_prevalence", f"at_{point['prevalence']}")
            row = {"figure": label, "on val": point["val"].get(name), **figure}
            rows.append(row)
    columns = ["figure", "value", "low", "high"]
    if any(row["on val"] is not None for row in rows):
        columns.insert(1, "on val")
    print_rows(rows, columns, "table", layout=_LAYOUT)


def _print_calibration(calibration: Mapping[str, Any]) -> None:
    from cnncli.run.decision import tell_temperature

    told = tell_temperature(calibration["temperature"], calibration["temperature_of_weights"])
    print_sentence(f"Temperature {told}, fitted on val:")
    before, after = calibration["before"], calibration["after"]
    rows = [{"figure": name, "before": before[name], "after": after[name]} for name in before]
    print_rows(rows, ("figure", "before", "after"), "table", layout=_LAYOUT)


def _print_abstaining(abstain: Mapping[str, Any]) -> None:
    print_sentence(
        f"Abstaining below {abstain['below']:g}, {abstain['answered']:,} images are answered; the "
        "figures above are of all images:"
    )
    columns = ("below", "answered", "coverage", "accuracy", "low", "high")
    rows = [{**row, "below": f"{row['below']:g}"} for row in abstain["curve"]]
    print_rows(rows, columns, "table", layout=_LAYOUT)
