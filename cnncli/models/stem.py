"""The first layer: any number of channels, and pretrained weights carried over to them.

Pretrained weights W of a first convolution see source channels c of values v in [0, 1], normalised:
z_c = (v_c - m_c) / s_c. A network of N channels j sees x_j = (u_j - μ_j) / σ_j instead. A matrix A
says what of them stands for what: with N = 1 the one channel stands for every source channel
(A = 1: a sum, as if grey were copied); with more, channel j for source channel j mod M, scaled by
M / N (three of three: the identity). Then

    W'_j = Σ_c A_jc · σ_j / s_c · W_c          (M source channels, N of ours)
    b'   = b + Σ_j Σ_c A_jc · (μ_j - m_c) / s_c · Σ_k W_ck

gives in every pixel exactly what W gives for the copied image under the weights' own mean and std,
whatever μ and σ are. Where the convolution has no bias, the BatchNorm behind it takes the constant:
it is subtracted from the running mean. Zero padding is the one thing that differs: it stands for
v = m_c there and for u = μ here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class Normalisation:
    """What images are normalised with: (value - mean) / std per channel.

    Attributes:
        mean: Per channel, as a fraction of full scale.
        std: Per channel, as a fraction of full scale, above 0.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]


def stem_normalisation(source: Normalisation, in_channels: int) -> Normalisation:
    """Return the mean and std to store and to train with, given those of the weights.

    As many channels as the weights have keep theirs; a single one takes their averages; of other
    numbers channel j takes those of the weights' channel j mod M.
    """
    count = len(source.mean)
    if in_channels == 1:
        return Normalisation((sum(source.mean) / count,), (sum(source.std) / count,))
    chosen = [j % count for j in range(in_channels)]
    return Normalisation(
        tuple(source.mean[c] for c in chosen), tuple(source.std[c] for c in chosen)
    )


def replace_stem(network: nn.Module, path: str, in_channels: int) -> None:
    """Put a convolution of ``in_channels`` in the place of the one at ``path``.

    Its weights are drawn with the variance of the old ones, times old channels / new channels:
    the layer's output then varies as before, whatever the family's initialisation is.
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
    if not old.weight.is_meta:  # which has shapes only
        scale = (old.in_channels / in_channels) ** 0.5
        nn.init.normal_(new.weight, std=float(old.weight.detach().std()) * scale)
        if old.bias is not None and new.bias is not None:
            new.bias.data.copy_(old.bias.data)
    network.set_submodule(path, new)


def channel_map(source_channels: int, in_channels: int) -> torch.Tensor:
    """Return A (in_channels, source_channels) of the module's docstring, float64."""
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
    """Carry the weights of a first convolution over to other channels and normalisation.

    Args:
        weight: (F, M, kH, kW) of the source.
        in_channels: N.
        source: Mean and std that the weights expect, M values each.
        target: Mean and std that the network will see, N values each. With either None the
            normalisation is taken to be the one that `stem_normalisation` returns.

    Returns:
        Weights (F, N, kH, kW) and the constant (F,) that the bias gains.
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
