"""The layers of a network by name, and what goes into and comes out of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from cnncli.arrays import Array
from cnncli.errors import CnncliError, did_you_mean, shorten

Convolution = nn.Conv2d | nn.ConvTranspose2d


def find_layer(network: nn.Module, name: str) -> nn.Module:
    """Return a layer by the name that ``inspect-layers`` prints.

    Raises:
        CnncliError: If there is none; the message has the nearest names.
    """
    modules: dict[str, nn.Module] = dict(network.named_modules())
    if name in modules and name:
        return modules[name]
    names = [known for known in modules if known]
    near = did_you_mean(name, names) or f"; it has {shorten(names, 5)}"
    raise CnncliError(f"--layer {name}: the network has no such layer{near}")


def list_convolutions(network: nn.Module) -> list[tuple[str, Convolution]]:
    """Return the names and layers of all 2-d convolutions, in the order of the modules."""
    return [(name, m) for name, m in network.named_modules() if isinstance(m, Convolution)]


def find_convolution(network: nn.Module, name: str | None) -> tuple[str, Convolution]:
    """Return the 2-d convolution of a name, or the first one.

    Raises:
        CnncliError: If the layer is not there or is no convolution, or the network has none.
    """
    known = list_convolutions(network)
    if name is None:
        if not known:
            raise CnncliError("the network has no convolution; --layer has nothing to choose from")
        return known[0]
    layer = find_layer(network, name)
    if isinstance(layer, Convolution):
        return name, layer
    if isinstance(layer, nn.modules.conv._ConvNd):
        raise CnncliError(
            f"--layer {name}: is {type(layer).__name__}; only 2-d convolutions are drawn"
        )
    inside = [path for path, _ in known if path.startswith(f"{name}.")]
    others = inside or [path for path, _ in known]
    told = f"; convolutions are {shorten(others, 5)}" if others else "; the network has none"
    raise CnncliError(f"--layer {name}: is {type(layer).__name__}, no convolution{told}")


def read_filters(layer: Convolution) -> Array:
    """Return the weights of a convolution, (filters, channels of a filter's group, h, w).

    A transposed convolution stores them by input channel; here they stand by filter too.
    """
    weights = layer.weight.detach()
    if isinstance(layer, nn.ConvTranspose2d):
        by_group = weights.reshape(layer.groups, -1, *weights.shape[1:])
        weights = by_group.transpose(1, 2).flatten(0, 1)
    return weights.float().numpy()


@dataclass
class Seen:
    """What one call of a layer took and gave.

    Attributes:
        name: The layer's name.
        input: Its first input.
        output: Its output.
    """

    name: str
    input: torch.Tensor
    output: torch.Tensor


@contextmanager
def record_layers(
    network: nn.Module, names: Sequence[str], *, copy: bool = False
) -> Iterator[list[Seen]]:
    """Record the inputs and outputs of layers while the network runs.

    A layer that is called several times is recorded at each call. Inputs are cloned where a layer
    works in place, so that they keep the values the layer saw.

    Args:
        network: The network.
        names: Names of the layers.
        copy: Whether outputs are copied too, so that an activation behind the layer that works in
            place does not change them. A copy has no gradient.

    Yields:
        A list, filled in the order of the calls.
    """
    seen: list[Seen] = []
    inputs: dict[str, torch.Tensor] = {}
    handles = []

    def watch(name: str, layer: nn.Module) -> None:
        def before(module: nn.Module, args: tuple[object, ...]) -> None:
            if args and isinstance(args[0], torch.Tensor):
                works_in_place = copy or getattr(module, "inplace", False)
                inputs[name] = args[0].clone() if works_in_place else args[0]

        def after(module: nn.Module, args: tuple[object, ...], output: object) -> None:
            value = output[0] if isinstance(output, tuple) else output
            if isinstance(value, torch.Tensor) and name in inputs:
                kept = value.detach().clone() if copy else value
                seen.append(Seen(name, inputs.pop(name), kept))

        handles.append(layer.register_forward_pre_hook(before))
        handles.append(layer.register_forward_hook(after))

    modules = dict(network.named_modules())
    for name in names:
        watch(name, modules[name])
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()
