"""From a registry entry to a network."""

from __future__ import annotations

import importlib
from typing import Any

import torch
from torch import nn

from cnncli.errors import CnncliError
from cnncli.models.registry import find_model


def build_network(
    name: str, *, num_classes: int, in_channels: int, image_size: tuple[int, int]
) -> nn.Module:
    """Build an untrained network that maps (N, C, H, W) to logits (N, K).

    The weights come from torch's global random state: seed it first.

    Args:
        name: Of the registry.
        num_classes: K, at least 2.
        in_channels: C.
        image_size: (H, W) in pixels; networks with a flatten layer fit that size only.

    Raises:
        CnncliError: If there is no such model, or the images are too small for it.
    """
    entry = find_model(name)
    module, _, attribute = entry.builder.partition(":")
    if module == "torchvision":
        return _build_torchvision(attribute, num_classes, in_channels)
    builder = getattr(importlib.import_module(module), attribute)
    try:
        network = builder(num_classes, in_channels, image_size=image_size)
    except ValueError as error:
        raise CnncliError(f"--model {name}, --image-size {image_size}: {error}") from None
    assert isinstance(network, nn.Module)
    return network


def _build_torchvision(name: str, num_classes: int, in_channels: int) -> nn.Module:
    from torchvision import models  # as slow to import as torch: only what needs it does

    network: Any = models.get_model(name, weights=None, num_classes=num_classes)
    if in_channels != 3:
        first = network.conv1
        network.conv1 = nn.Conv2d(
            in_channels,
            first.out_channels,
            first.kernel_size,
            first.stride,
            first.padding,
            bias=first.bias is not None,
        )
        # torchvision's own initialisation of this layer
        nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
    assert isinstance(network, nn.Module)
    return network


def count_parameters(network: nn.Module) -> int:
    """Return the number of trainable and frozen parameters together."""
    return sum(parameter.numel() for parameter in network.parameters())


def has_batch_norm(network: nn.Module) -> bool:
    """Tell whether any layer normalises over the batch."""
    return any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in network.modules())


class Classifier(nn.Module):
    """Normalise + network + softmax in one module: what an export wraps.

    It takes images as batches hold them, (N, H, W, C) in the stored dtype, and returns
    probabilities (N, K); ``logits`` stops before the softmax.
    """

    def __init__(
        self,
        network: nn.Module,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        full_scale: float,
    ) -> None:
        super().__init__()
        self.network = network
        # (x / full_scale - mean) / std as one multiplication and one addition.
        scale = torch.tensor([1 / (full_scale * s) for s in std])
        shift = torch.tensor([-m / s for m, s in zip(mean, std, strict=True)])
        self.register_buffer("scale", scale.view(1, -1, 1, 1), persistent=False)
        self.register_buffer("shift", shift.view(1, -1, 1, 1), persistent=False)
        self.scale: torch.Tensor
        self.shift: torch.Tensor

    def normalise(self, images: torch.Tensor) -> torch.Tensor:
        """Return float32 (N, C, H, W), which in memory stays channels-last."""
        return torch.addcmul(self.shift, images.permute(0, 3, 1, 2).float(), self.scale)

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        """Return (N, K) unnormalised scores."""
        output: torch.Tensor = self.network(self.normalise(images))
        return output

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return (N, K) probabilities in float32."""
        return self.logits(images).float().softmax(dim=1)
