"""A network as a table: what each layer is, costs and sees."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from torch import nn

from cnncli.models.tracing.operation import Shape
from cnncli.models.tracing.receptive_field import Field
from cnncli.models.tracing.trace import Record, trace_network

FLOAT32_BYTES = 4
NOT_RUN = "not run in eval mode"
NO_PIXELS = "does not depend on the image"


@dataclass(frozen=True)
class LayerRow:
    """One layer, or all layers of a block folded into one.

    Attributes:
        name: As ``named_modules`` has it; empty for what belongs to the network itself.
        type: The module's class.
        kernel: (height, width) in pixels, None where it has none.
        stride: As ``kernel``.
        padding: As ``kernel``, or "same" or "valid".
        input_shape: Without N; None where there is not one tensor.
        output_shape: As ``input_shape``.
        parameters: Values in its parameters.
        trainable: Those of them that training changes.
        macs: Multiply-accumulates for one image.
        activations: Values in the outputs of its layers, for one image.
        calls: How often it runs; shapes and field are those of the last time.
        field: What one value of the output sees; None where it sees nothing.
    """

    name: str
    type: str
    kernel: Shape | None
    stride: Shape | None
    padding: Shape | str | None
    input_shape: Shape | None
    output_shape: Shape | None
    parameters: int
    trainable: int
    macs: int
    activations: int
    calls: int
    field: Field | None

    @property
    def note(self) -> str:
        """What the other columns cannot say: why a field is unknown, or that there is none."""
        if not self.calls:
            return NOT_RUN
        return NO_PIXELS if self.field is None else self.field.reason

    @property
    def activation_bytes(self) -> int:
        """Memory of its outputs in float32."""
        return FLOAT32_BYTES * self.activations


@dataclass(frozen=True)
class Totals:
    """Sums over layers.

    Attributes:
        parameters: Values in all parameters; buffers such as running means not counted.
        trainable: Those of them that training changes.
        macs: Multiply-accumulates for one image.
        activations: Values in the outputs of all layers for one image: what a forward pass keeps
            for the backward pass if nothing is written in place.
    """

    parameters: int
    trainable: int
    macs: int
    activations: int

    @property
    def non_trainable(self) -> int:
        """Values in frozen parameters."""
        return self.parameters - self.trainable

    @property
    def activation_bytes(self) -> int:
        """Memory of the outputs in float32."""
        return FLOAT32_BYTES * self.activations

    @property
    def parameter_bytes(self) -> int:
        """Memory of the parameters in float32."""
        return FLOAT32_BYTES * self.parameters


def add_up(layers: Iterable[LayerRow]) -> Totals:
    """Return the sums over some layers."""
    layers = tuple(layers)
    return Totals(
        parameters=sum(layer.parameters for layer in layers),
        trainable=sum(layer.trainable for layer in layers),
        macs=sum(layer.macs for layer in layers),
        activations=sum(layer.activations for layer in layers),
    )


@dataclass
class _Parts:
    """Sums over the modules that one row stands for."""

    parameters: int = 0
    trainable: int = 0
    macs: int = 0
    activations: int = 0


def summarise(
    network: nn.Module,
    image_size: tuple[int, int],
    in_channels: int,
    *,
    depth: int | None = None,
    is_trainable: Callable[[str], bool] | None = None,
) -> tuple[LayerRow, ...]:
    """List a network's layers in the order in which they end, each parameter counted once.

    A layer is a module without children, or one that uses its children's weights itself, as
    attention does. What a block owns beside its children (a class token) makes a row of its own.

    Args:
        network: Maps images (N, C, H, W) to anything; it is neither changed nor computed.
        image_size: (H, W) in pixels.
        in_channels: C.
        depth: Fold what lies deeper than so many names (``layer1.0.conv1`` has 3); at least 1.
        is_trainable: Of a parameter by name (a freeze policy); None asks ``requires_grad``.

    Raises:
        RuntimeError, ValueError, AssertionError: Whatever the network raises on such images.
    """
    records = trace_network(network, image_size, in_channels)
    modules = dict(network.named_modules())
    rows: dict[str, _Parts] = {}
    computing = _computing_modules(records)
    for name, record in records.items():
        layer = _fold(_row_name(name, records), depth)
        is_leaf = next(modules[name].children(), None) is None
        if is_leaf or record.macs or modules[name]._parameters:
            row = rows.setdefault(layer, _Parts())
            row.macs += record.macs
            row.activations += record.outputs if name in computing else 0
    for path, parameter in network.named_parameters():  # shared ones come once
        trains = parameter.requires_grad if is_trainable is None else is_trainable(path)
        row = rows[_fold(_row_name(path.rpartition(".")[0], records), depth)]
        row.parameters += parameter.numel()
        row.trainable += parameter.numel() if trains else 0
    return tuple(
        _build_row(name, modules[name], records[name], rows[name])
        for name in _in_order(records)
        if name in rows
    )


def _in_order(records: dict[str, Record]) -> list[str]:
    """Return names by the end of their last run; what does not run follows what it is beside."""
    places: dict[str, tuple[int, bool]] = {}
    beside: dict[str, int] = {}  # of the module before it, under the same parent
    for name, record in records.items():
        parent = name.rpartition(".")[0]
        idle = not record.calls
        place = beside.get(parent, places.get(parent, (-1,))[0]) if idle else record.order
        beside[parent] = place
        places[name] = (place, idle)
    return sorted(records, key=lambda name: places[name])


def _row_name(name: str, records: dict[str, Record]) -> str:
    """Return the module whose row a module's parameters belong to.

    A module that never runs lends its weights to the parent where that multiplies by itself
    (attention); elsewhere it is idle (an auxiliary head in eval mode).
    """
    parent = name
    while parent and not records[parent].calls:
        parent = parent.rpartition(".")[0]
    return parent if records[parent].macs else name


def _fold(name: str, depth: int | None) -> str:
    return ".".join(name.split(".")[:depth])


def _computing_modules(records: dict[str, Record]) -> set[str]:
    """Return the modules whose outputs count: those that ran and did not only call others."""
    callers = set()
    for name, record in records.items():
        if record.calls and name:
            parts = name.split(".")
            callers |= {".".join(parts[:length]) for length in range(len(parts))}
    return {name for name, r in records.items() if r.calls and (name not in callers or r.macs)}


def _build_row(name: str, module: nn.Module, record: Record, parts: _Parts) -> LayerRow:
    kernel = _pair(module, "kernel_size")
    padding = getattr(module, "padding", None)
    return LayerRow(
        name=name,
        type=type(module).__name__,
        kernel=kernel,
        # Blocks keep the stride of one of their layers under the same name.
        stride=_pair(module, "stride") if kernel else None,
        padding=None
        if not kernel
        else padding
        if isinstance(padding, str)
        else _pair(module, "padding"),
        input_shape=record.input_shape,
        output_shape=record.output_shape,
        parameters=parts.parameters,
        trainable=parts.trainable,
        macs=parts.macs,
        activations=parts.activations,
        calls=record.calls,
        field=record.field,
    )


def _pair(module: nn.Module, attribute: str) -> Shape | None:
    value = getattr(module, attribute, None)
    if isinstance(value, int) and not isinstance(value, bool):
        return (value, value)
    if isinstance(value, list | tuple) and value and all(isinstance(v, int) for v in value):
        return tuple(value)
    return None
