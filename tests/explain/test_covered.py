"""Where the cells of a map lie, against the pixels that autograd says they depend on."""

import numpy as np
import pytest
import torch
from torch import nn

from cnncli.explain.covered import find_covered
from cnncli.explain.map_layer import find_map_layer
from cnncli.images.placement import WHOLE, Box, place_map


class Gate(nn.Module):
    """Multiplies a map by a number that all of its places decide."""

    def forward(self, x):
        return x * x.mean(dim=(2, 3), keepdim=True).sigmoid()


class Residual(nn.Module):
    """The first block of a stage of a ResNet: two ways to a map of half the size."""

    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(nn.Conv2d(4, 4, 3, 2, 1), nn.ReLU(), nn.Conv2d(4, 4, 3, 1, 1))
        self.shortcut = nn.Conv2d(4, 4, 1, 2)

    def forward(self, x):
        return self.main(x) + self.shortcut(x)


class Merging(nn.Module):
    """Four neighbours side by side as channels, as in a Swin transformer."""

    def forward(self, x):
        parts = [x[..., row::2, column::2] for row in (0, 1) for column in (0, 1)]
        return torch.cat(parts, dim=1)


NETWORKS = {
    "no padding": [nn.Conv2d(3, 4, 5), nn.MaxPool2d(2), nn.Conv2d(4, 4, 5), nn.MaxPool2d(2)],
    "padded strides": [nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, 2, 1)],
    "residual": [nn.Conv2d(3, 4, 7, 2, 3), Residual()],
    "gate": [nn.Conv2d(3, 4, 3, 2, 1), Gate(), nn.Conv2d(4, 4, 3, 2, 1)],
    "patches": [nn.Conv2d(3, 4, 4, 4), Merging(), Merging()],
    "dilated": [nn.Conv2d(3, 4, 3, dilation=3), nn.AvgPool2d(4)],
}


def seen_middle(network, size, row):
    """Return the middle of the rows of pixels on which a row of the map depends, and if it is cut.

    The weights are made positive, so that no path cancels another.
    """
    image = torch.rand(1, 3, *size, requires_grad=True)
    maps = network(image)
    (gradient,) = torch.autograd.grad(maps[0, :, row].sum(), image)
    rows = np.flatnonzero(gradient[0].abs().sum(dim=(0, 2)).numpy() > 1e-7)
    return (rows[0] + rows[-1] + 1) / 2, rows[0] == 0 or rows[-1] == size[0] - 1


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "gate"])
def test_cells_lie_in_the_middle_of_what_they_see(name):
    torch.manual_seed(0)
    network, size = nn.Sequential(*NETWORKS[name]).eval(), (64, 48)
    last = str(len(network) - 1)
    grid = tuple(network(torch.rand(1, 3, *size)).shape[2:])
    covered = find_covered(network, torch.rand(1, 3, *size), last, grid)
    compared = 0
    for row in range(grid[0]):
        middle, is_cut = seen_middle(network, size, row)
        if not is_cut or name == "patches":
            cell = covered.top + (row + 0.5) * covered.height / grid[0]
            assert cell * size[0] == pytest.approx(middle, abs=1e-6)
            compared += 1
    assert compared >= 2


def test_a_gate_moves_nothing():
    plain = [layer for layer in NETWORKS["gate"] if not isinstance(layer, Gate)]
    image = torch.rand(1, 3, 64, 64)
    gated = find_covered(nn.Sequential(*NETWORKS["gate"]), image, "2", (16, 16))
    assert gated == find_covered(nn.Sequential(*plain), image, "1", (16, 16))
    assert gated == Box((0.5 - 2) / 64, (0.5 - 2) / 64, 1, 1)


def test_a_map_that_cannot_be_traced_is_spread_evenly():
    class OnNumbers(nn.Module):
        def forward(self, x):
            return x[..., ::2] * float(x.sum())

    image = torch.rand(1, 3, 8, 8)
    assert find_covered(nn.Sequential(OnNumbers()), image, "0", (8, 4)) == WHOLE


def test_heat_lies_on_the_spot_that_makes_it():
    layers = [nn.Conv2d(1, 1, 5, bias=False), nn.AvgPool2d(2), nn.Conv2d(1, 1, 5, bias=False)]
    network = nn.Sequential(*layers, nn.AvgPool2d(2), nn.Flatten(), nn.Linear(25, 2)).eval()
    for layer in network:
        if isinstance(layer, nn.Conv2d):  # hands each pixel on, without a border of two
            nn.init.dirac_(layer.weight)
    image = torch.zeros(1, 1, 32, 32)
    image[..., 19:21, 11:13] = 1  # its middle is at (20, 12)
    layer = find_map_layer(network, image, head="5")
    maps = network[:4](image)[0, 0].detach().numpy()
    assert layer.grid == maps.shape == (5, 5)
    placed = place_map(maps, Box(0, 0, 32, 32), (32, 32), layer.covered)
    hot = np.argwhere(placed == placed.max()).mean(axis=0) + 0.5
    assert hot == pytest.approx([20, 12], abs=0.51)
    evenly = place_map(maps, Box(0, 0, 32, 32), (32, 32))
    spread = np.argwhere(evenly == evenly.max()).mean(axis=0) + 0.5
    assert np.abs(spread - [20, 12]).min() > 1.5  # where a map lies that is spread evenly
