"""``cnncli visualize filters``: the weights of a convolution."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np

from cnncli.arrays import Array
from cnncli.errors import CnncliError
from cnncli.explain.layers import find_convolution, list_convolutions, read_filters
from cnncli.files import run_dir_of
from cnncli.models.registry import short_name
from cnncli.plots.tiles import TileGroup, save_tiles
from cnncli.recipes.visualize.settings import View, VisualizeSettings, open_subject
from cnncli.reporting import Reporter
from cnncli.run.subject import Subject
from cnncli.training.checkpoint import list_kept_epochs, load_checkpoint

_MOST = 256  # tiles of filters that are one map each
_SIDE = 16  # filters, and channels of each, of a layer with several input channels
_CELLS = 512  # rows and columns of a matrix
_EPOCHS = 10  # epochs beside each other
_OVER_EPOCHS = 12  # filters of which all epochs are shown
_GREY = "mid-grey is 0"


def view(settings: VisualizeSettings, reporter: Reporter) -> View:
    """Draw the filters of a convolution: the first as colours, others by input channel.

    Raises:
        CnncliError: If there is no such run, network or layer, or the run has kept no epochs.
    """
    subject = open_subject(settings, reporter)
    name, layer = find_convolution(subject.network, settings.layer)
    weights = read_filters(layer)
    coloured = sees_colours(subject, name)
    if settings.over_epochs:
        return _view_epochs(subject, name, coloured)
    title = f"{name} of {short_name(subject.model)}"
    group = _draw_colours(title, weights) if coloured else _choose_tiles(title, weights)
    return View(
        draw=partial(save_tiles, groups=[group]),
        rows=_list_rows(weights, layer.groups),
        columns=("filter", "channel", "row", "column", "weight"),
        array=weights,
        document={"layer": name, "shape": list(weights.shape), "weights": weights},
    )


def sees_colours(subject: Subject, name: str) -> bool:
    """Return whether a convolution takes the image itself, as red, green and blue."""
    first, layer = list_convolutions(subject.network)[0]
    return name == first and layer.in_channels == subject.preprocess.channels == 3


def _list_rows(weights: Array, groups: int, **more: object) -> Iterator[Mapping[str, object]]:
    """Yield a row for each weight; a channel is counted in the whole input, not in its group."""
    per_group = weights.shape[0] // groups
    for f, c, y, x in np.ndindex(*weights.shape):
        channel = f // per_group * weights.shape[1] + c
        weight = float(weights[f, c, y, x])
        yield {**more, "filter": f, "channel": channel, "row": y, "column": x, "weight": weight}


def _to_colours(weights: Array, most: Array) -> Array:
    """Return filters (…, 3, h, w) as colours (…, h, w, 3); ``most`` is as far as colours go."""
    return np.moveaxis(0.5 + weights / np.where(most > 0, 2 * most, 1), -3, -1)


def _draw_colours(title: str, weights: Array) -> TileGroup:
    count, _, height, width = weights.shape
    most = np.abs(weights).max(axis=(1, 2, 3), keepdims=True)  # each filter fills its colours
    title += f": {count} filters {height}×{width} over RGB, {_GREY}{_first(_MOST, count)}"
    return TileGroup(title, _to_colours(weights, most)[:_MOST], range(min(count, _MOST)))


def _choose_tiles(title: str, weights: Array) -> TileGroup:
    count, channels, height, width = weights.shape
    limit = float(np.abs(weights).max()) or 1.0
    limits = (-limit, limit)
    title += f": {count} filters {height}×{width} over "
    title += "a channel each" if channels == 1 else f"{channels} channels"
    if (height, width) == (1, 1):
        matrix = weights[:_CELLS, :_CELLS, 0, 0]
        title += f", a row each{_shown(*matrix.shape, of=weights)}"
        return TileGroup(title, matrix[None], limits=limits, columns=1)
    if channels == 1:
        shown = min(count, _MOST)
        title += _first(_MOST, count)
        return TileGroup(title, weights[:_MOST, 0], range(shown), limits)
    tiles = weights[:_SIDE, :_SIDE]
    title += _shown(*tiles.shape[:2], of=weights)
    return TileGroup(
        title,
        tiles.reshape(-1, height, width),
        limits=limits,
        columns=tiles.shape[1],
        row_names=[f"filter {n}" for n in range(tiles.shape[0])],
        column_names=[f"{n}" if n else "channel 0" for n in range(tiles.shape[1])],
    )


def _first(most: int, count: int) -> str:
    return f"; the first {most}" if count > most else ""


def _shown(filters: int, channels: int, *, of: Array) -> str:
    shown = f"; shown are {filters} filters, {channels} channels"
    return shown if (filters, channels) != of.shape[:2] else ""


def _view_epochs(subject: Subject, name: str, coloured: bool) -> View:
    """Draw some filters as they were after each epoch that the run has kept."""
    if subject.checkpoint is None:
        raise CnncliError(f"--over-epochs: {subject.model} is no run; name one that kept epochs")
    run_dir = run_dir_of(subject.checkpoint)
    kept = list_kept_epochs(run_dir)
    if not kept:
        raise CnncliError(
            f"--over-epochs: {run_dir} has kept no epochs; train with --keep-every 1 to keep them"
        )
    layers = [find_convolution(load_checkpoint(path)[0], name)[1] for path in kept]
    weights = np.stack([read_filters(layer) for layer in layers])
    epochs = [int(path.stem) for path in kept]
    rows = (
        row
        for epoch, filters in zip(epochs, weights, strict=True)
        for row in _list_rows(filters, layers[0].groups, epoch=epoch)
    )
    chosen = np.unique(np.linspace(0, len(epochs) - 1, min(len(epochs), _EPOCHS)).round())
    group = _draw_epochs(
        f"{name} of {short_name(subject.model)}",
        weights[chosen.astype(int)],
        [epochs[int(place)] for place in chosen],
        coloured,
    )
    return View(
        draw=partial(save_tiles, groups=[group]),
        rows=rows,
        columns=("epoch", "filter", "channel", "row", "column", "weight"),
        array=weights,
        document={"layer": name, "epochs": epochs, "shape": weights.shape, "weights": weights},
    )


def _draw_epochs(title: str, weights: Array, epochs: list[int], coloured: bool) -> TileGroup:
    """Return a row for each filter, a column for each epoch; of 1×1 filters one matrix."""
    _, count, channels, height, width = weights.shape
    names = [f"epoch {epochs[0]}", *map(str, epochs[1:])]
    limit = float(np.abs(weights).max()) or 1.0
    if (height, width) == (1, 1):
        title += f": {count} filters 1×1, a row each, over {channels} channels"
        matrices = weights[:, :_CELLS, :_CELLS, 0, 0]
        return TileGroup(
            title, matrices, limits=(-limit, limit), columns=len(epochs), column_names=names
        )
    some = weights[:, :_OVER_EPOCHS].swapaxes(0, 1)
    title += f": {count} filters {height}×{width}"
    if coloured:
        title += f" over RGB, {_GREY}{_first(_OVER_EPOCHS, count)}"
        # Each filter fills its colours by its largest weight of all epochs, so that growth shows.
        tiles = _to_colours(some, np.abs(some).max(axis=(1, 2, 3, 4), keepdims=True))
    else:
        title += " over channel 0" if channels > 1 else ""
        title += _first(_OVER_EPOCHS, count)
        tiles = some[:, :, 0]
    return TileGroup(
        title,
        tiles.reshape(-1, *tiles.shape[2:]),
        limits=(-limit, limit),
        columns=len(epochs),
        row_names=[f"filter {n}" for n in range(len(some))],
        column_names=names,
    )
