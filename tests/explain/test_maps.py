"""Outputs of layers as maps: each channel is where torch has it."""

import pytest
import torch

from cnncli.explain.maps import to_maps


@pytest.mark.parametrize("size", [(224, 224), (224, 320), (97, 61)])
@pytest.mark.parametrize("divisor", [4, 8, 32])
def test_maps_with_channels_first_and_last(size, divisor):
    rows, columns = (-(-side // divisor) for side in size)
    maps = torch.rand(24, rows, columns)
    for given in (maps, maps.movedim(0, -1)):
        found = to_maps(given, size)
        assert found.shape == maps.shape
        assert (found == maps.numpy()).all()


@pytest.mark.parametrize("extra", [0, 1, 5])
@pytest.mark.parametrize("size", [(224, 224), (224, 448)])
def test_tokens_stand_on_their_grid_again(size, extra):
    rows, columns = size[0] // 16, size[1] // 16
    maps = torch.rand(24, rows, columns)
    tokens = maps.flatten(1).T
    given = torch.cat([torch.full((extra, 24), -1.0), tokens])
    found = to_maps(given, size)
    assert found.shape == maps.shape
    assert (found == maps.numpy()).all()


def test_values_without_a_place():
    values = torch.rand(84)
    found = to_maps(values, (32, 32))
    assert found.shape == (84, 1, 1)
    assert (found[:, 0, 0] == values.numpy()).all()
    assert to_maps(torch.rand(512, 1, 1), (32, 32)).shape == (512, 1, 1)
