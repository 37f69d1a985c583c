"""Class activation maps: which places of a layer's output speak for a class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import numpy as np
import torch
from torch import nn

from cnncli.arrays import Array
from cnncli.explain.map_layer import MapLayer, gradient_of, run_to_layer

CamMethod = Literal["grad-cam", "grad-cam++", "hires-cam"]


def class_maps(
    network: nn.Module,
    images: torch.Tensor,
    targets: Sequence[int],
    layer: MapLayer,
    method: CamMethod = "grad-cam",
) -> torch.Tensor:
    """Compute how much each place of a layer's map speaks for a class.

    Of maps A (C, h, w) and the gradient G of the class's logit (before the softmax) with respect to
    them, all methods take a weighted sum over the channels. Grad-CAM weighs a channel by the mean
    of G over its places. Grad-CAM++ weighs it by the sum of α · max(G, 0) with
    α = G² / (2 G² + G³ · ΣA), the sum being over the channel's places. HiResCAM weighs each place
    of a channel by its own G: behind an attention the gradient holds how much each token is
    attended to, which a mean over the tokens loses.

    Args:
        network: In eval mode; takes normalised images (N, C, H, W).
        images: The images.
        targets: N class indices.
        layer: The layer, as `cnncli.explain.map_layer.find_map_layer` finds it.
        method: Name of the method.

    Returns:
        (N, h, w) with sign. A heat map shows what is above zero.

    Source: R. R. Selvaraju et al. (2017), Grad-CAM: Visual Explanations from Deep Networks via
    Gradient-based Localization, equations 1 and 2; A. Chattopadhay et al. (2018), Grad-CAM++:
    Improved Visual Explanations for Deep Convolutional Networks, equations 5 and 19; R. L. Draelos,
    L. Carin (2020), Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional
    neural networks, section 3.3.
    """
    layer_pass = run_to_layer(network, images, layer.name)
    gradients = layer.to_maps(gradient_of(layer_pass, targets)).double()
    maps = layer.to_maps(layer_pass.output).detach().double()
    if method == "hires-cam":
        return (gradients * maps).sum(dim=1)
    if method == "grad-cam":
        weights = gradients.mean(dim=(2, 3))
    else:
        squares = gradients**2
        below = 2 * squares + gradients**3 * maps.sum(dim=(2, 3), keepdim=True)
        shares = torch.where(below != 0, squares / torch.where(below != 0, below, 1), 0)
        weights = (shares * gradients.clamp(min=0)).sum(dim=(2, 3))
    return torch.einsum("nc,nchw->nhw", weights, maps)


@contextmanager
def shuffled_head(network: nn.Module, head: str, seed: int) -> Iterator[None]:
    """Shuffle the weights of the head inside the context, and put them back behind it.

    Args:
        network: The network.
        head: Path of the layer that computes the logits.
        seed: Seed of the order.
    """
    weight = network.get_submodule(head).weight
    assert isinstance(weight, torch.Tensor)
    kept = weight.detach().clone()
    order = torch.randperm(kept.numel(), generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        weight.copy_(kept.flatten()[order].view_as(kept))
    try:
        yield
    finally:
        with torch.no_grad():
            weight.copy_(kept)


def correlate_ranks(first: Array, second: Array) -> float | None:
    """Return Spearman's rank correlation of two maps; None if one of them is constant."""
    from scipy.stats import spearmanr  # type: ignore[import-untyped]

    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(spearmanr(first.ravel(), second.ravel()).statistic)
