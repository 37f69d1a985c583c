"""Losses against their formulas, written out class by class, and against torch and torchvision."""

from typing import get_args

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.ops import sigmoid_focal_loss

from cnncli.choices import LossName
from cnncli.training.losses import FORMULAS, ClassLoss, build_loss

NAMES = get_args(LossName)
K = 5
WEIGHTS = [0.5, 1.0, 2.0, 0.25, 1.25]


def batch(count=7, classes=K, seed=0, spread=2.0):
    rng = np.random.default_rng(seed)
    return rng.normal(0, spread, (count, classes)), rng.integers(0, classes, count)


def loss_of_one(name, p, y, gamma=2.0):
    """Return the loss of probabilities p, one image of class y."""
    if name == "cross_entropy":
        return -np.log(p[y])
    if name == "focal":
        return -((1 - p[y]) ** gamma) * np.log(p[y])
    if name == "bce":
        return -np.log(p[y]) - sum(np.log(1 - p[k]) for k in range(len(p)) if k != y)
    above = [p[k + 1 :].sum() for k in range(len(p) - 1)]
    return -sum(np.log(q) if y > k else np.log(1 - q) for k, q in enumerate(above))


def expected_loss(name, logits, shares, weights, smoothing=0.0, gamma=2.0):
    """Return the mean over images of the loss under each class, by its share and weight."""
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    classes = range(logits.shape[1])
    shares = (1 - smoothing) * shares + smoothing / logits.shape[1]
    return np.mean(
        [
            sum(s[k] * weights[k] * loss_of_one(name, row, k, gamma) for k in classes)
            for row, s in zip(p, shares, strict=True)
        ]
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_formula_for_whole_and_for_shared_targets(name, weights, smoothing):
    logits, targets = batch()
    loss = build_loss(name, K, label_smoothing=smoothing, class_weights=weights).double()
    z = torch.tensor(logits)
    told = {"smoothing": smoothing, "weights": weights or [1.0] * K}
    whole = expected_loss(name, logits, np.eye(K)[targets], **told)
    assert loss(z, torch.tensor(targets)).item() == pytest.approx(whole, rel=1e-6)
    shares = np.random.default_rng(1).dirichlet(np.ones(K), len(targets))
    mixed = expected_loss(name, logits, shares, **told)
    assert loss(z, torch.tensor(shares)).item() == pytest.approx(mixed, rel=1e-6)
    assert mixed != pytest.approx(whole, rel=1e-3)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_gradients_are_those_of_the_loss(name, smoothing):
    logits, targets = batch(4, 3, spread=1.0)
    loss = build_loss(name, 3, label_smoothing=smoothing, class_weights=[0.5, 2.0, 1.0]).double()
    z = torch.tensor(logits, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z: loss(z, torch.tensor(targets)), z)
    shares = torch.tensor([[0.2, 0.3, 0.5]] * 4, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda z: loss(z, shares), z)


def test_cross_entropy_is_torchs():
    logits, targets = batch()
    z, y = torch.tensor(logits, dtype=torch.float32), torch.tensor(targets)
    assert type(build_loss("cross_entropy", K, label_smoothing=0.1)) is nn.CrossEntropyLoss
    ours = build_loss("cross_entropy", K, label_smoothing=0.1, class_weights=WEIGHTS)
    theirs = nn.CrossEntropyLoss(torch.tensor(WEIGHTS), label_smoothing=0.1, reduction="sum")
    assert ours(z, y).item() == pytest.approx(theirs(z, y).item() / len(y), rel=1e-5)
    # torch divides by its batch's weights, for whole targets only; ours never does.
    shares = nn.functional.one_hot(y, K).float()
    assert ours(z, shares).item() == pytest.approx(ours(z, y).item(), rel=1e-6)
    with pytest.raises(ValueError, match="2 weights for 3 classes"):
        build_loss("focal", 3, class_weights=[1.0, 2.0])


def test_the_mean_over_uneven_batches_is_exact():
    """Weighted by their counts, as over processes; torch's weighted mean would not be."""
    logits, targets = batch(11)
    z, y = torch.tensor(logits), torch.tensor(targets)
    for name in NAMES:
        loss = build_loss(name, K, class_weights=WEIGHTS).double()
        parts = 4 * loss(z[:4], y[:4]) + 7 * loss(z[4:], y[4:])
        assert parts.item() / 11 == pytest.approx(loss(z, y).item(), rel=1e-12)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_focal_is_torchvisions_for_two_classes(gamma):
    """The softmax of (0, z) is the sigmoid of z."""
    z = torch.linspace(-6, 6, 13, dtype=torch.float64)
    y = torch.arange(13) % 2
    theirs = sigmoid_focal_loss(z, y.double(), alpha=-1, gamma=gamma, reduction="mean")
    loss = ClassLoss("focal", 2, gamma=gamma).double()
    ours = loss(torch.stack([torch.zeros_like(z), z], 1), y)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-9)
    if gamma == 0:
        cross_entropy = nn.functional.cross_entropy(torch.stack([torch.zeros_like(z), z], 1), y)
        assert ours.item() == pytest.approx(cross_entropy.item(), rel=1e-9)


def test_bce_is_torchs_of_the_probabilities():
    logits, targets = batch()
    z, y = torch.tensor(logits), torch.tensor(targets)
    shares = nn.functional.one_hot(y, K).double()
    theirs = nn.functional.binary_cross_entropy(z.softmax(1), shares, reduction="sum") / len(y)
    assert build_loss("bce", K).double()(z, y).item() == pytest.approx(theirs.item(), rel=1e-9)


def test_ordinal_costs_more_the_farther_the_miss():
    for y in range(K):
        losses = {}
        for guess in range(K):
            logits = torch.zeros(1, K, dtype=torch.float64)
            logits[0, guess] = 4.0
            losses[guess] = build_loss("ordinal", K).double()(logits, torch.tensor([y])).item()
        for guess in range(K):
            if guess < y:
                assert losses[guess] > losses[guess + 1]
            elif guess > y:
                assert losses[guess] > losses[guess - 1]


@pytest.mark.parametrize("name", ["cross_entropy", "bce", "ordinal"])
def test_lowest_where_the_softmax_is_the_truth(name):
    """A proper score: with classes as likely as ``truth``, training ends at these probabilities."""
    truth = torch.tensor([[0.5, 0.05, 0.25, 0.15, 0.05]], dtype=torch.float64)
    logits = torch.zeros(1, K, dtype=torch.float64, requires_grad=True)
    loss = build_loss(name, K).double()
    optimizer = torch.optim.LBFGS([logits], max_iter=200, tolerance_grad=1e-10)

    def closure():
        optimizer.zero_grad()
        value = loss(logits, truth)
        value.backward()
        return value

    optimizer.step(closure)
    torch.testing.assert_close(logits.detach().softmax(1), truth, atol=1e-4, rtol=0)


def test_the_softmax_of_sigmoids_logits_would_be_overconfident():
    """What the notes on ``bce`` say: ten classes, the true one with 0.9, the others alike."""
    truth = np.array([0.9] + [0.1 / 9] * 9)
    odds = truth / (1 - truth)  # the exponential of the logit that K sigmoids learn
    assert odds[0] / odds.sum() == pytest.approx(0.989, abs=5e-4)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_stays_finite_where_the_network_is_sure(name, gamma):
    """Sure and right, and sure and wrong by 100: float32 would round 1 - p to 0."""
    logits = torch.tensor([[100.0, 0, 0], [0, 0, 100], [0, 0, 0]], requires_grad=True)
    loss = ClassLoss(name, 3, gamma=gamma)(logits, torch.tensor([0, 0, 1]))
    loss.backward()
    p = np.full(3, 1 / 3)
    # One miss of 100: once for the class missed, and once for what was said instead, or for each
    # of the two thresholds between; with focal once, 1 - p being 1.
    misses = {"cross_entropy": 100, "focal": 100, "bce": 200, "ordinal": 200}[name]
    rest = loss_of_one(name, p, 1, gamma)
    assert loss.item() == pytest.approx((misses + rest) / 3, abs=0.3)
    assert logits.grad.isfinite().all()
    assert logits.grad[1].abs().max() > 0.1


def test_every_name_has_a_formula():
    assert list(FORMULAS) == list(NAMES)
