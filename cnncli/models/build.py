"""From a registry entry to a network."""

from __future__ import annotations

import importlib

import torch
from torch import nn

from cnncli.choices import format_size
from cnncli.errors import CnncliError
from cnncli.models.chain import build_chain
from cnncli.models.head import Output, main_logits
from cnncli.models.registry import CHAIN, find_model
from cnncli.models.swap import swap_modules
from cnncli.models.timm_build import build_timm
from cnncli.models.torchvision_build import build_torchvision


def build_network(
    name: str,
    *,
    num_classes: int,
    in_channels: int,
    image_size: tuple[int, int],
    activation: str | None = None,
    norm: str | None = None,
    dropout: float | None = None,
) -> nn.Module:
    """Build an untrained network that maps (N, C, H, W) to logits (N, K).

    The weights come from torch's global random state: seed it first. In training mode networks
    with auxiliary heads return a named tuple, which `combine_aux` takes apart.

    Args:
        name: Of the registry.
        num_classes: K, at least 1.
        in_channels: C.
        image_size: (H, W) in pixels; networks with a flatten layer and transformers fit that size
            only.
        activation: As `swap_modules` takes it; None leaves what there is.
        norm: As `swap_modules` takes it; None leaves what there is.
        dropout: As `swap_modules` takes it; None leaves what there is.

    Raises:
        CnncliError: If there is no such model, it cannot take the images' size, or it does not
            have what is to be exchanged.
    """
    entry = find_model(name)
    entry.check_image_size(image_size)
    kind, _, attribute = entry.builder.partition(":")
    if kind == "torchvision":
        network = build_torchvision(entry, num_classes, in_channels, image_size)
    elif kind == "cnn":
        network = _build_chain(name, num_classes, in_channels, image_size)
    elif kind == "timm":
        network = build_timm(name, num_classes, in_channels, image_size)
    else:
        builder = getattr(importlib.import_module(kind), attribute)
        network = builder(num_classes, in_channels, image_size=image_size)
    network = swap_modules(network, entry, activation=activation, norm=norm, dropout=dropout)
    if norm == "instance":
        _check_pixels(network, in_channels, image_size)
    return network


def _check_pixels(network: nn.Module, in_channels: int, image_size: tuple[int, int]) -> None:
    """Refuse an instance norm that would see one pixel, which has no variance."""
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, in_channels, *image_size))
    except ValueError as error:
        if "spatial element" not in str(error):
            raise
        raise CnncliError(
            f"--norm instance: a layer sees maps of one pixel at {format_size(image_size)} pixels; "
            "use a larger --image-size or another norm"
        ) from None
    network.train()


def _build_chain(
    name: str, num_classes: int, in_channels: int, image_size: tuple[int, int]
) -> nn.Module:
    text = name.removeprefix(CHAIN)
    try:
        return build_chain(text, num_classes, in_channels, image_size)
    except CnncliError as error:
        size = format_size(image_size)
        raise CnncliError(f"--model cnn: {error} (images of {size} pixels)") from None


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

    def outputs(self, images: torch.Tensor) -> Output:
        """Return all that the network gives: in training the auxiliary heads' logits too."""
        output: Output = self.network(self.normalise(images))
        return output

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        """Return (N, K) unnormalised scores."""
        return main_logits(self.outputs(images))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return (N, K) probabilities in float32."""
        return self.logits(images).float().softmax(dim=1)
