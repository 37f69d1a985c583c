"""Layers by name, and what goes into and comes out of them."""

import pytest
import torch
from torch import nn

from cnncli.errors import CnncliError
from cnncli.explain.layers import find_convolution, find_layer, list_convolutions, record_layers


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(inplace=True), nn.Conv2d(2, 3, 1)).eval()


def test_layers_by_name():
    net = nn.Sequential()
    net.stem = nn.Conv2d(1, 2, 3)
    net.head = nn.Linear(2, 2)
    assert find_layer(net, "stem") is net.stem
    assert find_convolution(net, None) == ("stem", net.stem)
    for name in ("stm", ""):
        with pytest.raises(CnncliError, match=f"--layer {name}: the network has no such layer"):
            find_layer(net, name)
    with pytest.raises(CnncliError, match=r"did you mean stem\?"):
        find_layer(net, "stm")
    assert [name for name, _ in list_convolutions(network())] == ["0", "2"]


@pytest.mark.parametrize("copy", [False, True])
def test_what_a_layer_takes_and_gives_though_another_works_in_place(copy):
    net, x = network(), torch.randn(2, 1, 5, 5)
    with torch.no_grad():
        before = net[0](x)
        with record_layers(net, ["0", "1"], copy=copy) as seen:
            net(x)
    first, second = seen
    assert (first.name, second.name) == ("0", "1")
    assert torch.equal(first.input, x)
    assert torch.equal(first.output, before if copy else before.relu())
    assert torch.equal(second.input, before)
    assert torch.equal(second.output, before.relu())


def test_each_call_is_recorded_and_outputs_keep_their_gradient():
    net = nn.Sequential(nn.Linear(3, 3), nn.Tanh())
    twice = nn.Sequential(net, net)
    with record_layers(twice, ["0.0"]) as seen:
        out = twice(torch.randn(2, 3))
    assert [each.name for each in seen] == ["0.0", "0.0"]
    (slope,) = torch.autograd.grad(out.sum(), seen[0].output)
    assert slope.abs().sum() > 0
    assert not net[0]._forward_hooks
