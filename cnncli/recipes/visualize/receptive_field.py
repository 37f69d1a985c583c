"""``cnncli visualize receptive-field``: what a unit can see, and what it looks at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from cnncli.errors import CnncliError
from cnncli.explain.effective_field import SHARE, EffectiveField, find_extent, measure_field
from cnncli.explain.layers import find_layer
from cnncli.explain.units import Grid, choose_index, find_grid, find_pixels, run_layers
from cnncli.images.placement import Box
from cnncli.models.stages import network_stages
from cnncli.models.tracing.summary import NO_PIXELS, NOT_RUN
from cnncli.models.tracing.trace import Record, trace_network
from cnncli.plots.effective_field import FieldPanel, Rectangle, save_fields
from cnncli.recipes.visualize.photos import Photo, as_batch, choose_photos
from cnncli.recipes.visualize.settings import View, VisualizeSettings, open_subject
from cnncli.reporting import Reporter
from cnncli.run.subject import Subject

_NOISE = 16  # images of noise, where a unit has no gradient on the images
COLUMNS = (
    *("layer", "channel", "row", "column", "field"),
    *("box_top", "box_left", "box_height", "box_width"),
    *("seen_top", "seen_left", "seen_height", "seen_width"),
    *("effective_top", "effective_left", "effective_height", "effective_width"),
    *("effective_size", "inside", "inputs"),
)


@dataclass(frozen=True)
class _Layer:
    """A layer of which one unit is shown.

    Attributes:
        name: Its name.
        record: What the trace found.
        grid: Where channels and positions lie in its output.
        index: Index of the unit.
        field: Its effective field.
        inputs: What it was measured on: ``images`` or ``noise``; empty where the unit is dead.
    """

    name: str
    record: Record
    grid: Grid
    index: tuple[int, ...]
    field: EffectiveField
    inputs: str


def view(settings: VisualizeSettings, reporter: Reporter) -> View:
    """Draw the theoretical and the effective receptive field of a unit of each stage.

    Raises:
        CnncliError: If there is no such run, network, layer, unit or image.
    """
    subject = open_subject(settings, reporter)
    pre = subject.preprocess
    records = trace_network(subject.network, pre.image_size, pre.channels)
    names = _choose_layers(subject, records, settings.layer)
    photos = choose_photos(settings, subject, reporter, count=settings.count or 1)
    images = subject.classifier().normalise(as_batch(photos)).detach()
    layers = _measure(subject, records, names, images, settings, reporter)
    rows = [_row(layer, pre.image_size) for layer in layers]
    panels = [
        _panel(layer, row, photos[0], pre.image_size)
        for layer, row in zip(layers, rows, strict=True)
    ]
    seen = photos[0].seen
    return View(
        draw=partial(
            save_fields,
            picture=photos[0].picture,
            seen=(seen.top, seen.left, seen.height, seen.width),
            panels=panels,
            note=_describe(subject, photos, layers),
        ),
        rows=rows,
        columns=COLUMNS,
        array=np.stack([layer.field.gradient for layer in layers]),
        document={
            "images": [photo.name for photo in photos],
            "input_height": pre.height,
            "input_width": pre.width,
            "share": SHARE,
            "layers": rows,
        },
    )


def _choose_layers(subject: Subject, records: dict[str, Record], layer: str | None) -> list[str]:
    """Return the layer that was named, or the last layer of each stage.

    Raises:
        CnncliError: If the layer does not exist or sees nothing of an image.
    """
    if layer is not None:
        find_layer(subject.network, layer)
        record = records[layer]
        if record.field is None or record.output_shape is None:
            reason = NO_PIXELS if record.calls else f"is {NOT_RUN}"
            raise CnncliError(f"--layer {layer}: has no receptive field: it {reason}")
        return [layer]
    names = []
    for stage in network_stages(subject.model, subject.network):
        known = [path for path in stage.paths if path in records]
        known = [path for path in known if records[path].field and records[path].output_shape]
        names += known[-1:]
    if not names:
        raise CnncliError(f"{subject.model}: no stage of it has an output; name one with --layer")
    return names


def _measure(
    subject: Subject,
    records: dict[str, Record],
    names: Sequence[str],
    images: torch.Tensor,
    settings: VisualizeSettings,
    reporter: Reporter,
) -> list[_Layer]:
    """Return the effective field of a unit of each layer."""
    images = images.requires_grad_()
    outputs = run_layers(subject.network, images, names)
    noise: torch.Tensor | None = None
    noisy: dict[str, torch.Tensor] = {}
    layers = []
    for name in names:
        record = records[name]
        assert record.field is not None
        assert record.output_shape is not None
        grid = find_grid(record.field, record.output_shape)
        index = choose_index(grid, settings.unit, name)
        if settings.unit is None:
            index[grid.channel] = _find_strongest(outputs[name], grid, index)
        field, inputs = measure_field(outputs[name], images, index), "images"
        if not field.alive:
            if noise is None:
                generator = torch.Generator().manual_seed(settings.seed)
                shape = (_NOISE, *images.shape[1:])
                noise = torch.randn(shape, generator=generator).requires_grad_()
                noisy = run_layers(subject.network, noise, names)
            field, inputs = measure_field(noisy[name], noise, index), "noise"
            unit = ",".join(map(str, index))
            told = f"unit {unit} of {name} has no gradient on {_count(len(images))}"
            if field.alive:
                reporter.warn(f"{told}: its effective field is the mean over {_NOISE} of noise")
            else:
                inputs = ""
                reporter.warn(f"{told}, nor on {_NOISE} of noise: it is dead, or saturated")
        layers.append(_Layer(name, record, grid, tuple(index), field, inputs))
    return layers


def _find_strongest(output: torch.Tensor, grid: Grid, index: Sequence[int]) -> int:
    """Return the channel with the largest mean over the images at a position."""
    where: Any = [slice(None), *index]
    where[grid.channel + 1] = slice(None)
    return int(output.detach()[tuple(where)].mean(dim=0).argmax())


def _count(images: int) -> str:
    return "the image" if images == 1 else f"the {images} images"


def _row(layer: _Layer, size: tuple[int, int]) -> dict[str, object]:
    """Return the numbers of a unit, in pixels of the network's input."""
    field, grid = layer.record.field, layer.grid
    assert field is not None
    extent = field.size
    row: dict[str, object] = dict.fromkeys(COLUMNS)
    row |= {
        "layer": layer.name,
        "channel": layer.index[grid.channel],
        "row": None if grid.row is None else layer.index[grid.row],
        "column": None if grid.column is None else layer.index[grid.column],
        "field": "×".join(map(str, extent)) if isinstance(extent, tuple) else str(extent),
        "inputs": layer.inputs,
    }
    box = _find_box(layer)
    if box is not None:
        top, left, height, width = box
        first = max(top, 0), max(left, 0)
        last = min(top + height, size[0]), min(left + width, size[1])
        clipped = (*first, max(last[0] - first[0], 0), max(last[1] - first[1], 0))
        row |= _name("box", box) | _name("seen", clipped)
    gradient = layer.field.gradient
    if layer.inputs:
        extent_found = find_extent(gradient)
        row |= _name("effective", extent_found)
        row["effective_size"] = round(float(np.sqrt(extent_found[2] * extent_found[3])), 2)
        if box is not None:
            part = gradient[first[0] : last[0], first[1] : last[1]]
            row["inside"] = round(float(part.sum()), 6)
    return row


def _find_box(layer: _Layer) -> tuple[int, int, int, int] | None:
    assert layer.record.field is not None
    rows, columns = find_pixels(layer.record.field, layer.index)
    if rows is None or columns is None:
        return None
    return rows[0], columns[0], rows[1] - rows[0] + 1, columns[1] - columns[0] + 1


def _name(prefix: str, numbers: Sequence[int]) -> dict[str, object]:
    keys = ("top", "left", "height", "width")
    return {f"{prefix}_{key}": number for key, number in zip(keys, numbers, strict=True)}


def _panel(
    layer: _Layer, row: dict[str, object], photo: Photo, size: tuple[int, int]
) -> FieldPanel:
    place = [layer.grid.channel, layer.grid.row, layer.grid.column]
    unit = ",".join(str(layer.index[dim]) for dim in place if dim is not None)
    if layer.grid.token is not None:
        unit += f" of token {layer.index[layer.grid.token]}"
    title = [f"{layer.name}, unit {unit}"]
    assert layer.record.field is not None
    if row["field"] == "unknown":
        title.append(f"can see: unknown ({layer.record.field.reason})")
    elif row["field"] == "whole image":
        title.append("can see: the whole image")
    else:
        title.append(f"can see: {row['box_height']}×{row['box_width']} px")
    if layer.inputs:
        sides = f"{row['effective_height']}×{row['effective_width']}"
        noise = " (noise)" if layer.inputs == "noise" else ""
        title.append(f"looks at: {sides} px{noise}")
    else:
        title.append("looks at: nothing (dead)")
    return FieldPanel(
        title=title,
        gradient=layer.field.gradient if layer.inputs else None,
        theory=_place(row, "seen", photo.seen, size),
        effective=_place(row, "effective", photo.seen, size),
    )


def _place(
    row: dict[str, object], prefix: str, seen: Box, size: tuple[int, int]
) -> Rectangle | None:
    """Return a rectangle of the network's input in pixels of the image."""
    numbers: Any = [row[f"{prefix}_{key}"] for key in ("top", "left", "height", "width")]
    if numbers[0] is None:
        return None
    down, right = seen.height / size[0], seen.width / size[1]
    top, left, height, width = numbers
    return seen.top + top * down, seen.left + left * right, height * down, width * right


def _describe(subject: Subject, photos: Sequence[Photo], layers: Sequence[_Layer]) -> str:
    weights = "" if subject.is_trained else " with random weights"
    size = "×".join(map(str, subject.preprocess.image_size))
    lines = [
        f"{subject.model}{weights}; sizes in pixels of the network's input, {size}",
        f"colour: square root of the gradient's size; dashed: {SHARE:.0%} of it along each axis",
    ]
    if len(photos) > 1:
        lines.append(f"gradients are means over {len(photos)} images, of which the first is shown")
    return "\n".join(lines)
