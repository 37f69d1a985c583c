"""The first layer: any number of channels, and pretrained weights adapted to them.

The pretrained weights W of a first convolution expect M source channels c of values v in [0, 1],
normalised as z_c = (v_c - m_c) / s_c. A network with N channels j gets x_j = (u_j - μ_j) / σ_j
instead. The entry A_jc of a matrix A says how much channel j stands for source channel c. With
N = 1, the one channel stands for every source channel (A = 1: a sum, as if the grey image were
copied). With more, channel j stands for source channel j mod M, scaled by M / N (for three of three
A is the identity). Then

    W'_j = Σ_c A_jc · σ_j / s_c · W_c
    b'   = b + Σ_j Σ_c A_jc · (μ_j - m_c) / s_c · Σ_k W_ck

give in every pixel exactly what W gives for the copied image under the weights' own mean and std,
whatever μ and σ are. If the convolution has no bias, the constant b' - b is subtracted from the
running mean of the BatchNorm behind it. Only zero padding differs: it stands for v = m_c in the
source, and for u = μ here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class Normalisation:
    """The values with which images are normalised: (value - mean) / std in each channel.

    Attributes:
        mean: Mean of each channel, as a fraction of full scale.
        std: Standard deviation of each channel, as a fraction of full scale, above 0.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]


def stem_normalisation(source: Normalisation, in_channels: int) -> Normalisation:
    """Return mean and std for a network whose weights expect those of ``source``.

    With as many channels as the weights have, they stay the same. A single channel gets the
    averages over the weights' M channels. Otherwise channel j gets the values of channel j mod M.

    Args:
        source: Mean and std that the weights expect.
        in_channels: Number of the network's channels.
    """
    count = len(source.mean)
    if in_channels == 1:
        return Normalisation((sum(source.mean) / count,), (sum(source.std) / count,))
    chosen = [j % count for j in range(in_channels)]
    return Normalisation(
        tuple(source.mean[c] for c in chosen), tuple(source.std[c] for c in chosen)
    )


def replace_stem(network: nn.Module, path: str, in_channels: int) -> None:
    """Replace the first convolution by one with another number of channels.

    The new weights are drawn with the variance of the old ones, times old channels / new channels,
    so that the variance of the layer's output stays the same for any initialisation.

    Args:
        network: The network; it is changed in place.
        path: Path of its first convolution.
        in_channels: Number of channels of the new convolution.
    """
    old = network.get_submodule(path)
    assert isinstance(old, nn.Conv2d)
    new = type(old)(
        in_channels,
        old.out_channels,
        old.kernel_size,  # type: ignore[arg-type]
        old.stride,  # type: ignore[arg-type]
        old.padding,  # type: ignore[arg-type]
        old.dilation,  # type: ignore[arg-type]
        bias=old.bias is not None,
        device=old.weight.device,
    )
    if not old.weight.is_meta:  # a tensor on the meta device has a shape and no values
        scale = (old.in_channels / in_channels) ** 0.5
        nn.init.normal_(new.weight, std=float(old.weight.detach().std()) * scale)
        if old.bias is not None and new.bias is not None:
            new.bias.data.copy_(old.bias.data)
    network.set_submodule(path, new)


def channel_map(source_channels: int, in_channels: int) -> torch.Tensor:
    """Return the matrix A of the module's docstring: (in_channels, source_channels), float64."""
    if in_channels == 1:
        return torch.ones(1, source_channels, dtype=torch.float64)
    rows = torch.arange(in_channels)
    chosen = torch.zeros(in_channels, source_channels, dtype=torch.float64)
    chosen[rows, rows % source_channels] = source_channels / in_channels
    return chosen


def adapt_stem(
    weight: torch.Tensor,
    in_channels: int,
    source: Normalisation | None,
    target: Normalisation | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Adapt the weights of a first convolution to other channels and another normalisation.

    Args:
        weight: Pretrained weights (F, M, kH, kW).
        in_channels: N.
        source: Mean and std that the weights expect, M values each.
        target: Mean and std of the images that the network gets, N values each. If either is None,
            the images are taken to be normalised with what `stem_normalisation` returns.

    Returns:
        Weights (F, N, kH, kW), and the constant (F,) that must be added to the bias.
    """
    channels = weight.shape[1]
    exact = weight.double()
    mix = channel_map(channels, in_channels)
    if source is None or target is None:
        adapted = torch.einsum("jc,fchw->fjhw", mix, exact)
        return adapted.to(weight.dtype), weight.new_zeros(len(weight))
    means, stds = _column(source.mean), _column(source.std)
    scaled = mix * _column(target.std)[:, None] / stds
    shifted = mix * (_column(target.mean)[:, None] - means) / stds
    adapted = torch.einsum("jc,fchw->fjhw", scaled, exact)
    constant = torch.einsum("jc,fchw->f", shifted, exact)
    return adapted.to(weight.dtype), constant.to(weight.dtype)


def _column(values: Sequence[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)
