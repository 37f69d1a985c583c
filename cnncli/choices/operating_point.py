"""The notation of ``--operating-point``, and the checks of the other numbers of a decision."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from cnncli.errors import CnncliError, clip, did_you_mean

# What others call the same: of all positive images, the share that is called positive.
_OTHER_NAMES = {"recall": "sensitivity", "tpr": "sensitivity", "tnr": "specificity"}
_KINDS = ("sensitivity", "specificity", "youden")


@dataclass(frozen=True)
class OperatingRule:
    """How a threshold is chosen.

    Attributes:
        kind: ``sensitivity`` takes the highest threshold with at least that sensitivity,
            ``specificity`` the lowest with at least that specificity, ``youden`` the one with the
            greatest sum of both.
        least: The least sensitivity or specificity, above 0 and at most 1; None for ``youden``.
    """

    kind: Literal["sensitivity", "specificity", "youden"]
    least: float | None = None

    def __str__(self) -> str:
        """Return the rule as it is written after ``--operating-point``."""
        return self.kind if self.least is None else f"{self.kind}={self.least:g}"


def parse_operating_point(text: str, where: str = "--operating-point") -> OperatingRule:
    """Parse ``sensitivity=0.95``, ``specificity=0.9`` or ``youden``.

    Args:
        text: What was written.
        where: What stands in front of an error.

    Raises:
        CnncliError: If the text is none of these, or the number is not above 0 and at most 1.
    """
    match = re.fullmatch(r"\s*([a-zA-Z]+)\s*(?:=\s*(\S+))?\s*", text)
    name = match[1].lower() if match else ""
    kind = _OTHER_NAMES.get(name, name)
    value = match[2] if match else None
    if kind not in _KINDS:
        near = did_you_mean(kind, _KINDS, count=1) if kind else ""
        raise CnncliError(
            f"{where} {clip(text)}: write sensitivity=0.95, specificity=0.9 or youden{near}"
        )
    if kind == "youden":
        if value is not None:
            raise CnncliError(f"{where} {clip(text)}: youden has no number; write youden alone")
        return OperatingRule("youden")
    least = math.nan if value is None else _number(value)
    if not 0 < least <= 1:
        percent = least / 100 if 1 < least <= 100 else 0.95
        raise CnncliError(
            f"{where} {clip(text)}: the least {kind} is a number above 0 and at most 1; write "
            f"{kind}={percent:g}"
        )
    return OperatingRule(kind, least)  # type: ignore[arg-type]


def check_probability(value: float, flag: str) -> None:
    """Refuse a number that is not between 0 and 1.

    Raises:
        CnncliError: If it is 0 or less, 1 or more, or not a number.
    """
    if not 0 < value < 1:
        percent = f", such as {value / 100:g}" if 1 < value < 100 else ""
        raise CnncliError(f"{flag} {value:g}: must lie between 0 and 1{percent}")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
