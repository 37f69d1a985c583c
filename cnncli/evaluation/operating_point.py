"""Operating points: the threshold above which an image is called positive, and what follows.

One class is positive, all others together are negative. An image is called positive if its
probability of the positive class is at least the threshold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cnncli.choices.decision import OperatingRule
from cnncli.evaluation.metrics import FloatArray, IntArray

BoolArray = npt.NDArray[np.bool_]


def choose_threshold(scores: FloatArray, is_positive: BoolArray, rule: OperatingRule) -> float:
    """Choose the threshold of an operating point.

    Between two neighbouring scores all thresholds call the same images positive; the middle is
    taken, so that the last digits of a probability, which depend on the batch and the machine, do
    not change what an image is called.

    Args:
        scores: (N,) probabilities of the positive class.
        is_positive: (N,) whether an image is of that class; some are, and some are not.
        rule: What to choose by.

    Returns:
        A threshold from 0 to 1; NaN where no threshold up to 1 fulfils the rule.

    Source: Youden, Cancer 3 (1950) 32: sensitivity + specificity - 1.
    """
    scores = np.asarray(scores, dtype=np.float64)
    cuts = np.unique(scores)
    # Where no number lies between two neighbours, the upper one is the threshold.
    between = np.maximum((cuts[1:] + cuts[:-1]) / 2, np.nextafter(cuts[:-1], 1))
    highest = [(cuts[-1] + 1) / 2] if cuts[-1] < 1 else []
    thresholds = np.concatenate([[cuts[0] / 2], between, highest])  # from all called positive on
    positive, negative = (np.sort(scores[side]) for side in (is_positive, ~is_positive))
    sensitivity = 1 - np.searchsorted(positive, thresholds) / len(positive)
    specificity = np.searchsorted(negative, thresholds) / len(negative)
    if rule.kind == "youden":
        total = sensitivity + specificity
        # The highest of equally good ones; sums of fractions differ in the last digit.
        return float(thresholds[np.flatnonzero(total >= total.max() - 1e-12)[-1]])
    reached, which = (sensitivity, -1) if rule.kind == "sensitivity" else (specificity, 0)
    assert rule.least is not None
    found = np.flatnonzero(reached >= rule.least - 1e-12)
    return float(thresholds[found[which]]) if len(found) else float("nan")


def call_classes(probabilities: FloatArray, positive: int, threshold: float) -> IntArray:
    """Return the class that each image is called under a threshold.

    Args:
        probabilities: (N, K).
        positive: Number of the positive class.
        threshold: Least probability of that class for an image to be called so.

    Returns:
        (N,) the positive class, or else the most probable of the others.
    """
    others = np.array(probabilities, dtype=np.float64)
    is_called = others[:, positive] >= threshold
    others[:, positive] = -1
    called: IntArray = np.where(is_called, positive, others.argmax(axis=1))
    return called


@dataclass(frozen=True)
class Outcomes:
    """How many images were called what: counts, or arrays (...) of counts.

    Attributes:
        true_positive: Positive images that were called positive.
        false_negative: Positive images that were called negative.
        false_positive: Negative images that were called positive.
        true_negative: Negative images that were called negative.
    """

    true_positive: FloatArray
    false_negative: FloatArray
    false_positive: FloatArray
    true_negative: FloatArray

    @classmethod
    def count(cls, is_called: BoolArray, is_positive: BoolArray) -> Outcomes:
        """Count images (N,) by what they were called and what they are."""
        return cls(*_indicators(is_called, is_positive).sum(axis=0))

    @property
    def positive(self) -> FloatArray:
        """Number of positive images."""
        return self.true_positive + self.false_negative

    @property
    def negative(self) -> FloatArray:
        """Number of negative images."""
        return self.false_positive + self.true_negative


def _indicators(is_called: BoolArray, is_positive: BoolArray) -> FloatArray:
    """Return (N, 4): a 1 in the column of each image's outcome, in the order of `Outcomes`."""
    columns = (
        is_called & is_positive,
        ~is_called & is_positive,
        is_called & ~is_positive,
        ~is_called & ~is_positive,
    )
    return np.stack(columns, axis=1).astype(np.float64)


def compute_figures(outcomes: Outcomes, prevalence: float | None = None) -> dict[str, FloatArray]:
    """Compute the figures of an operating point.

    Args:
        outcomes: Counts (...).
        prevalence: Share of positive images where the classifier is to be used, between 0 and 1;
            None leaves out the figures for it.

    Returns:
        Arrays (...), NaN where undefined: ``sensitivity``, ``specificity``, ``ppv`` and ``npv``
        (0–1), ``positive_likelihood_ratio`` and ``negative_likelihood_ratio`` (0 or more,
        infinite where the denominator alone is 0), and ``ppv_at_prevalence`` and
        ``npv_at_prevalence``.

    Source: predictive values at another prevalence: Bayes' theorem, in odds.
    """
    tp, fn = outcomes.true_positive, outcomes.false_negative
    fp, tn = outcomes.false_positive, outcomes.true_negative
    figures = {
        "sensitivity": _ratio(tp, outcomes.positive),
        "specificity": _ratio(tn, outcomes.negative),
        "ppv": _ratio(tp, tp + fp),
        "npv": _ratio(tn, tn + fn),
        "positive_likelihood_ratio": _ratio(tp * outcomes.negative, fp * outcomes.positive),
        "negative_likelihood_ratio": _ratio(fn * outcomes.negative, tn * outcomes.positive),
    }
    if prevalence is not None:
        ratios = figures["positive_likelihood_ratio"], figures["negative_likelihood_ratio"]
        figures["ppv_at_prevalence"] = ppv_of(ratios[0], prevalence)
        figures["npv_at_prevalence"] = npv_of(ratios[1], prevalence)
    return figures


def ppv_of(ratio: FloatArray, prevalence: float) -> FloatArray:
    """Return the positive predictive value by a positive likelihood ratio; infinite ones give 1."""
    odds = np.asarray(ratio) * prevalence / (1 - prevalence)
    with np.errstate(divide="ignore"):
        value: FloatArray = 1 / (1 + 1 / odds)
    return value


def npv_of(ratio: FloatArray, prevalence: float) -> FloatArray:
    """Return the negative predictive value by a negative likelihood ratio; infinite ones give 0."""
    value: FloatArray = 1 / (1 + np.asarray(ratio) * prevalence / (1 - prevalence))
    return value


def _ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Divide without a warning: 0/0 is NaN, and anything else by 0 infinite."""
    with np.errstate(divide="ignore", invalid="ignore"):
        quotient: FloatArray = np.divide(numerator, denominator)
    return quotient
