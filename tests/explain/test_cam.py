"""Grad-CAM and Grad-CAM++ against their formulas, and the shuffled head."""

import numpy as np
import pytest
import torch
from torch import nn

from cnncli.explain.cam import class_maps, correlate_ranks, shuffled_head
from cnncli.explain.map_layer import MapLayer


def network(frozen=False):
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(36, 5), nn.Tanh()
    )
    return layers.append(nn.Linear(5, 3)).double().eval().requires_grad_(not frozen)


LAYER = MapLayer("1", "NCHW", (6, 6))


def maps_and_gradients(layers, image, target):
    """Return maps A and gradients G (C, h, w) of one image by autograd on two halves."""
    maps = layers[:2](image).detach().requires_grad_()
    layers[2:](maps)[0, target].backward()
    return maps.detach()[0].numpy(), maps.grad[0].numpy()


@pytest.mark.parametrize("frozen", [False, True])
def test_grad_cam_is_its_formula(frozen):
    image = torch.randn(1, 3, 8, 8, dtype=torch.float64)
    maps, gradients = maps_and_gradients(network(), image, 2)
    expected = np.zeros((6, 6))
    for channel in range(4):
        expected += gradients[channel].mean() * maps[channel]
    found = class_maps(network(frozen), image, [2], LAYER)[0].numpy()
    assert expected.min() < 0 < expected.max()
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_grad_cam_plus_plus_is_its_formula():
    """Source: Chattopadhay et al. (2018), eq. 19 for α, 5 for w; their exp(S) cancels or scales."""
    image = torch.randn(1, 3, 8, 8, dtype=torch.float64)
    maps, gradients = maps_and_gradients(network(), image, 1)
    expected = np.zeros((6, 6))
    for a, g in zip(maps, gradients, strict=True):
        weight = 0.0
        for row, column in np.ndindex(6, 6):
            slope = g[row, column]
            if slope:
                alpha = slope**2 / (2 * slope**2 + a.sum() * slope**3)
                weight += alpha * max(slope, 0)
        expected += weight * a
    found = class_maps(network(), image, [1], LAYER, "grad-cam++")[0].numpy()
    assert expected.any()
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_hires_cam_is_its_formula():
    image = torch.randn(1, 3, 8, 8, dtype=torch.float64)
    maps, gradients = maps_and_gradients(network(), image, 0)
    found = class_maps(network(), image, [0], LAYER, "hires-cam")[0].numpy()
    np.testing.assert_allclose(found, sum(maps[c] * gradients[c] for c in range(4)), rtol=1e-12)


def test_images_of_a_batch_do_not_touch_each_other():
    images = torch.randn(3, 3, 8, 8, dtype=torch.float64)
    together = class_maps(network(), images, [0, 1, 2], LAYER)
    for number in range(3):
        alone = class_maps(network(), images[number : number + 1], [number], LAYER)
        torch.testing.assert_close(together[number], alone[0])


def test_a_gradient_of_zero_gives_a_map_of_zeros():
    layers = network()
    nn.init.zeros_(layers[6].weight)
    for method in ("grad-cam", "grad-cam++", "hires-cam"):
        assert not class_maps(layers, torch.randn(1, 3, 8, 8).double(), [0], LAYER, method).any()


def test_a_shuffled_head_has_the_same_weights_elsewhere_and_comes_back():
    layers = network(frozen=True)
    before = layers[6].weight.clone()
    orders = []
    for seed in (0, 0, 1):
        with shuffled_head(layers, "6", seed):
            orders.append(layers[6].weight.clone())
        assert torch.equal(layers[6].weight, before)
    assert torch.equal(orders[0], orders[1])
    assert not torch.equal(orders[0], orders[2])
    assert not torch.equal(orders[0], before)
    assert torch.equal(orders[0].flatten().sort()[0], before.flatten().sort()[0])


def test_rank_correlation_by_hand():
    first = np.array([[1.0, 2.0], [3.0, 4.0]])
    second = np.array([[1.0, 30.0], [20.0, 400.0]])
    # Ranks 1 2 3 4 and 1 3 2 4: 1 - 6 Σd² / (n (n² - 1)) = 1 - 6 · 2 / 60.
    assert correlate_ranks(first, second) == pytest.approx(0.8)
    assert correlate_ranks(first, np.ones((2, 2))) is None
