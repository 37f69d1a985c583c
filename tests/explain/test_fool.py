"""FGSM against linear classifiers, of which the smallest step is known, and against torch."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from cnncli.explain.fool import (
    LARGEST,
    LEVELS,
    answers_as_wanted,
    find_direction,
    find_step,
    find_whole_step,
)

SHAPE = (3, 4, 2)


def linear(seed=0, margin=0.6):
    """Return logits of two classes, the first of which has ``margin`` more at mid-grey, and w."""
    weights = torch.from_numpy(np.random.default_rng(seed).normal(size=SHAPE)).float()
    bias = margin - 0.5 * float(weights.sum())

    def logits(images):
        first = (images * weights).sum((1, 2, 3)) + bias
        return torch.stack([first, torch.zeros_like(first)], 1)

    return logits, weights


@pytest.mark.parametrize("margin", [0.0005, 0.02, 0.6, 2.0])
def test_the_step_is_the_margin_divided_by_the_sum_of_the_weights(margin):
    logits, weights = linear(margin=margin)
    image = torch.full(SHAPE, 0.5)
    direction = find_direction(logits, image, 0, None)
    np.testing.assert_array_equal(direction, -weights.sign().numpy())
    found = find_step(logits, image, direction, 0, None)
    smallest = margin / float(weights.abs().sum()) * LEVELS
    assert found.changed
    assert found.missed < smallest + 1e-3
    assert found.epsilon == pytest.approx(smallest, abs=1 / 200)
    for step, answer in ((found.missed, 0), (found.epsilon, 1)):
        stepped = image - step / LEVELS * weights.sign()
        assert int(logits(stepped[None]).argmax()) == answer
    stepped = image - found.epsilon / LEVELS * weights.sign()
    np.testing.assert_allclose(found.image, stepped, atol=1e-6)


def test_the_direction_is_that_of_the_cross_entropy():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(24, 16), nn.Tanh(), nn.Linear(16, 5))
    image = torch.rand(SHAPE)
    for target in (None, 3):
        direction = find_direction(network, image, 1, target)
        x = image[None].clone().requires_grad_()
        loss = functional.cross_entropy(network(x), torch.tensor([1 if target is None else 3]))
        (gradient,) = torch.autograd.grad(loss, x)
        sign = gradient[0].sign().numpy() * (1 if target is None else -1)
        np.testing.assert_array_equal(direction, sign)


def test_a_classifier_that_is_certain_still_has_a_direction():
    logits, weights = linear()
    image = torch.full(SHAPE, 0.5)
    x = image[None].clone().requires_grad_()
    loss = functional.cross_entropy(1000 * logits(x), torch.tensor([0]))
    assert not torch.autograd.grad(loss, x)[0].any()  # rounded to 0
    direction = find_direction(lambda images: 1000 * logits(images), image, 0, None)
    np.testing.assert_array_equal(direction, -weights.sign().numpy())


def test_the_image_stays_between_black_and_white():
    logits, _ = linear(margin=0.6)
    image = torch.rand(SHAPE, generator=torch.Generator().manual_seed(1)).round()
    answer = int(logits(image[None]).argmax())
    direction = find_direction(logits, image, answer, None)
    found = find_step(logits, image, direction, answer, None)
    assert found.image.min() >= 0
    assert found.image.max() <= 1


def test_where_no_step_changes_the_answer_the_largest_is_returned():
    logits, _ = linear(margin=1000.0)
    image = torch.full(SHAPE, 0.5)
    found = find_step(logits, image, find_direction(logits, image, 0, None), 0, None)
    assert not found.changed
    assert found.epsilon == LARGEST


def test_a_target_is_reached_and_not_just_any_other_class():
    # Class 1 is nearer than class 2.
    scores = torch.tensor([0.0, -0.1, -0.3])
    slopes = torch.tensor([0.0, 1.0, 2.0])

    def logits(images):
        return scores + images.mean((1, 2, 3))[:, None] * slopes

    image = torch.zeros(SHAPE)
    anyone = find_step(logits, image, find_direction(logits, image, 0, None), 0, None)
    assert anyone.probabilities.argmax() == 1
    assert anyone.epsilon == pytest.approx(0.1 * LEVELS, abs=0.01)
    aimed = find_step(logits, image, find_direction(logits, image, 0, 2), 0, 2)
    assert aimed.probabilities.argmax() == 2
    assert aimed.epsilon == pytest.approx(0.2 * LEVELS, abs=0.01)  # 2 · 0.2 - 0.3 = 1 · 0.2 - 0.1


def test_less_than_half_a_level_is_lost_when_an_image_is_saved():
    smallest = 0.3  # levels
    _, weights = linear()
    logits, _ = linear(margin=smallest / LEVELS * float(weights.abs().sum()))
    image = torch.full(SHAPE, 128 / LEVELS)
    shift = 0.5 - 128 / LEVELS  # the margin is meant at 0.5
    found_at = lambda images: logits(images + shift)  # noqa: E731
    direction = find_direction(found_at, image, 0, None)
    found = find_step(found_at, image, direction, 0, None)
    assert found.epsilon == pytest.approx(smallest, abs=0.01)
    assert not answers_as_wanted(found_at, found.image * LEVELS, 0, None)
    assert find_whole_step(found_at, image, direction, 0, None) == 1
