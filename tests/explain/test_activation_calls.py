"""Calls of activation functions are found, whoever calls them and however often."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from cnncli.explain.activation_calls import record_activations
from cnncli.models.build import build_network
from cnncli.models.swap import ACTIVATIONS


def calls_of(network, images):
    with torch.no_grad(), record_activations(network.eval()) as calls:
        network(images)
    return calls


class Shared(nn.Module):
    """One activation, as a module three times, once as a function, and once in place on a sum."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 1)
        self.norm = nn.BatchNorm2d(4)
        self.twice = nn.Conv2d(4, 4, 1)
        self.fc = nn.Linear(4, 5)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        x = self.relu(self.norm(self.conv(x)))
        y = self.twice(self.relu(self.twice(x)))
        y += x
        y = functional.relu(y)
        return torch.tanh(self.fc(y.mean((2, 3))))


def test_a_shared_activation_counts_per_call_under_the_layer_before_it():
    torch.manual_seed(0)
    network, images = Shared(), torch.randn(3, 2, 6, 6)
    calls = calls_of(network, images)
    assert [(call.layer, call.function, call.call) for call in calls] == [
        ("norm", "relu", 1),
        ("twice", "relu", 1),
        ("", "relu", 1),  # of a sum, which no layer gave
        ("fc", "tanh", 1),
    ]
    assert calls[0].behind == ("norm", "conv")
    assert calls[2].behind == ()
    with torch.no_grad():
        before = network.norm(network.conv(images))
    assert torch.equal(calls[0].input, before)  # though relu worked in place
    assert torch.equal(calls[0].output, before.relu())
    assert torch.equal(calls[1].input, network.twice(before.relu()))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_is_seen_with_its_slope(name):
    x = torch.linspace(-3, 3, 61)[None, :, None, None]
    (call,) = calls_of(nn.Sequential(ACTIVATIONS[name]()), x)
    assert call.function == name
    given = x.clone().requires_grad_()
    (expected,) = torch.autograd.grad(ACTIVATIONS[name]()(given).sum(), given)
    torch.testing.assert_close(call.slope(), expected)
    flat = (expected == 0).sum() > 10
    assert call.is_flat_somewhere == flat == (name == "relu")


@pytest.mark.parametrize(
    ("module", "function", "ends"),
    [
        (nn.ReLU6(), "hardtanh", (0, 6)),
        (nn.Hardswish(), "hardswish", (-3, None)),
        (nn.Hardsigmoid(), "hardsigmoid", (-3, 3)),
        (nn.Hardtanh(-2, 1), "hardtanh", (-2, 1)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_functions_that_are_flat_beyond_their_ends(module, function, ends):
    x = torch.tensor([-9.5, -4.5, -1.25, 0.5, 4.5, 9.5])[None, :, None, None]
    (call,) = calls_of(nn.Sequential(module), x)
    assert (call.function, call.is_flat_somewhere) == (function, True)
    low, high = ends
    flat = (x < low) | (torch.zeros_like(x, dtype=bool) if high is None else x > high)
    assert torch.equal(call.slope() == 0, flat)


def test_channels_behind_a_linear_layer_are_the_last_axis():
    assert [call.channel_axis for call in calls_of(Shared(), torch.randn(1, 2, 4, 4))] == [
        *(1, 1, 1),
        1,
    ]
    linear = nn.Sequential(nn.Linear(5, 7), nn.GELU())
    for shape, axis in (((2, 5), 1), ((2, 9, 5), 2), ((2, 3, 3, 5), 3)):
        (call,) = calls_of(linear, torch.randn(shape))
        assert call.channel_axis == axis
        assert call.input.shape[axis] == 7


@pytest.mark.parametrize(
    ("name", "count"),
    [("resnet18", 17), ("densenet121", 121), ("vgg11", 10), ("convnext_tiny", 18)],
)
def test_networks_whose_forward_calls_functions(name, count):
    """ResNet-18 has one in its stem and two in each of 8 blocks, VGG-11 one behind each of 8+2."""
    network = build_network(name, num_classes=4, in_channels=3, image_size=(64, 64))
    calls = calls_of(network, torch.zeros(1, 3, 64, 64))
    assert len(calls) == count
    sums = [call.layer for call in calls if not call.behind]
    expected = [f"layer{a}.{b}" for a in range(1, 5) for b in (0, 1)] if name == "resnet18" else []
    assert sums == expected


def test_nothing_stays_on_the_network():
    network = Shared()
    calls_of(network, torch.zeros(1, 2, 4, 4))
    modules = network.modules()
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in modules)
