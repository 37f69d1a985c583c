"""What a report says of a decision, from what the images are and the network says."""

import numpy as np
import pytest

from cnncli.reporting import SilentReporter
from cnncli.run.decision import Decision
from cnncli.run.report_decision import report_decision

TARGETS = np.tile([0, 0, 1, 2], 30)


def report(decision, probabilities, groups=None):
    return report_decision(
        decision, TARGETS, probabilities, prevalence=None, groups=groups, reporter=SilentReporter()
    )


@pytest.fixture
def probabilities():
    logits = np.random.default_rng(0).normal(0, 1, (len(TARGETS), 3))
    logits[np.arange(len(TARGETS)), TARGETS] += 1
    powers = np.exp(logits)
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def test_only_what_a_decision_does_is_reported(probabilities):
    names = ("a", "b", "c")
    for keys, found in (
        ({"temperature": 2.0}, "calibration"),
        ({"positive": "b", "threshold": 0.4}, "operating_point"),
        ({"abstain_below": 0.6}, "abstain"),
    ):
        assert set(report(Decision(names, **keys), probabilities)) == {"decision", found}


def test_whole_groups_are_drawn_where_there_are_any(probabilities):
    decision = Decision(("a", "b", "c"), positive="a", threshold=0.4, abstain_below=0.5)
    doubled = np.repeat(probabilities[::2], 2, axis=0)
    alone = report(decision, doubled)
    grouped = report(decision, doubled, np.arange(len(TARGETS)) // 2)
    for name in ("sensitivity", "specificity", "ppv", "npv", "positive_likelihood_ratio"):
        one, other = alone["operating_point"][name], grouped["operating_point"][name]
        assert one["value"] == other["value"]
        assert other["high"] - other["low"] > one["high"] - one["low"]
    assert grouped["abstain"]["coverage"] == alone["abstain"]["coverage"]


def test_the_label_is_the_positive_class_or_the_likeliest_other(probabilities):
    decision = Decision(("a", "b", "c"), positive="c", threshold=0.25)
    labels = decision.label(probabilities)
    is_called = probabilities[:, 2] >= 0.25
    assert (labels == 2).tolist() == is_called.tolist()
    assert (labels == probabilities.argmax(axis=1))[~is_called].all()
    said = probabilities[np.arange(len(labels)), labels]
    withheld = Decision(("a", "b", "c"), abstain_below=0.5).withhold(probabilities, labels)
    assert withheld.tolist() == (said < 0.5).tolist()
