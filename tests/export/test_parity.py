"""What counts as the same answer."""

import math

import numpy as np
import pytest

from cnncli.errors import CnncliError
from cnncli.export.parity import OnnxModel, Parity, compare_answers, compare_networks


def answers(*first):
    """Return probabilities of two classes by those of the first."""
    return np.array([[value, 1 - value] for value in first])


def test_a_small_difference_is_kept():
    parity = compare_answers(answers(0.7, 0.2), answers(0.70009, 0.2))
    assert parity.images == 2
    assert parity.apart == pytest.approx(9e-5)
    assert parity.is_kept


def test_a_large_one_is_not():
    assert not compare_answers(answers(0.7), answers(0.70011)).is_kept


def test_another_label_counts_where_the_answer_is_clear():
    assert compare_answers(answers(0.50005), answers(0.49999)).changed == 0
    assert compare_answers(answers(0.5002), answers(0.4999)).changed == 1


def test_no_number_is_never_kept():
    assert not compare_answers(answers(0.7), answers(np.nan)).is_kept
    parity = compare_networks(
        lambda images: answers(*[0.7] * len(images)),
        lambda images: answers(*[np.nan if len(images) == 2 else 0.7] * len(images)),
        np.zeros((8, 1, 1, 1)),
        seconds=math.inf,
    )
    assert not parity.is_kept


def test_one_class_is_always_the_label():
    assert compare_answers(np.ones((3, 1)), np.ones((3, 1))) == Parity(3, 0.0, 0)


def test_batches_of_1_2_and_7_are_always_tried():
    sizes = []

    def network(images):
        sizes.append(len(images))
        return np.ones((len(images), 1))

    parity = compare_networks(network, network, np.zeros((40, 1, 1, 1)), seconds=-1)
    assert sizes[::2] == [1, 2, 7]
    assert parity.images == 10
    compare_networks(network, network, np.zeros((4, 1, 1, 1)), seconds=math.inf)
    assert sizes[6::2] == [1, 2, 1]


def test_what_is_no_network_is_said():
    with pytest.raises(CnncliError, match="ONNX Runtime cannot run the exported network"):
        OnnxModel(b"nothing")
