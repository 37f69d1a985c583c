"""``cnncli visualize filters``: the weights of a convolution."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch

from cnncli.arrays import Array
from cnncli.errors import CnncliError
from cnncli.explain.layers import find_convolution
from cnncli.plots.tiles import TileGroup, save_tiles
from cnncli.recipes.visualize.settings import View, VisualizeSettings
from cnncli.reporting import Reporter
from cnncli.run.subject import Subject, load_subject

_MOST = 256  # tiles in one picture


def view(settings: VisualizeSettings, reporter: Reporter) -> View:
    """Draw the filters of a convolution: the first as colours, others by input channel.

    Raises:
        CnncliError: If there is no such run, network or layer.
    """
    subject = load_subject(
        settings.target,
        reporter,
        weights=settings.weights,
        image_size=settings.image_size,
        seed=settings.seed,
    )
    if settings.over_epochs:
        raise CnncliError("--over-epochs: is not there yet")
    name, layer = find_convolution(subject.network, settings.layer)
    weights = layer.weight.detach().numpy()
    groups = [_group(f"{name} of {subject.model}", weights, is_first(subject, layer))]
    rows = [
        {"filter": f, "channel": c, "row": y, "column": x, "weight": float(weights[f, c, y, x])}
        for f, c, y, x in np.ndindex(*weights.shape)
    ]
    return View(
        draw=partial(save_tiles, groups=groups),
        rows=rows,
        columns=("filter", "channel", "row", "column", "weight"),
        array=weights,
        document={"layer": name, "shape": list(weights.shape), "weights": weights.tolist()},
    )


def is_first(subject: Subject, layer: torch.nn.Conv2d) -> bool:
    """Return whether a convolution takes the image itself, so that its channels are colours."""
    first = find_convolution(subject.network, None)[1]
    return layer is first and layer.in_channels == subject.preprocess.channels


def _group(title: str, weights: Array, first: bool) -> TileGroup:
    count, channels, height, width = weights.shape
    if first and channels == 3:
        # Every filter fills the range of colours by itself; grey is weight zero.
        most = np.abs(weights).max(axis=(1, 2, 3), keepdims=True)
        colours = 0.5 + weights / np.where(most > 0, 2 * most, 1)
        return TileGroup(
            f"{title}: {count} filters {height}×{width} over RGB, mid-grey is 0",
            np.moveaxis(colours, 1, 3)[:_MOST],
            numbers=range(min(count, _MOST)),
        )
    limit = float(np.abs(weights).max()) or 1.0
    tiles = weights.reshape(-1, height, width)[:_MOST]
    what = f"{count} filters {height}×{width} over {channels} channels"
    if count * channels > _MOST:
        what += f", the first {_MOST} of {count * channels} maps"
    return TileGroup(f"{title}: {what}", tiles, limits=(-limit, limit))
