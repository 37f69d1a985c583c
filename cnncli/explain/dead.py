"""Channels whose activation passes no gradient, whatever the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from cnncli.arrays import Array
from cnncli.explain.activation_calls import ActivationCall, record_activations

_BATCH = 8  # images at a time: their activations are in memory together


@dataclass(frozen=True)
class ChannelCount:
    """The channels behind one layer, at one call of an activation function.

    Attributes:
        layer: Name of the layer, or of the block whose sum went in; empty for the network itself.
        function: The activation function, such as ``relu``.
        call: Number of this call among those behind the layer, from 1.
        has_flat_side: Whether the slope of the function is exactly zero for a range of inputs.
        dead: (C,) whether the slope was zero at every position of every image; None where the
            function has no flat side, so that no channel can be dead.
        negative: (C,) whether the input was below zero at every position of every image.
    """

    layer: str
    function: str
    call: int
    has_flat_side: bool
    dead: Array | None
    negative: Array

    @property
    def counted(self) -> Array:
        """(C,) what the word "dead" is about, or the channels that were always negative."""
        return self.negative if self.dead is None else self.dead

    @property
    def share(self) -> float:
        """Share of the channels that are counted."""
        return float(self.counted.mean())


def count_dead(network: nn.Module, images: torch.Tensor) -> list[ChannelCount]:
    """Find the channels whose activation has slope zero everywhere.

    A weight in front of such a channel gets no gradient from any of these images.

    Args:
        network: In eval mode.
        images: (N, C, H, W), as the network takes them.

    Returns:
        A count for each call of an activation function, in the order of the calls.
    """
    flat: dict[tuple[str, int], list[torch.Tensor]] = {}
    first: Sequence[ActivationCall] = ()
    for batch in torch.split(images, _BATCH):
        with torch.no_grad(), record_activations(network) as calls:
            network(batch)
        first = first or [_without_values(call) for call in calls]
        for call in calls:
            found = [
                _everywhere(call.slope() == 0, call.channel_axis),
                _everywhere(call.input < 0, call.channel_axis),
            ]
            before = flat.get((call.layer, call.call), found)
            flat[call.layer, call.call] = [a & b for a, b in zip(before, found, strict=True)]
    counts = []
    for call in first:
        dead, negative = (mask.numpy() for mask in flat[call.layer, call.call])
        has_flat_side = call.is_flat_somewhere
        counts.append(
            ChannelCount(
                layer=call.layer,
                function=call.function,
                call=call.call,
                has_flat_side=has_flat_side,
                dead=dead if has_flat_side else None,
                negative=negative,
            )
        )
    return counts


def share_of_all(counts: Sequence[ChannelCount]) -> tuple[int, int]:
    """Return how many channels are dead, and of how many that could be."""
    masks = [count.dead for count in counts if count.dead is not None]
    return sum(int(np.sum(mask)) for mask in masks), sum(len(mask) for mask in masks)


def _everywhere(mask: torch.Tensor, axis: int) -> torch.Tensor:
    """Return (C,) whether a mask holds at every place but along the axis of the channels."""
    return mask.movedim(axis, 0).flatten(1).all(dim=1)


def _without_values(call: ActivationCall) -> ActivationCall:
    empty = torch.empty(0)
    return ActivationCall(**{**vars(call), "input": empty, "output": empty})
