"""The decision that is stored with a run, on the page: thresholds of raw probabilities."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cnncli.run.decision import Decision


@dataclass(frozen=True)
class OperatingPoint:
    """What the run does with its probabilities besides taking the largest.

    Attributes:
        told: What is stored, in words.
        positive: Number of the positive class; None where no threshold is stored.
        threshold: Least probability, as the network gives it, for an image to be called that class;
            None where none is stored, or where a temperature changes the probabilities of more than
            two classes.
        abstain: Answers less sure than this are withheld; None where none is stored, or as above.
    """

    told: str
    positive: int | None
    threshold: float | None
    abstain: float | None


def as_operating_point(decision: Decision) -> OperatingPoint:
    """Return a decision as the page shows it."""
    threshold, abstain = decision.threshold, decision.abstain_below
    if decision.temperature is not None:
        both = len(decision.class_names) == 2
        threshold = _without(decision.temperature, threshold) if both else None
        abstain = _without(decision.temperature, abstain) if both else None
    return OperatingPoint(decision.describe(), decision.positive_target, threshold, abstain)


def _without(temperature: float, value: float | None) -> float | None:
    """Return the probability that a temperature turns into a value, of one of two classes."""
    if value is None or not 0 < value < 1:
        return value
    return 1 / (1 + math.exp(-temperature * math.log(value / (1 - value))))
