"""The input of a network's head, one vector per image, on which a linear head can be fitted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from cnncli.arrays import Array
from cnncli.data.loader import Loader
from cnncli.models.build import Classifier
from cnncli.models.head import main_logits
from cnncli.training.device import Compute
from cnncli.training.head_fit import LinearHead

# Relative difference of logits that rounding explains.
_ROUNDING = 1e-3


def is_linear_on_features(network: nn.Module, path: str, images: torch.Tensor) -> bool:
    """Return whether a network's logits are a linear layer on one vector per image.

    It is tried: the logits must be the output of the layer at ``path``, or the mean of that output
    over the map, as where SqueezeNet pools behind its head.

    Args:
        network: The network, whose mode is kept.
        path: Path of the head.
        images: Normalised images (N, C, H, W) to try it on.
    """
    layer: Any = network.get_submodule(path)
    is_conv = isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1) and layer.groups == 1
    if not (isinstance(layer, nn.Linear) or is_conv) or layer.bias is None:
        return False
    modes = {module: module.training for module in network.modules()}
    with torch.no_grad(), _keeping_input(layer) as kept:
        logits = main_logits(network.eval()(images))
    for module, training in modes.items():
        module.training = training
    if len(kept) != 1 or kept[0].ndim != (4 if is_conv else 2):
        return False
    features = _as_vectors(kept[0])
    weight = layer.weight.detach().flatten(1)
    again = features @ weight.T + layer.bias.detach()
    return bool(
        again.shape == logits.shape
        and (again - logits).abs().max() <= _ROUNDING * max(1.0, float(logits.abs().max()))
    )


def compute_vectors(
    classifier: Classifier,
    path: str,
    loader: Loader,
    compute: Compute,
    *,
    epochs: tuple[int, ...] = (1,),
    advance: Callable[[int, str], None] = lambda count, text: None,
) -> Array:
    """Return the head's input (V, N, D) in float32, in evaluation mode; maps are averaged.

    Args:
        classifier: The classifier, on the device of ``compute``; its mode is changed.
        path: Path of the head in its network.
        loader: The images in their own order. One that cannot be read is in ``loader.bad``
            afterwards, and in no view.
        compute: Device and precision.
        epochs: The epochs of the loader that are the V views.
        advance: Called with the number of images of each batch and an empty text.
    """
    layer = classifier.network.get_submodule(path)
    classifier.eval()
    while True:
        views = []
        for epoch in epochs:
            parts = []
            with torch.no_grad(), compute.autocast(), _keeping_input(layer) as kept:
                for images, _ in loader.epoch(epoch):
                    classifier.logits(images.to(compute.device))
                    parts.append(_as_vectors(kept.pop()).float().cpu().numpy())
                    advance(len(images), "")
            views.append(parts)
            if loader.leave_out(loader.bad) and len(views) > 1:
                break  # an image of an earlier view is lost now: all views are of the same images
        else:
            if not views[0]:
                raise loader.none_left()
            return np.stack([np.concatenate(parts) for parts in views])


def put_head(network: nn.Module, path: str, head: LinearHead) -> None:
    """Put a fitted head's weights into the layer at ``path``, a linear one or a 1×1 convolution."""
    layer = network.get_submodule(path)
    assert isinstance(layer, nn.Linear | nn.Conv2d)
    assert layer.bias is not None
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(head.weight).view(layer.weight.shape))
        layer.bias.copy_(torch.from_numpy(head.bias))


def _as_vectors(features: torch.Tensor) -> torch.Tensor:
    return features.float().mean((2, 3)) if features.ndim == 4 else features.float()


@contextmanager
def _keeping_input(layer: nn.Module) -> Iterator[list[torch.Tensor]]:
    """Yield a list that gets the layer's input at each call."""
    kept: list[torch.Tensor] = []
    handle = layer.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0].detach()))
    try:
        yield kept
    finally:
        handle.remove()
