"""When an 8-bit network is kept."""

import numpy as np
import pytest

from cnncli.export.quantise import judge_labels


def judge(count, changed, better=0):
    """Return a judgement of labels that were right, ``changed`` of them no more."""
    targets = np.zeros(count, int)
    before, after = np.zeros(count, int), np.zeros(count, int)
    after[:changed] = 1
    before[changed : changed + better] = 1
    return judge_labels(targets, before, after)


@pytest.mark.parametrize(
    ("count", "changed", "is_kept"),
    [(200, 0, True), (200, 1, True), (200, 2, False), (99, 1, False), (1000, 5, True)],
)
def test_half_a_point_of_accuracy(count, changed, is_kept):
    assert judge(count, changed).is_kept is is_kept


def test_one_percent_of_the_labels_even_if_none_is_worse():
    assert judge(300, 1, better=2).is_kept
    assert not judge(300, 1, better=3).is_kept


def test_what_is_said():
    assert judge(200, 2).describe() == (
        "2 of 200 labels changed, accuracy 1.0000 in float32 and 0.9900 in int8"
    )
