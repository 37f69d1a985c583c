"""The short text by which the answers of a network are known."""

from dataclasses import replace

from cnncli.run.decision import Decision
from cnncli.run.fingerprint import digest_named, fingerprint

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


def test_a_file_of_weights_counts_by_what_is_in_it(tmp_path):
    file, other = tmp_path / "a.pth", tmp_path / "b.pth"
    file.write_bytes(b"one")
    other.write_bytes(b"one")
    before = digest_named(str(file))
    assert before == digest_named(str(other))
    file.write_bytes(b"two")
    assert before != digest_named(str(file))
    assert digest_named("default") == "default"
