"""The size of gradients, against autograd and formulas written out; shortcuts are found and cut."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from cnncli.explain.gradients import measure_gradients
from cnncli.models.build import build_network


def rms(values):
    return values.square().mean().sqrt().item()


def test_a_small_chain_written_out():
    """Of a linear layer the gradient is the outer product of its input and the error."""
    torch.manual_seed(0)
    chain = nn.Sequential(nn.Linear(3, 4), nn.Sigmoid(), nn.Linear(4, 2))
    x, targets = torch.randn(5, 3), torch.tensor([0, 1, 1, 0, 1])
    loss, rows, shortcuts = measure_gradients(chain, x, targets)
    with torch.no_grad():
        hidden = torch.sigmoid(chain[0](x))
        probabilities = chain[2](hidden).softmax(1)
        error = (probabilities - functional.one_hot(targets, 2)) / 5
        last = error.T @ hidden
        first = ((error @ chain[2].weight) * hidden * (1 - hidden)).T @ x
        expected = -probabilities[range(5), targets].log().mean().item()
    assert loss == pytest.approx(expected, rel=1e-5)
    assert [row.layer for row in rows] == ["0", "2"]
    assert [row.gradient for row in rows] == pytest.approx([rms(first), rms(last)], rel=1e-4)
    assert [row.weight for row in rows] == pytest.approx([rms(chain[n].weight) for n in (0, 2)])
    assert shortcuts == 0
    assert all(parameter.grad is None for parameter in chain.parameters())


class Block(nn.Module):
    """Two convolutions and a shortcut, which may have a convolution of its own."""

    def __init__(self, channels, out, *, in_place, first):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, padding=1)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1)
        self.way = nn.Identity() if channels == out else nn.Conv2d(channels, out, 1)
        self.in_place, self.first, self.cut = in_place, first, False

    def forward(self, x):
        branch = self.conv2(functional.relu(self.conv1(x)))
        if self.cut:
            return functional.relu(branch)
        if self.in_place:
            branch += self.way(x)
            return functional.relu(branch)
        return functional.relu(self.way(x) + branch if self.first else branch + self.way(x))


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("first", [False, True])
def test_cutting_leaves_the_branch_alone(in_place, first):
    torch.manual_seed(0)
    blocks = [Block(channels, 6, in_place=in_place, first=first) for channels in (3, 6)]
    net = nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4))
    x, targets = torch.randn(3, 3, 8, 8), torch.tensor([0, 1, 2])
    _, whole, count = measure_gradients(net, x, targets)
    loss, cut, _ = measure_gradients(net, x, targets, cut=True)
    assert count == 2
    for block in blocks:
        block.cut = True
    expected = functional.cross_entropy(net(x), targets)
    expected.backward()
    modules = dict(net.named_modules())
    assert loss == pytest.approx(expected.item())
    for row in cut:
        gradient = modules[row.layer].weight.grad
        assert row.gradient == (None if gradient is None else pytest.approx(rms(gradient)))
    assert {row.layer for row in cut if row.gradient is None} == {"0.way"}
    assert [row.gradient for row in whole] != [row.gradient for row in cut]


@pytest.mark.parametrize(
    ("name", "shortcuts"),
    [
        ("resnet18", 8),
        ("resnet20", 9),
        ("resnet_small", 4),
        ("mobilenet_v2", 10),
        ("convnext_tiny", 18),
        ("swin_t", 24),
        ("densenet121", 0),
        ("lenet5", 0),
    ],
)
def test_the_shortcuts_of_networks_are_counted(name, shortcuts):
    """One per block; two per block of a transformer, around attention and around the layers."""
    torch.manual_seed(0)
    network = build_network(name, num_classes=4, in_channels=3, image_size=(32, 32)).eval()
    images = torch.randn(2, 3, 32, 32)
    _, rows, count = measure_gradients(network, images, torch.tensor([0, 1]))
    assert count == shortcuts
    assert all(row.gradient is not None for row in rows)


def test_added_positions_are_no_shortcut():
    """ViT adds the positions' parameters to the tokens: only its 2·12 blocks have shortcuts."""
    torch.manual_seed(0)
    network = build_network("vit_b_32", num_classes=4, in_channels=3, image_size=(32, 32)).eval()
    _, _, count = measure_gradients(network, torch.randn(1, 3, 32, 32), torch.tensor([0]))
    assert count == 24


def test_frozen_weights_are_measured_and_stay_frozen():
    net = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    net[0].requires_grad_(False)
    _, rows, _ = measure_gradients(net, torch.randn(5, 3), torch.zeros(5, dtype=torch.long))
    assert rows[0].gradient > 0
    assert [p.requires_grad for p in net.parameters()] == [False, False, True, True]
