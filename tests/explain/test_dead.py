"""Dead channels are those that were killed by hand, and weights before them get no gradient."""

import numpy as np
import pytest
import torch
from torch import nn

from cnncli.explain.dead import count_dead, share_of_all


def network(activation):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 8, 3, padding=1),
        activation(),
        nn.Conv2d(8, 6, 3, stride=2),
        activation(),
        nn.Flatten(),
        nn.Linear(6 * 16, 20),
        activation(),
        nn.Linear(20, 3),
    ).eval()


def images(count=20):
    return torch.randn(count, 2, 9, 9, generator=torch.Generator().manual_seed(1))


def kill(layer, channels):
    with torch.no_grad():
        layer.bias[list(channels)] = -1e3


@pytest.mark.parametrize("activation", [nn.ReLU, nn.ReLU6, nn.Hardswish, nn.Hardsigmoid])
def test_those_that_were_killed_are_counted(activation):
    net = network(activation)
    before = count_dead(net, images())
    assert [count.layer for count in before] == ["0", "2", "5"]
    assert not any(count.dead.any() for count in before[:2])
    kill(net[0], (0, 3))
    kill(net[2], (1, 4, 5))
    found = count_dead(net, images())
    assert np.flatnonzero(found[0].dead).tolist() == [0, 3]
    assert np.flatnonzero(found[1].dead).tolist() == [1, 4, 5]
    assert found[0].share == 2 / 8
    assert share_of_all(found) == (5 + int(found[2].dead.sum()), 8 + 6 + 20)


def test_the_upper_flat_side_is_dead_too():
    net = network(nn.ReLU6)
    with torch.no_grad():
        net[0].bias[2] = 1e3
    first = count_dead(net, images())[0]
    assert np.flatnonzero(first.dead).tolist() == [2]
    assert not first.negative.any()
    net = network(nn.Hardswish)
    with torch.no_grad():
        net[0].bias[2] = 1e3
    assert not count_dead(net, images())[0].dead.any()  # its slope is 1 there


def test_dead_means_that_no_weight_before_it_gets_a_gradient():
    net, batch = network(nn.ReLU), images()
    kill(net[0], (0, 3))
    kill(net[2], (1,))
    found = count_dead(net, batch)
    nn.functional.cross_entropy(net(batch), torch.arange(len(batch)) % 3).backward()
    for layer, count in ((net[0], found[0]), (net[2], found[1]), (net[5], found[2])):
        no_gradient = layer.weight.grad.flatten(1).abs().sum(1) == 0
        assert no_gradient[count.dead].all()
        np.testing.assert_array_equal(count.dead, no_gradient.numpy())


@pytest.mark.parametrize("activation", [nn.LeakyReLU, nn.GELU, nn.SiLU, nn.ELU, nn.Tanh])
def test_without_a_flat_side_nothing_is_dead(activation):
    net = network(activation)
    kill(net[0], (0, 3))
    found = count_dead(net, images())
    assert all(count.dead is None for count in found)
    assert np.flatnonzero(found[0].negative).tolist() == [0, 3]
    assert found[0].share == 2 / 8
    assert share_of_all(found) == (0, 0)


def test_one_image_of_many_keeps_a_channel_alive():
    net = network(nn.ReLU)
    kill(net[0], (5,))
    batch = torch.zeros(20, 2, 9, 9)
    with torch.no_grad():
        net[0].weight[5] = 0
        net[0].weight[5, 0, 1, 1] = 2e3
    batch[17, 0, 4, 4] = 1.0  # in another batch than the first
    assert not count_dead(net, batch)[0].dead[5]
    assert count_dead(net, batch[:17])[0].dead[5]
