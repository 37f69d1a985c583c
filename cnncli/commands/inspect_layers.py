"""``cnncli inspect-layers``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cnncli.choices import format_size, parse_size
from cnncli.errors import CnncliError
from cnncli.reporting import TableLayout
from cnncli.shell.command import FLAG_HINTS
from cnncli.shell.terminal import TerminalReporter, choose_format, print_json, print_rows

if TYPE_CHECKING:
    from cnncli.models.tracing.summary import LayerRow, Totals
    from cnncli.recipes.inspect import Inspection

Row = dict[str, Any]

COLUMNS = [
    "name", "type", "kernel", "stride", "padding", "input", "output", "parameters",
    "trainable", "macs", "receptive_field", "jump",
]  # fmt: skip
# A table is wide enough without these.
MORE_COLUMNS = ["activation_bytes", "calls", "note", "call"]


def inspect_layers(
    target: Annotated[
        str,
        typer.Argument(
            metavar="MODEL|RUN",
            help="A model's name, a run folder or its best.safetensors.",
            show_default=False,
        ),
    ],
    depth: Annotated[
        int | None,
        typer.Option(metavar="N", help="Fold blocks whose names have more than N parts."),
    ] = None,
    names: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help="Only layers named so, 'layer4*'; may be repeated."),
    ] = None,
    freeze: Annotated[
        str | None,
        typer.Option(
            metavar="POLICY",
            help="Show what a policy of `finetune` leaves trainable [the run's own; none].",
        ),
    ] = None,
    trainable_only: Annotated[
        bool, typer.Option("--trainable-only", help="Only layers that training changes.")
    ] = False,
    image_size: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="Size of the images in pixels, N or HEIGHTxWIDTH [the model's, the run's].",
        ),
    ] = None,
    in_channels: Annotated[
        int | None, typer.Option(help="Channels of the images [the model's, the run's].")
    ] = None,
    num_classes: Annotated[
        int | None, typer.Option(help="Classes of the head [1000; our own models 10; the run's].")
    ] = None,
    parameters: Annotated[
        bool,
        typer.Option(
            "--parameters", help="A row for each weight and each bias, with its shape and count."
        ),
    ] = False,
    output_format: Annotated[
        Literal["table", "csv", "json"] | None,
        typer.Option("--format", help="Form of the answer [table on a terminal, csv in a pipe]."),
    ] = None,
) -> None:
    """Show what each layer of a network is, costs and sees.

    MACs are multiply-accumulates for one image, attention's included, biases not; FLOPs are about
    twice as many. The receptive field is what one output value sees, in input pixels, borders
    ignored; "whole image" where it sees all of it by construction, "26 of 28" where it sees all
    that the layers before it left over, "unknown" behind attention. A module that is called
    several times has a row for each call; its parameters are counted in the first.
    Memory is that of float32: of all parameters, and of all layers' outputs for one image.
    """
    if parameters and depth is not None:
        raise CnncliError("--depth: folds layers; --parameters shows single weights: leave one out")
    size = None if image_size is None else parse_size(image_size, what="--image-size")
    from cnncli.recipes.inspect import InspectSettings, inspect_network

    settings = InspectSettings(
        target=target,
        image_size=size,
        in_channels=in_channels,
        num_classes=num_classes,
        depth=depth,
        names=tuple(names or ()),
        freeze=freeze,
        trainable_only=trainable_only,
    )
    reporter = TerminalReporter()
    found = inspect_network(settings, reporter)
    chosen = choose_format(output_format, piped="csv")
    if parameters:
        _print_parameters(found, chosen)
        return
    if chosen == "json":
        print_json(
            {
                "model": found.model,
                "image_size": list(found.image_size),
                "in_channels": found.in_channels,
                "num_classes": found.num_classes,
                "layers": [_describe(layer, nested=True) for layer in found.layers],
                "shown": _sums(found.shown),
                "totals": _sums(found.totals),
            }
        )
        return
    rows = [_describe(layer, nested=False, table=chosen == "table") for layer in found.layers]
    if found.shown != found.totals:
        rows.append({"name": "shown", **_sums(found.shown)})
    rows.append({"name": "total", **_sums(found.totals)})
    columns = COLUMNS if chosen == "table" else COLUMNS + MORE_COLUMNS
    if chosen == "table" and any(layer.call for layer in found.layers):
        columns = [*COLUMNS[:2], "call", *COLUMNS[2:]]
    some_frozen = found.totals.trainable != found.totals.parameters
    layout = replace(_LAYOUT, keep=("parameters", "trainable")) if some_frozen else _LAYOUT
    print_rows(rows, columns, chosen, layout=layout)
    if chosen == "table":
        print_rows(_list_totals(found.totals), ("total", "value"), "table")


_LAYOUT = TableLayout(
    drop=("trainable", "padding", "input", "jump", "stride", "kernel", "type", "macs"),
    short=("parameters", "trainable", "macs"),
    whole="--format csv",
)


_HINTS = {"--layer": "--names 'layer3*' shows some layers, visualize has --layer"}
setattr(inspect_layers, FLAG_HINTS, _HINTS)


def _print_parameters(found: Inspection, chosen: str) -> None:
    """Print a row for each parameter of the layers that are shown, and the sum."""
    nested = chosen == "json"
    rows: list[Row] = [
        {
            "name": parameter.name,
            "type": parameter.layer_type,
            "shape": _shape(parameter.shape, nested),
            "parameters": parameter.count,
            "trainable": parameter.count if parameter.trainable else 0,
        }
        for parameter in found.parameters
    ]
    total = {key: sum(row[key] for row in rows) for key in ("parameters", "trainable")}
    if nested:
        print_json({"model": found.model, "parameters": rows, "shown": total})
        return
    columns = ["name", "type", "shape", "parameters", "trainable"]
    print_rows([*rows, {"name": "total", **total}], columns, chosen)


def _describe(layer: LayerRow, *, nested: bool, table: bool = False) -> Row:
    """Return a layer's cells; sizes are lists in JSON and N or HxW elsewhere.

    A table says of what part of the image a layer sees, and which of its calls a row is.
    """
    field = layer.field
    seen: Any = None if not layer.calls else "none" if field is None else field.size
    seen = _cell(seen, nested)
    if table and field is not None and field.part:
        height, width = (span.image for span in field.spans)
        seen = f"{seen} of {format_size((height, width))}"
    call: Any = layer.call
    if table:
        call = f"{layer.call} of {layer.calls}" if layer.call else None
    return {
        "name": layer.name if nested or layer.name else "(network)",
        "type": layer.type,
        "call": call,
        "kernel": _cell(layer.kernel, nested),
        "stride": _cell(layer.stride, nested),
        "padding": _cell(layer.padding, nested),
        "input": _shape(layer.input_shape, nested),
        "output": _shape(layer.output_shape, nested),
        "parameters": layer.parameters,
        "trainable": layer.trainable,
        "macs": layer.macs,
        "receptive_field": seen,
        "jump": _cell(None if field is None else field.jump, nested),
        "activation_bytes": layer.activation_bytes,
        "calls": layer.calls,
        "note": layer.note or None,
    }


def _cell(value: Any, nested: bool) -> Any:
    """Return a pair as one number where both are equal."""
    if not isinstance(value, tuple):
        return value
    if len(set(value)) == 1:
        return value[0]
    if len(value) != 2:
        return list(value) if nested else "x".join(map(str, value))
    return list(value) if nested else format_size((value[0], value[1]))


def _shape(shape: tuple[int, ...] | None, nested: bool) -> Any:
    if shape is None:
        return None
    return list(shape) if nested else "x".join(map(str, shape))


def _sums(totals: Totals) -> Row:
    return {
        "parameters": totals.parameters,
        "trainable": totals.trainable,
        "non_trainable": totals.non_trainable,
        "macs": totals.macs,
        "activation_bytes": totals.activation_bytes,
        "parameter_bytes": totals.parameter_bytes,
    }


def _list_totals(totals: Totals) -> list[Row]:
    sums = _sums(totals)
    memory = {key: _format_bytes(sums.pop(key)) for key in ("activation_bytes", "parameter_bytes")}
    return [
        *({"total": key.replace("_", "-"), "value": f"{value:,}"} for key, value in sums.items()),
        {"total": "activation memory (float32, one image)", "value": memory["activation_bytes"]},
        {"total": "parameter memory (float32)", "value": memory["parameter_bytes"]},
    ]


def _format_bytes(count: int) -> str:
    if count < 2**20:
        return f"{count / 2**10:,.1f} KiB"
    return f"{count / 2**20:,.1f} MiB"
