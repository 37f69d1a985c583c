"""One answer for each group: against the same written out, group by group."""

from __future__ import annotations

import numpy as np
import pytest

from cnncli.evaluation.by_group import combine_groups

# Group 0 has images 0, 3 and 4; group 1 images 1 and 5; group 2 image 2.
GROUPS = np.array([0, 1, 2, 0, 0, 1])
TARGETS = np.array([1, 0, 2, 1, 1, 0])
PROBABILITIES = np.array(
    [
        [0.5, 0.4, 0.1],
        [0.2, 0.5, 0.3],
        [0.1, 0.1, 0.8],
        [0.6, 0.3, 0.1],
        [0.0, 0.9, 0.1],
        [0.9, 0.1, 0.0],
    ]
)


@pytest.mark.parametrize(
    ("aggregate", "first", "second"),
    [
        ("mean", [1.1 / 3, 1.6 / 3, 0.1], [0.55, 0.3, 0.15]),
        ("max", [0.6 / 1.6, 0.9 / 1.6, 0.1 / 1.6], [0.9 / 1.7, 0.5 / 1.7, 0.3 / 1.7]),
        ("vote", [2 / 3, 1 / 3, 0], [1 / 2, 1 / 2, 0]),
    ],
)
def test_the_probabilities_of_a_group_are_combined(aggregate, first, second):
    answers = combine_groups(TARGETS, PROBABILITIES, GROUPS, aggregate)
    assert answers.targets.tolist() == [1, 0, 2]
    assert answers.left_out == 0
    single = [0, 0, 1] if aggregate == "vote" else [0.1, 0.1, 0.8]
    np.testing.assert_allclose(answers.probabilities, [first, second, single], atol=1e-8)
    np.testing.assert_allclose(answers.probabilities.sum(axis=1), 1)


def test_of_equally_many_votes_the_larger_mean_decides():
    answers = combine_groups(TARGETS, PROBABILITIES, GROUPS, "vote")
    assert answers.predictions.tolist() == [0, 0, 2]  # votes of group 1 1:1, means 0.55 and 0.3
    np.testing.assert_array_equal(answers.probabilities[1], [0.5, 0.5, 0])
    swapped = combine_groups(TARGETS, PROBABILITIES[:, [1, 0, 2]], GROUPS, "vote")
    assert swapped.predictions.tolist() == [1, 1, 2]


def test_a_group_with_several_labels_is_left_out_and_counted():
    targets = np.array([1, 0, 2, 1, 0, 0])  # image 4 of group 0 has another label
    answers = combine_groups(targets, PROBABILITIES, GROUPS, "mean")
    assert answers.targets.tolist() == [0, 2]
    assert answers.left_out == 1
    np.testing.assert_allclose(answers.probabilities, [[0.55, 0.3, 0.15], [0.1, 0.1, 0.8]])


def test_what_a_threshold_gave_votes():
    """Each image of the second class with at least 0.3, though the first is more probable."""
    probabilities = np.array([[0.6, 0.4], [0.65, 0.35], [0.9, 0.1]])
    targets, groups = np.array([1, 1, 1]), np.array([0, 0, 0])
    called = (probabilities[:, 1] >= 0.3).astype(np.int64)
    answers = combine_groups(targets, probabilities, groups, "vote", called)
    assert answers.probabilities[0] == pytest.approx([1 / 3, 2 / 3], abs=1e-6)
    alone = combine_groups(targets, probabilities, groups, "vote")
    assert alone.probabilities[0] == pytest.approx([1, 0], abs=1e-6)
