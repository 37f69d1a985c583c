"""Build a network by its name, and join it with normalisation and softmax."""

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
    linear_head: bool = False,
) -> nn.Module:
    """Build an untrained network that maps (N, C, H, W) to logits (N, K).

    The weights are drawn from torch's global random state, so seed it first. In training mode a
    network with auxiliary heads returns a named tuple, which `cnncli.models.head.combine_aux`
    turns into one loss.

    Args:
        name: Name that ``--model`` takes.
        num_classes: K, at least 1.
        in_channels: C, at least 1.
        image_size: (H, W) in pixels. Networks that flatten their maps, and transformers, take only
            images of this size.
        activation: Name of the activation that replaces the network's; None keeps them. See
            `swap_modules` for this and the next two.
        norm: Name of the norm that replaces the network's; None keeps them.
        dropout: Probability for the network's dropout layers; None keeps theirs.
        linear_head: Whether to leave out the activation behind the head, if there is one, so that
            the logits are a linear function of the head's input.

    Raises:
        CnncliError: If there is no such model, if it cannot take images of this size, or if it
            does not have the modules that are to be exchanged.
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
    if linear_head and entry.layout.head_activation is not None:
        network.set_submodule(entry.layout.head_activation, nn.Identity())
    if norm == "instance":
        _check_pixels(network, in_channels, image_size)
    return network


def _check_pixels(network: nn.Module, in_channels: int, image_size: tuple[int, int]) -> None:
    """Refuse an instance norm on maps of a single pixel, which have no variance."""
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
    """Return the number of values in all parameters, trainable and frozen."""
    return sum(parameter.numel() for parameter in network.parameters())


def has_batch_norm(network: nn.Module) -> bool:
    """Return whether any layer normalises over the batch."""
    return any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in network.modules())


class Classifier(nn.Module):
    """Normalisation, network and softmax in one module.

    It takes images as the data loader gives them, (N, H, W, C) with their stored values, and
    returns probabilities (N, K); ``logits`` stops before the softmax.

    Args:
        network: Takes normalised images (N, C, H, W) and returns logits (N, K).
        mean: Mean of each channel, as a fraction of full scale.
        std: Standard deviation of each channel, as a fraction of full scale, above 0.
        full_scale: Stored value that counts as 1, such as 255 for uint8.
        temperature: What the logits are divided by before the softmax, above 0; above 1 the
            probabilities move away from 0 and 1.
    """

    def __init__(
        self,
        network: nn.Module,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        full_scale: float,
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        self.network = network
        self.temperature = temperature
        # (x / full_scale - mean) / std as one multiplication and one addition.
        scale = torch.tensor([1 / (full_scale * s) for s in std])
        shift = torch.tensor([-m / s for m, s in zip(mean, std, strict=True)])
        self.register_buffer("scale", scale.view(1, -1, 1, 1), persistent=False)
        self.register_buffer("shift", shift.view(1, -1, 1, 1), persistent=False)
        self.scale: torch.Tensor
        self.shift: torch.Tensor

    def normalise(self, images: torch.Tensor) -> torch.Tensor:
        """Return normalised images, float32 (N, C, H, W), channels-last in memory."""
        return torch.addcmul(self.shift, images.permute(0, 3, 1, 2).float(), self.scale)

    def outputs(self, images: torch.Tensor) -> Output:
        """Return the network's output: in training mode with the auxiliary heads' logits."""
        output: Output = self.network(self.normalise(images))
        return output

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits (N, K): the network's scores, before temperature and softmax."""
        return main_logits(self.outputs(images))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the probabilities (N, K) in float32; each row sums to 1."""
        return self.softmax(self.logits(images))

    def softmax(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the probabilities (N, K) in float32 of logits (N, K), after the temperature."""
        logits = logits.float()
        return (logits if self.temperature == 1 else logits / self.temperature).softmax(dim=1)
