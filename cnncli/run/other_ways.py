"""Whether two reports judged their images in the same way, so that their figures compare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

WAYS = ("tta", "precision", "decision")


def find_other_ways(
    one: Mapping[str, Any], other: Mapping[str, Any], *, are_of_one_run: bool
) -> list[str]:
    """Return in what two reports were made differently.

    Args:
        one: A report, as ``report.json`` holds it.
        other: Another.
        are_of_one_run: Whether both are of the same weights. Each run has a threshold and a
            temperature of its own, so that decisions of two runs are the same where they follow the
            same rule.

    Returns:
        Those of ``tta``, ``precision`` and ``decision`` that are not the same.
    """
    reports = [{name: report.get(name) for name in WAYS} for report in (one, other)]
    if not are_of_one_run:
        reports = [report | {"decision": _rule_of(report["decision"])} for report in reports]
    return [name for name in WAYS if reports[0][name] != reports[1][name]]


def _rule_of(decision: Any) -> tuple[Any, ...] | None:
    """Return by what rule a decision of a report changes labels and probabilities; None for none.

    It leaves out what it abstains below: figures are of all images, also of those withheld.
    """
    if not isinstance(decision, Mapping):
        return None
    positive, rule = decision.get("positive"), decision.get("operating_point")
    threshold = decision.get("threshold") if rule is None else None
    found = (decision.get("temperature") is not None, positive, rule, threshold)
    return found if any(part is not None and part is not False for part in found) else None
