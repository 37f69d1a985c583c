"""Exchange the activations, norms and dropout of a built network, module by module.

Names and shapes of parameters stay the same, so that pretrained weights still load where they fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import gcd
from typing import Any, cast

import torch
from torch import nn
from torch.nn import functional

from cnncli.errors import CnncliError
from cnncli.models.registry import ModelEntry, short_name
from cnncli.models.tables.layout import ModuleLayout

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "mish": nn.Mish,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}
_ACTIVATION_TYPES = (
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.ELU,
    nn.GELU,
    nn.Mish,
    nn.SiLU,
    nn.Hardswish,
    nn.Tanh,
    nn.Sigmoid,
)
NORMS = ("batch", "layer", "instance", "group", "none")
MOST_GROUPS = 32  # Y. Wu, K. He (2018), Group Normalization: 32 groups by default


class ConvNormActivation(nn.Module):
    """The BasicConv2d of torchvision's GoogLeNet and Inception, with its ReLU as a module.

    Shapes: those of ``conv``.
    """

    def __init__(self, conv: nn.Module, bn: nn.Module, activation: nn.Module) -> None:
        super().__init__()
        self.conv, self.bn, self.activation = conv, bn, activation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the maps of x (N, C, H, W)."""
        out: torch.Tensor = self.activation(self.bn(self.conv(x)))
        return out


class GoogLeNetAux(nn.Module):
    """GoogLeNet's auxiliary head, with its ReLU as a module.

    Shapes: (N, C, H, W) to (N, K).
    """

    def __init__(self, old: Any, activation: nn.Module) -> None:
        super().__init__()
        self.conv, self.fc1, self.fc2, self.dropout = old.conv, old.fc1, old.fc2, old.dropout
        self.activation = activation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (N, K) of maps (N, C, H, W)."""
        x = self.conv(functional.adaptive_avg_pool2d(x, (4, 4))).flatten(1)
        logits: torch.Tensor = self.fc2(self.dropout(self.activation(self.fc1(x))))
        return logits


class DenseNetActivation(nn.Module):
    """A DenseNet with its last ReLU as a module.

    Shapes: (N, C, H, W) to (N, K).
    """

    def __init__(self, old: Any, activation: nn.Module) -> None:
        super().__init__()
        self.features, self.classifier, self.activation = old.features, old.classifier, activation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (N, K) of images (N, C, H, W)."""
        x = self.activation(self.features(x))
        logits: torch.Tensor = self.classifier(functional.adaptive_avg_pool2d(x, 1).flatten(1))
        return logits


class DropoutLinear(nn.Linear):
    """A linear layer with dropout before it, for networks that have no dropout layer.

    Its parameters have the same names as those of ``nn.Linear``.

    Shapes: (…, features) to (…, K).

    Attributes:
        probability: Probability, in [0, 1), of dropping a feature in training.
    """

    probability: float = 0.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (…, K) of features (…, features)."""
        return super().forward(functional.dropout(x, self.probability, self.training))

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, dropout={self.probability}"


class _ChannelsLast:
    """Lets a norm over maps work on (N, H, W, C), the order in ConvNeXt's blocks."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = super().forward(x.movedim(-1, 1))  # type: ignore[misc]
        return out.movedim(1, -1)


class ChannelsLastBatchNorm(_ChannelsLast, nn.BatchNorm2d):
    """BatchNorm over maps (N, H, W, C)."""


class ChannelsLastInstanceNorm(_ChannelsLast, nn.InstanceNorm2d):
    """InstanceNorm over maps (N, H, W, C)."""


class ChannelsLastGroupNorm(_ChannelsLast, nn.GroupNorm):
    """GroupNorm over maps (N, H, W, C)."""


def swap_modules(
    network: nn.Module,
    entry: ModelEntry,
    *,
    activation: str | None = None,
    norm: str | None = None,
    dropout: float | None = None,
) -> nn.Module:
    """Exchange a network's activations, norms and dropout, and return the network.

    Args:
        network: The network; it is changed in place.
        entry: Its entry in the registry.
        activation: One of `ACTIVATIONS`, or None to keep the network's activations.
        norm: One of `NORMS`, or None to keep the network's norms. ``layer`` normalises over all
            channels and pixels of an image (a group norm of one group), ``group`` over at most 32
            groups of channels.
        dropout: Probability in [0, 1) for every dropout layer, or for dropout before the head if
            there is no such layer. None keeps what there is.

    Raises:
        CnncliError: If the network has no modules of that kind or cannot exchange them, with the
            reason.
    """
    if activation is not None:
        network = _swap_activations(network, entry, activation)
    if norm is not None:
        _swap_norms(network, entry, norm)
    if dropout is not None:
        _set_dropout(network, entry, dropout)
    return network


def _refuse(flag: str, entry: ModelEntry, reason: str) -> CnncliError:
    return CnncliError(f"{flag}: {short_name(entry.name)} {reason}")


def _replaceable(
    network: nn.Module, layout: ModuleLayout, types: Any
) -> Iterator[tuple[str, nn.Module]]:
    """Yield path and module of the given types, without those that ``layout.keep`` excludes."""
    for path, module in list(network.named_modules()):
        kept = any(f".{words}." in f".{path}." for words in layout.keep)
        if path and isinstance(module, types) and not kept:
            yield path, module


def _swap_activations(network: nn.Module, entry: ModelEntry, activation: str) -> nn.Module:
    if activation not in ACTIVATIONS:
        raise CnncliError(f"--activation {activation}: one of {', '.join(ACTIVATIONS)}")
    flag = f"--activation {activation}"
    make = ACTIVATIONS[activation]
    if entry.family == "timm":
        raise _refuse(flag, entry, "comes from timm, which joins activations with norms")
    found = 0
    for path, _ in _replaceable(network, entry.layout, _ACTIVATION_TYPES):
        network.set_submodule(path, make())
        found += 1
    if entry.family in _FUNCTIONAL:
        return _FUNCTIONAL[entry.family](network, make)
    if not found:
        raise _refuse(flag, entry, "has no activation")
    return network


def _use_modules_in_inception(network: nn.Module, make: Callable[[], nn.Module]) -> nn.Module:
    for path, module in list(network.named_modules()):
        if type(module).__name__ == "BasicConv2d":
            parts = cast(Any, module)
            network.set_submodule(path, ConvNormActivation(parts.conv, parts.bn, make()))
    for path, module in list(network.named_modules()):
        if type(module).__name__ == "InceptionAux" and hasattr(module, "fc1"):
            network.set_submodule(path, GoogLeNetAux(module, make()))
    return network


def _use_module_in_densenet(network: nn.Module, make: Callable[[], nn.Module]) -> nn.Module:
    return DenseNetActivation(network, make())


# Families that call ReLU as a function in ``forward``, and the function that makes it a module.
_FUNCTIONAL: dict[str, Callable[[nn.Module, Callable[[], nn.Module]], nn.Module]] = {
    "densenet": _use_module_in_densenet,
    "googlenet": _use_modules_in_inception,
    "inception_v3": _use_modules_in_inception,
}


def _swap_norms(network: nn.Module, entry: ModelEntry, norm: str) -> None:
    if norm not in NORMS:
        raise CnncliError(f"--norm {norm}: one of {', '.join(NORMS)}")
    flag = f"--norm {norm}"
    if entry.family == "timm":
        raise _refuse(flag, entry, "comes from timm, which joins norms with activations")
    layer_norms = (nn.LayerNorm,) if entry.family == "convnext" else ()
    found = list(
        _replaceable(network, entry.layout, (nn.BatchNorm1d, nn.BatchNorm2d, *layer_norms))
    )
    if not found:
        tokens = any(isinstance(module, nn.LayerNorm) for module in network.modules())
        reason = "normalises tokens inside its attention blocks, not maps" if tokens else ""
        raise _refuse(flag, entry, reason or "has no normalisation layers")
    for path, module in found:
        if norm == "batch" and isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            continue
        if norm == "layer" and isinstance(module, nn.LayerNorm):
            continue
        if norm == "instance" and isinstance(module, nn.BatchNorm1d):
            raise _refuse(flag, entry, f"normalises single values at {path}: only maps have pixels")
        network.set_submodule(path, _build_norm(norm, module))


def _build_norm(norm: str, old: nn.Module) -> nn.Module:
    """Return a norm of the given kind with as many channels as the norm that it replaces."""
    if norm == "none":
        return nn.Identity()
    # ConvNeXt's LayerNorm2d takes (N, C, H, W), its plain LayerNorm (N, H, W, C).
    last = type(old) is nn.LayerNorm
    if isinstance(old, nn.LayerNorm):
        channels, device = old.normalized_shape[0], old.weight.device
    else:
        assert isinstance(old, nn.BatchNorm1d | nn.BatchNorm2d)
        channels, device = old.num_features, old.weight.device
    if norm == "batch":
        return (ChannelsLastBatchNorm if last else nn.BatchNorm2d)(channels, device=device)
    if norm == "instance":
        kind = ChannelsLastInstanceNorm if last else nn.InstanceNorm2d
        return kind(channels, affine=True, device=device)
    groups = 1 if norm == "layer" else gcd(channels, MOST_GROUPS)
    return (ChannelsLastGroupNorm if last else nn.GroupNorm)(groups, channels, device=device)


def _set_dropout(network: nn.Module, entry: ModelEntry, probability: float) -> None:
    if not 0 <= probability < 1:
        raise CnncliError(f"--dropout {probability}: a probability from 0 up to, but not, 1")
    dropouts = [
        module
        for path, module in network.named_modules()
        if isinstance(module, nn.Dropout) and path.split(".")[0] not in entry.aux_heads
    ]
    for module in dropouts:
        module.p = probability
    if dropouts:
        return
    if not entry.head:
        raise _refuse(f"--dropout {probability}", entry, "has no dropout layer")
    old = network.get_submodule(entry.head)
    assert isinstance(old, nn.Linear)
    new = DropoutLinear(
        old.in_features, old.out_features, old.bias is not None, device=old.weight.device
    )
    new.weight, new.bias, new.probability = old.weight, old.bias, probability
    network.set_submodule(entry.head, new)
