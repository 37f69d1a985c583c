"""The short text by which the answers of a network are known."""

from dataclasses import replace

from cnncli.run.decision import Decision
from cnncli.run.fingerprint import fingerprint

NAMES = ("a", "b")
DECISION = Decision(NAMES)


def test_it_differs_where_answers_may():
    plain = fingerprint(["x"], NAMES, DECISION, None, "fp32")
    assert len(plain) == 12
    assert set(plain) <= set("0123456789abcdef")
    assert plain == fingerprint(("x",), list(NAMES), DECISION, None, "fp32")
    assert plain == fingerprint(["x"], NAMES, replace(DECISION, val={"images": 9}), None, "fp32")
    others = {
        fingerprint(["y"], NAMES, DECISION, None, "fp32"),
        fingerprint(["x", "x"], NAMES, DECISION, None, "fp32"),
        fingerprint(["x"], ("b", "a"), DECISION, None, "fp32"),
        fingerprint(["x"], NAMES, replace(DECISION, temperature=1.5), None, "fp32"),
        fingerprint(["x"], NAMES, replace(DECISION, abstain_below=0.5), None, "fp32"),
        fingerprint(["x"], NAMES, DECISION, "flips", "fp32"),
        fingerprint(["x"], NAMES, DECISION, None, "bf16"),
    }
    assert len(others - {plain}) == 7
