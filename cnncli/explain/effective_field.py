"""The effective receptive field: which pixels a unit really depends on, and how much.

Source: W. Luo, Y. Li, R. Urtasun, R. Zemel (2016), Understanding the Effective Receptive Field in
Deep Convolutional Neural Networks, NeurIPS.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from cnncli.arrays import Array

SHARE = 0.95  # of the gradient that the effective field holds, along rows and along columns


@dataclass(frozen=True)
class EffectiveField:
    """How much each pixel moves a unit.

    Attributes:
        gradient: (H, W) float64, at least 0 and of sum 1: the mean over the images of the sizes of
            the gradient, summed over the channels. All 0 if the unit is dead.
        alive: Number of images on which there is a gradient at all.
    """

    gradient: Array
    alive: int


def measure_field(
    output: torch.Tensor, images: torch.Tensor, index: Sequence[int]
) -> EffectiveField:
    """Take the gradient of one unit with respect to the pixels.

    Args:
        output: Output (N, ...) of a layer, computed from ``images`` with gradients.
        images: (N, C, H, W), the network's input; requires a gradient.
        index: Index of the unit in the output without N.
    """
    where: Any = (slice(None), *index)
    (found,) = torch.autograd.grad(output[where].sum(), images, retain_graph=True)
    sizes = found.detach().abs().sum(dim=1).double()
    alive = int((sizes.sum(dim=(1, 2)) > 0).sum())
    mean: Array = sizes.mean(dim=0).numpy()
    return EffectiveField(mean / (mean.sum() or 1.0), alive)


def find_extent(gradient: Array, share: float = SHARE) -> tuple[int, int, int, int]:
    """Return the rectangle that holds most of the gradient along either axis.

    Above it and below it lie (1 - share) / 2 of the gradient at most, and left and right of it as
    much.

    Args:
        gradient: (H, W), at least 0 and of sum 1.
        share: Share of the gradient between the upper and the lower edge, 0 to 1.

    Returns:
        Top, left, height and width in pixels.
    """
    tail = (1 - share) / 2
    (top, height), (left, width) = (_cut(gradient.sum(axis=axis), tail) for axis in (1, 0))
    return top, left, height, width


def _cut(along: Array, tail: float) -> tuple[int, int]:
    sums = np.cumsum(along)
    first = int(np.searchsorted(sums, tail, side="right"))
    last = int(np.searchsorted(sums, 1 - tail, side="left"))
    return first, min(last, len(along) - 1) - first + 1
