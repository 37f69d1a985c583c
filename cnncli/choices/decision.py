"""What the flags of a decision say: threshold, temperature, abstaining."""

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
        percent = least / 100 if 10 <= least <= 100 else 0.95
        raise CnncliError(
            f"{where} {clip(text)}: the least {kind} is a number above 0 and at most 1; write "
            f"{kind}={percent:g}"
        )
    return OperatingRule(kind, least)  # type: ignore[arg-type]


@dataclass(frozen=True)
class DecisionFlags:
    """What the user wants to be decided.

    Attributes:
        positive: Name of the positive class; all others together are negative.
        operating_point: How the threshold is chosen on val; None for none.
        threshold: The threshold itself, between 0 and 1; None for none.
        prevalence: Share of positive images where the classifier is to be used; None for none.
        calibrate: Whether a temperature is fitted on val.
        abstain_below: Least probability of a label that is said, between 0 and 1; None for none.
        raw: Whether the decision that is stored beside the weights is left out.
    """

    positive: str | None = None
    operating_point: OperatingRule | None = None
    threshold: float | None = None
    prevalence: float | None = None
    calibrate: bool = False
    abstain_below: float | None = None
    raw: bool = False

    def __post_init__(self) -> None:
        """Refuse what does not go together, whatever the classes are.

        Raises:
            CnncliError: If a number is not between 0 and 1, or a flag lacks or excludes another.
        """
        numbers = {
            "--threshold": self.threshold,
            "--prevalence": self.prevalence,
            "--abstain-below": self.abstain_below,
        }
        for flag, value in numbers.items():
            if value is not None:
                check_probability(value, flag)
        if self.operating_point is not None and self.threshold is not None:
            raise CnncliError(
                "--operating-point and --threshold: the first chooses a threshold on val, the "
                "second is one; give one of them"
            )
        if self.positive is not None and not self.has_threshold:
            raise CnncliError(
                f"--positive {clip(self.positive)}: give the threshold too, or how to choose it: "
                "--operating-point sensitivity=0.95, specificity=0.9 or youden, or --threshold P"
            )

    @property
    def has_threshold(self) -> bool:
        """Whether a threshold is given, or how to choose it."""
        return self.operating_point is not None or self.threshold is not None

    @property
    def is_stored(self) -> bool:
        """Whether anything of it is stored beside the weights."""
        return self.has_threshold or self.calibrate or self.abstain_below is not None


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
