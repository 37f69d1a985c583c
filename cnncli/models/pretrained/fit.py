"""Fit pretrained tensors to a network with other channels or another image size."""

from __future__ import annotations

import torch
from torch import nn

from cnncli.models.registry import ModelEntry
from cnncli.models.stem import Normalisation, adapt_stem, stem_normalisation

Tensors = dict[str, torch.Tensor]


def fit_stem(
    tensors: Tensors,
    own: Tensors,
    entry: ModelEntry,
    source: Normalisation | None,
    target: Normalisation | None,
) -> list[str]:
    """Adapt the weights of the first layer to the network's channels and normalisation.

    Args:
        tensors: Tensors of the file by name; they are changed in place.
        own: Tensors of the network by name.
        entry: The network's entry in the registry.
        source: Mean and std that the file's weights expect; None if unknown.
        target: Mean and std of the images that the network gets; None for what
            `stem_normalisation` returns.

    Returns:
        Names of the tensors that were changed.
    """
    path = entry.layout.stem
    name = f"{path}.weight"
    if not path or name not in tensors or name not in own:
        return []
    weight, in_channels = tensors[name], own[name].shape[1]
    if weight.ndim != 4:
        return []
    if source is not None and len(source.mean) != weight.shape[1]:
        source = None  # the file's channels are not those of the default weights
    if source is not None and target is None:
        target = stem_normalisation(source, in_channels)
    if weight.shape[1] == in_channels and source == target:
        return []
    tensors[name], constant = adapt_stem(weight, in_channels, source, target)
    if f"{path}.bias" in tensors:
        tensors[f"{path}.bias"] = tensors[f"{path}.bias"] + constant
        return [name, f"{path}.bias"]
    mean = f"{entry.layout.stem_norm}.running_mean"
    if entry.layout.stem_norm and mean in tensors:
        tensors[mean] = tensors[mean] - constant
        return [name, mean]
    return [name]


def fit_positions(tensors: Tensors, own: Tensors) -> list[str]:
    """Interpolate the position embeddings of transformers to the network's image size.

    Args:
        tensors: Tensors of the file by name; they are changed in place.
        own: Tensors of the network by name.

    Returns:
        Names of the tensors that were interpolated.
    """
    changed = []
    for name, tensor in tensors.items():
        if name not in own or own[name].shape == tensor.shape:
            continue
        if name.endswith("encoder.pos_embedding"):
            tensors[name] = _interpolate(tensor[0], len(own[name][0]), extra=1)[None]
            changed.append(name)
        elif name.endswith("relative_position_bias_table"):
            tensors[name] = _interpolate(tensor, len(own[name]), extra=0)
            changed.append(name)
    # These depend on the window's size alone, so the network's own are right.
    for name in [n for n in tensors if n.endswith("relative_position_index")]:
        if name in own and own[name].shape != tensors[name].shape:
            tensors[name] = own[name]
    return changed


def _interpolate(rows: torch.Tensor, count: int, *, extra: int) -> torch.Tensor:
    """Resize a square grid of embeddings.

    Args:
        rows: (extra + side², D): first rows that do not belong to the grid, then the grid.
        count: Number of rows to return, those of ``extra`` included.
        extra: Number of first rows that stay as they are.

    Returns:
        (count, D).

    Source: ``torchvision.models.vision_transformer.interpolate_embeddings``: bicubic, with the
    corners kept.
    """
    old, new = round((len(rows) - extra) ** 0.5), round((count - extra) ** 0.5)
    grid = rows[extra:].T.reshape(1, -1, old, old)
    resized = nn.functional.interpolate(grid, size=new, mode="bicubic", align_corners=True)
    return torch.cat([rows[:extra], resized.reshape(-1, new * new).T])
