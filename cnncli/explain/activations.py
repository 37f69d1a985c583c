"""What the layers of a network give for one image, before and after their activation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from cnncli.arrays import Array
from cnncli.explain.activation_calls import ActivationCall, record_activations
from cnncli.explain.layers import Seen, record_layers
from cnncli.explain.maps import to_maps


@dataclass(frozen=True)
class LayerMaps:
    """The maps of a layer at one place.

    Attributes:
        layer: Its name.
        state: ``input`` of the layer, its ``output``, or its output ``after`` the activation that
            follows.
        function: The activation that follows straight, such as ``relu``; empty for none.
        call: Number of the layer's call, from 1; some layers are used several times.
        maps: (C, h, w), a map for each channel.
    """

    layer: str
    state: Literal["input", "output", "after"]
    function: str
    call: int
    maps: Array

    @property
    def zeros(self) -> float:
        """Share of the values that are exactly zero."""
        return float((self.maps == 0).mean())


def read_layer(network: nn.Module, images: torch.Tensor, name: str) -> list[LayerMaps]:
    """Return the input, the output and what the activation behind it makes of a layer.

    Args:
        network: In eval mode.
        images: (1, C, H, W), as the network takes them.
        name: Name of the layer.

    Returns:
        Two or three states for each call of the layer; nothing if it does not run, or gives no
        tensor.
    """
    seen, calls = _run(network, images, [name])
    found: list[LayerMaps] = []
    for number, each in enumerate(seen, start=1):
        after = [call for call in calls if name in call.behind]
        call = after[number - 1] if number <= len(after) else None
        function = "" if call is None else call.function
        states = [("input", each.input), ("output", each.output)]
        states += [] if call is None else [("after", call.output)]
        found += [
            LayerMaps(name, state, function, number, _maps_of(values, images))  # type: ignore[arg-type]
            for state, values in states
        ]
    return found


def read_stages(network: nn.Module, images: torch.Tensor, names: Sequence[str]) -> list[LayerMaps]:
    """Return the outputs of layers, after the activation if one follows straight.

    Args:
        network: In eval mode.
        images: (1, C, H, W), as the network takes them.
        names: Names of the layers.

    Returns:
        The last call of each layer that runs, in the order of ``names``.
    """
    seen, calls = _run(network, images, names)
    found = []
    for name in names:
        mine = [each for each in seen if each.name == name]
        if not mine:
            continue
        after = [call for call in calls if name in call.behind]
        values = after[-1].output if after else mine[-1].output
        function = after[-1].function if after else ""
        state: Literal["after", "output"] = "after" if after else "output"
        found.append(LayerMaps(name, state, function, len(mine), _maps_of(values, images)))
    return found


def _run(
    network: nn.Module, images: torch.Tensor, names: Sequence[str]
) -> tuple[list[Seen], list[ActivationCall]]:
    with (
        torch.no_grad(),
        record_layers(network, names, copy=True) as seen,
        record_activations(network) as calls,
    ):
        network(images)
    return seen, calls


def _maps_of(values: torch.Tensor, images: torch.Tensor) -> Array:
    return to_maps(values[0], (images.shape[2], images.shape[3]))
