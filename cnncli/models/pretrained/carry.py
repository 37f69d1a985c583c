"""Tensors of a file that another number of channels or another image size gives another shape."""

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
    """Carry the first layer over, in place; return the names of what was changed."""
    path = entry.layout.stem
    name = f"{path}.weight"
    if not path or name not in tensors or name not in own:
        return []
    weight, in_channels = tensors[name], own[name].shape[1]
    if weight.ndim != 4:
        return []
    if source is not None and len(source.mean) != weight.shape[1]:
        source = None  # a file whose first layer is not that of the default weights
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
    """Interpolate position embeddings that have another size, in place; return their names."""
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
    # Made from the window's size alone: nothing to carry over.
    for name in [n for n in tensors if n.endswith("relative_position_index")]:
        if name in own and own[name].shape != tensors[name].shape:
            tensors[name] = own[name]
    return changed


def _interpolate(rows: torch.Tensor, count: int, *, extra: int) -> torch.Tensor:
    """Bring a square grid of rows (side², D) to ``count`` rows; ``extra`` rows before it stay.

    Source: ``torchvision.models.vision_transformer.interpolate_embeddings``: bicubic, with the
    corners kept.
    """
    old, new = round((len(rows) - extra) ** 0.5), round((count - extra) ** 0.5)
    grid = rows[extra:].T.reshape(1, -1, old, old)
    resized = nn.functional.interpolate(grid, size=new, mode="bicubic", align_corners=True)
    return torch.cat([rows[:extra], resized.reshape(-1, new * new).T])
