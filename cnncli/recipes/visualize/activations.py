"""``cnncli visualize activations``: what the layers give for one image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from math import ceil

import numpy as np
from torch import nn

from cnncli.arrays import Array
from cnncli.errors import CnncliError
from cnncli.explain.activations import LayerMaps, read_layer, read_stages
from cnncli.explain.layers import find_layer
from cnncli.images.intensity import to_fractions
from cnncli.models.stages import network_stages
from cnncli.plots.grid import to_picture
from cnncli.plots.lettering import drawable_text
from cnncli.plots.tiles import TileGroup, save_tiles
from cnncli.recipes.visualize.photos import Photo, as_batch, choose_photos
from cnncli.recipes.visualize.settings import View, VisualizeSettings, open_subject
from cnncli.reporting import Reporter
from cnncli.run.subject import Subject

_MOST = 64  # channels of the one layer that is asked for
_OF_STAGE, _OF_MANY = 16, 8  # channels of each layer where several, or many, are shown
_MANY = 8  # layers
_OF_INPUT = 16  # channels of a layer's input
_FLATTENS = (nn.Flatten, nn.AdaptiveAvgPool2d)
_CALLS = 4  # calls of one layer
_COLUMNS = 8
_IN_A_ROW = 64  # values without a place
_LETTERS = 60  # of an image's path; a longer one loses its middle
COLUMNS = ("layer", "call", "state", "function", "channel", "height", "width")
FIGURES = ("minimum", "mean", "maximum", "zeros")


def view(settings: VisualizeSettings, reporter: Reporter) -> View:
    """Draw the maps of a layer, or of the last layer of each stage, for one image.

    Raises:
        CnncliError: If there is no such run, network, layer or image.
    """
    if len(settings.images) > 1:
        raise CnncliError(f"--image {settings.images[1]}: one image at a time; leave it out")
    subject = open_subject(settings, reporter)
    if settings.layer is not None:
        find_layer(subject.network, settings.layer)
    (photo,) = choose_photos(settings, subject, reporter, count=1)
    images = subject.classifier().normalise(as_batch([photo]))
    if settings.layer is None:
        found = read_stages(subject.network, images, _main_layers(subject))
    else:
        found = read_layer(subject.network, images, settings.layer)
        if not found:
            raise CnncliError(
                f"--layer {settings.layer}: does not run when the network predicts, or gives no "
                "tensor"
            )
    groups = [_draw_photo(photo), *_draw_all(found, settings.layer is None)]
    return View(
        draw=partial(save_tiles, groups=groups),
        rows=_list_rows(found),
        columns=(*COLUMNS, *FIGURES),
        array=found[-1].maps,
        document={
            "image": photo.name,
            "layers": [
                {
                    **_describe(each),
                    "channels": len(each.maps),
                    "zeros": each.zeros,
                    "zeros_by_channel": (each.maps == 0).mean(axis=(1, 2)).tolist(),
                }
                for each in found
            ],
        },
    )


def _main_layers(subject: Subject) -> list[str]:
    """Return the last layer of each stage that still has places; its end may flatten the maps."""
    modules = dict(subject.network.named_modules())
    # A stage may also list single parameters.
    shown = {path for path, module in modules.items() if not _flattens(module)}
    stages = network_stages(subject.model, subject.network)
    last = [[path for path in stage.paths if path in shown] for stage in stages]
    return [paths[-1] for paths in last if paths]


def _flattens(module: nn.Module) -> bool:
    parts = list(module.children()) or [module]
    return all(isinstance(part, _FLATTENS) for part in parts)


def _describe(each: LayerMaps) -> dict[str, object]:
    height, width = each.maps.shape[1:]
    return {
        "layer": each.layer,
        "call": each.call,
        "state": each.state,
        "function": each.function if each.state == "after" else None,
        "height": height,
        "width": width,
    }


def _list_rows(found: Sequence[LayerMaps]) -> Iterator[Mapping[str, object]]:
    for each in found:
        for channel, values in enumerate(each.maps):
            yield {
                **_describe(each),
                "channel": channel,
                "minimum": float(values.min()),
                "mean": float(values.mean()),
                "maximum": float(values.max()),
                "zeros": float((values == 0).mean()),
            }


def _draw_photo(photo: Photo) -> TileGroup:
    picture = to_picture(to_fractions(photo.pixels, None)) / 255
    height, width = photo.pixels.shape[:2]
    name = drawable_text(photo.name, _LETTERS)
    title = f"{name}, as the network gets it: {height}×{width}"
    return TileGroup(title, picture[None], columns=4)


def _draw_all(found: Sequence[LayerMaps], stages: bool) -> Iterator[TileGroup]:
    last = found[-1].call
    for each in found:
        if stages:
            yield _draw(each, _OF_STAGE if len(found) < _MANY else _OF_MANY, "")
        elif each.call <= _CALLS:
            calls = f", call {each.call} of {last}" if last > 1 else ""
            yield _draw(each, _OF_INPUT if each.state == "input" else _MOST, calls)


def _draw(each: LayerMaps, most: int, calls: str) -> TileGroup:
    count, height, width = each.maps.shape
    title = f"{'input of ' if each.state == 'input' else ''}{each.layer}{calls}"
    if each.state == "after":
        title += f", after {each.function}"
    elif each.state == "output" and each.function:
        title += f", before {each.function}"
    is_vector = (height, width) == (1, 1)
    title += f": {count} values" if is_vector else f": {count} channels {height}×{width}"
    title += f", {100 * each.zeros:.0f} % zeros" if each.zeros else ""
    if is_vector:
        values = _as_rows(each.maps.ravel())[None]
        return TileGroup(title, values, (), *_choose_limits(each.maps), columns=1)
    title += f"; the first {most}" if count > most else ""
    shown = each.maps[:most]
    columns = _COLUMNS if most <= _OF_STAGE else 2 * _COLUMNS
    return TileGroup(title, shown, range(len(shown)), *_choose_limits(shown), columns=columns)


def _choose_limits(maps: Array) -> tuple[tuple[float, float], bool]:
    """Return the ends of the colours, and whether some values lie beyond them.

    One bright pixel would leave all others dark: the colours end where 1 % of the values that are
    not zero lie beyond them. They stand around zero where there are values on both sides of it.
    """
    sizes = np.abs(maps[maps != 0])
    if not sizes.size:
        return (0.0, 1.0), False
    most = float(np.quantile(sizes, 0.99))
    return (-most if (maps < 0).any() else 0.0, most), bool(sizes.max() > most)


def _as_rows(values: Array) -> Array:
    """Return values (F,) in rows of at most 64, the last filled up with NaN."""
    columns = min(len(values), _IN_A_ROW)
    rows = ceil(len(values) / columns)
    filled = np.full(rows * columns, np.nan)
    filled[: len(values)] = values
    return filled.reshape(rows, columns)
