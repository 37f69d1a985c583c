"""Occlusion on networks whose answer can be written out."""

import numpy as np
import pytest
import torch

from cnncli.explain.occlusion import occlusion_map


def bright_corner(images):
    """Return the mean of the upper left 8×8 pixels as the probability of class 1."""
    value = images[:, 0, :8, :8].mean(dim=(1, 2))
    return torch.stack([1 - value, value], dim=1)


def test_the_map_is_the_fall_of_the_probability():
    image = torch.ones(1, 32, 32)
    found = occlusion_map(bright_corner, image, 1)
    assert found.shape == (14, 14)
    patch = round(0.2 * 32)
    expected = np.zeros((14, 14))
    for row, column in np.ndindex(14, 14):
        covered = np.ones((32, 32))
        top = round((row + 0.5) * 32 / 14 - patch / 2)
        left = round((column + 0.5) * 32 / 14 - patch / 2)
        covered[max(top, 0) : top + patch, max(left, 0) : left + patch] = 0
        expected[row, column] = 1 - covered[:8, :8].mean()
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found.max() > 0.3
    np.testing.assert_allclose(occlusion_map(bright_corner, image, 0), -expected, atol=1e-6)


@pytest.mark.parametrize("size", [(5, 9), (1, 3), (224, 64)])
def test_the_number_of_passes_is_bounded(size):
    seen = []

    def count(images):
        seen.append(len(images))
        return torch.full((len(images), 2), 0.5)

    found = occlusion_map(count, torch.ones(3, *size), 0)
    assert found.shape == tuple(min(14, side) for side in size)
    assert sum(seen) == found.size + 1 <= 197
    assert not found.any()
