"""L1, L2 and elastic net against autograd and against scikit-learn's solution."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import ElasticNet
from torch import nn

from cnncli.training.penalties import Penalty, elastic_net, penalised_parameters


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 3, 2), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 4))


def backward(net):
    x = torch.randn(5, 2, 3, 3, generator=torch.Generator().manual_seed(1))
    loss = net(x).square().mean()
    loss.backward()
    return loss


def test_norms_and_biases_are_left_out():
    net = network()
    got = penalised_parameters(net)
    assert len(got) == 2
    assert got[0] is net[0].weight
    assert got[1] is net[3].weight


@pytest.mark.parametrize("l1", [0.0, 0.3])
@pytest.mark.parametrize("l2", [0.0, 0.2])
def test_the_gradient_is_autograds_of_the_formula(l1, l2):
    net, reference = network(), network()
    for each in (net, reference):
        each[3].weight.data[0, :3] = 0.0  # where |w| has no slope
        backward(each)
    weights = [reference[0].weight, reference[3].weight]
    formula = sum(l1 * w.abs().sum() + l2 / 2 * (w * w).sum() for w in weights)
    if l1 or l2:
        formula.backward()
    penalty = Penalty(l1, l2)
    assert bool(penalty) == bool(l1 or l2)
    penalty.add_gradient(penalised_parameters(net))
    for (name, p), q in zip(net.named_parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, msg=name)
    assert penalty.value(penalised_parameters(net)).item() == pytest.approx(
        formula.item() if l1 or l2 else 0
    )


def test_what_is_frozen_is_not_penalised():
    net = network()
    net[0].requires_grad_(False)
    backward(net)
    before = net[3].weight.grad.clone()
    penalty = Penalty(l1=0.1, l2=0.0)
    penalty.add_gradient(penalised_parameters(net))
    assert net[0].weight.grad is None
    torch.testing.assert_close(net[3].weight.grad, before + 0.1 * net[3].weight.sign())
    expected = 0.1 * net[3].weight.abs().sum().item()
    assert penalty.value(penalised_parameters(net)).item() == pytest.approx(expected)
    net.requires_grad_(False)
    assert penalty.value(penalised_parameters(net)).item() == 0


@pytest.mark.parametrize("ratio", [0.0, 0.3, 1.0])
def test_elastic_net_is_scikit_learns(ratio):
    """Least squares with it ends where scikit-learn's solver ends, zeros included."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 6))
    y = x @ np.array([2.0, -1.0, 0, 0, 0.5, 0]) + 0.1 * rng.normal(size=60)
    strength = 0.3
    solver = ElasticNet(alpha=strength, l1_ratio=ratio, fit_intercept=False, tol=1e-10)
    if ratio:
        expected = solver.fit(x, y).coef_
    else:  # ridge has a closed form, which scikit-learn's solver warns to prefer
        expected = np.linalg.solve(x.T @ x / 60 + strength * np.eye(6), x.T @ y / 60)
    w = nn.Parameter(torch.zeros(1, 6, dtype=torch.float64))
    data, truth = torch.tensor(x), torch.tensor(y)
    penalty = elastic_net(strength, ratio)
    for step in range(4000):
        w.grad = None
        ((data @ w[0] - truth).square().mean() / 2).backward()
        penalty.add_gradient([w])
        w.data.add_(w.grad, alpha=-0.1 / (1 + step / 50))
    np.testing.assert_allclose(w.detach().numpy()[0], expected, atol=2e-3)
    assert (np.abs(expected) < 1e-12).sum() >= 2 * (ratio > 0)
