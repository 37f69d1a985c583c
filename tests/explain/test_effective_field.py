"""The effective receptive field: against weights written out, and inside the theoretical one."""

import math

import numpy as np
import pytest
import torch
from helpers import larger_are_slow
from torch import nn

from cnncli.explain.effective_field import find_extent, measure_field
from cnncli.explain.units import Grid, choose_index, find_grid, find_pixels, run_layers
from cnncli.models.build import build_network
from cnncli.models.registry import MODELS, find_model
from cnncli.models.stages import network_stages
from cnncli.models.tracing.trace import trace_network

CNNS = [name for name, entry in MODELS.items() if entry.family not in ("vit", "swin", "swin_v2")]


def test_of_a_convolution_it_is_the_size_of_the_weights():
    conv = nn.Conv2d(2, 3, (3, 5), padding=(1, 2))
    images = torch.randn(4, 2, 9, 9, requires_grad=True)
    field = measure_field(conv(images), images, (1, 4, 6))
    expected = np.zeros((9, 9))
    expected[3:6, 4:9] = conv.weight[1].abs().sum(0).detach()
    np.testing.assert_allclose(field.gradient, expected / expected.sum(), rtol=1e-5)
    assert field.alive == 4


def test_a_dead_unit_has_no_gradient_and_images_on_which_it_lives_are_counted():
    conv = nn.Conv2d(1, 1, 3, bias=False)
    nn.init.ones_(conv.weight)
    images = torch.stack([torch.ones(1, 5, 5), -torch.ones(1, 5, 5)]).requires_grad_()
    field = measure_field(conv(images).relu(), images, (0, 1, 1))
    assert field.alive == 1
    assert field.gradient[1:4, 1:4] == pytest.approx(np.full((3, 3), 1 / 9))
    dark = (-torch.ones(1, 1, 5, 5)).requires_grad_()
    dead = measure_field(conv(dark).relu(), dark, (0, 1, 1))
    assert dead.alive == 0
    assert not dead.gradient.any()


def test_the_extent_of_a_gaussian_is_what_the_normal_distribution_says():
    sigma, pixels = 10, np.arange(101) - 50
    along = np.exp(-0.5 * (pixels / sigma) ** 2)
    gradient = np.outer(along, along) / along.sum() ** 2
    top, left, height, width = find_extent(gradient)
    assert (top, left) == (50 - (height - 1) // 2, 50 - (width - 1) // 2)
    assert height == width == pytest.approx(2 * 1.96 * sigma, abs=2)


def test_the_extent_holds_one_pixel_and_uneven_sides():
    gradient = np.zeros((6, 8))
    gradient[2, 5] = 1
    assert find_extent(gradient) == (2, 5, 1, 1)
    gradient[:] = 0
    gradient[1:4, 2] = 1 / 3
    assert find_extent(gradient) == (1, 2, 3, 1)


class InPlace(nn.Module):
    """A convolution whose output the next layers write over."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        y = self.relu(self.conv(x))
        y += 1
        return y.mean((2, 3))


def test_outputs_are_those_of_the_layer_and_not_what_later_layers_made_of_them():
    network, images = InPlace(), torch.randn(1, 1, 6, 6)
    kept = run_layers(network, images, ["conv", "relu"])
    plain = torch.conv2d(images, network.conv.weight, network.conv.bias, padding=1)
    torch.testing.assert_close(kept["conv"], plain)
    torch.testing.assert_close(kept["relu"], plain.clamp(min=0))


def small_size(entry):
    """Return the smallest side from 64 pixels on that a network takes."""
    step = entry.size_multiple
    return math.ceil(max(64, entry.min_size) / step) * step


@pytest.mark.parametrize("name", larger_are_slow(CNNS))
def test_it_lies_inside_the_theoretical_field_of_every_cnn(name):
    entry = find_model(name)
    size = small_size(entry)
    torch.manual_seed(0)
    network = build_network(name, num_classes=3, in_channels=3, image_size=(size, size)).eval()
    images = torch.randn(1, 3, size, size, requires_grad=True)
    records = trace_network(network, (size, size), 3)
    paths = [path for stage in network_stages(name, network) for path in stage.paths]
    known = [p for p in paths if p in records and isinstance(records[p].field.size, int | tuple)]
    assert known
    outputs = run_layers(network, images, known)
    compared = 0
    for path in known:
        field = records[path].field
        grid = find_grid(field, records[path].output_shape)
        index = choose_index(grid, None, path)
        values = outputs[path][0].movedim(grid.channel, 0)
        rest = [number for dim, number in enumerate(index) if dim != grid.channel]
        index[grid.channel] = int(values[(slice(None), *rest)].argmax())
        gradient = measure_field(outputs[path], images, index).gradient
        (top, bottom), (left, right) = find_pixels(field, index)
        inside = np.zeros_like(gradient, bool)
        inside[max(top, 0) : bottom + 1, max(left, 0) : right + 1] = True
        assert (gradient[~inside] == 0).all(), path
        compared += gradient.sum() > 0
    assert compared


def test_units_of_tensors_whose_channels_come_last_are_found():
    name, size = "swin_t", 64
    network = build_network(name, num_classes=3, in_channels=3, image_size=(size, size)).eval()
    record = trace_network(network, (size, size), 3)["features.0"]
    assert record.output_shape == (16, 16, 96)
    grid = find_grid(record.field, record.output_shape)
    assert (grid.channel, grid.row, grid.column) == (2, 0, 1)
    index = choose_index(grid, (90, 3, 5), "features.0")
    assert index == [3, 5, 90]
    assert find_pixels(record.field, index) == [(12, 15), (20, 23)]  # patches of 4 pixels


def test_the_middle_of_tokens_is_the_middle_patch():
    # A class token, and 14 · 14 patches: row 7, column 7.
    assert Grid((197, 768), 1, None, None).middle() == [1 + 7 * 14 + 7, 384]
    assert Grid((9, 4), 1, None, None).middle() == [4, 2]
    assert Grid((12, 4), 1, None, None).middle() == [6, 2]
