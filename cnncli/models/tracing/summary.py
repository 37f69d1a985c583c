"""A network as a table: the kind, the costs and the receptive field of each layer."""

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
        name: Name of the module in ``named_modules``; empty for the network itself.
        type: Name of the module's class.
        kernel: Size of its kernel, (height, width) in pixels; None if it has none.
        stride: Stride, (height, width) in pixels; None if it has no kernel.
        padding: Padding, (height, width) in pixels, or "same" or "valid"; None if it has no kernel.
        input_shape: Shape of its input without N; None if it takes tensors of several shapes.
        output_shape: Shape of its output without N; None if it returns tensors of several shapes.
        parameters: Number of values in its parameters.
        trainable: Number of those values that training changes.
        macs: Multiply-accumulates for one image.
        activations: Number of values in the outputs of its layers, for one image.
        calls: Number of times it runs in a forward pass; the shapes and the field are those of the
            last time.
        field: Which pixels one value of the output sees; None if it does not depend on the image.
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
        """Why the field is unknown, or that there is none; empty if the field is known."""
        if not self.calls:
            return NOT_RUN
        return NO_PIXELS if self.field is None else self.field.reason

    @property
    def activation_bytes(self) -> int:
        """Memory of its outputs in float32, in bytes."""
        return FLOAT32_BYTES * self.activations


@dataclass(frozen=True)
class Totals:
    """Sums over layers.

    Attributes:
        parameters: Number of values in all parameters, without buffers such as running means.
        trainable: Number of those values that training changes.
        macs: Multiply-accumulates for one image.
        activations: Number of values in the outputs of all layers, for one image. A forward pass
            keeps them for the backward pass if no layer writes in place.
    """

    parameters: int
    trainable: int
    macs: int
    activations: int

    @property
    def non_trainable(self) -> int:
        """Number of values in frozen parameters."""
        return self.parameters - self.trainable

    @property
    def activation_bytes(self) -> int:
        """Memory of the outputs in float32, in bytes."""
        return FLOAT32_BYTES * self.activations

    @property
    def parameter_bytes(self) -> int:
        """Memory of the parameters in float32, in bytes."""
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
class _RowSums:
    """Sums over the modules that one row of the table stands for; see `LayerRow`."""

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
    """List a network's layers in the order in which they end, with each parameter counted once.

    A layer is a module without children, or one that uses its children's weights itself, as
    attention does. Parameters that a block has beside its children, such as a class token, make a
    row of their own.

    Args:
        network: Takes images (N, C, H, W) and returns anything; it is neither changed nor computed.
        image_size: (H, W) in pixels.
        in_channels: C.
        depth: Longest name that is shown, in parts (``layer1.0.conv1`` has 3), at least 1; modules
            below are added to the row of their parent. None shows all layers.
        is_trainable: Whether training changes the parameter of that name, as a freeze policy
            decides; None takes each parameter's ``requires_grad``.

    Raises:
        RuntimeError, ValueError, AssertionError: Whatever the network raises on such images.
    """
    records = trace_network(network, image_size, in_channels)
    modules = dict(network.named_modules())
    rows: dict[str, _RowSums] = {}
    computing = _computing_modules(records)
    for name, record in records.items():
        layer = _fold(_row_name(name, records), depth)
        is_leaf = next(modules[name].children(), None) is None
        if is_leaf or record.macs or modules[name]._parameters:
            row = rows.setdefault(layer, _RowSums())
            row.macs += record.macs
            row.activations += record.outputs if name in computing else 0
    for path, parameter in network.named_parameters():  # it lists a shared parameter once
        trains = parameter.requires_grad if is_trainable is None else is_trainable(path)
        row = rows[_fold(_row_name(path.rpartition(".")[0], records), depth)]
        row.parameters += parameter.numel()
        row.trainable += parameter.numel() if trains else 0
    return tuple(
        _build_row(name, modules[name], records[name], rows[name])
        for name in _sort_by_end(records)
        if name in rows
    )


def _sort_by_end(records: dict[str, Record]) -> list[str]:
    """Return the modules' names, sorted by the end of their last run.

    A module that does not run follows the module before it under the same parent.
    """
    places: dict[str, tuple[int, bool]] = {}
    beside: dict[str, int] = {}  # parent to the place of its child that came last
    for name, record in records.items():
        parent = name.rpartition(".")[0]
        idle = not record.calls
        place = beside.get(parent, places.get(parent, (-1,))[0]) if idle else record.order
        beside[parent] = place
        places[name] = (place, idle)
    return sorted(records, key=lambda name: places[name])


def _row_name(name: str, records: dict[str, Record]) -> str:
    """Return the name of the module in whose row a module's parameters are counted.

    A module that never runs belongs to its nearest parent that runs, if that parent computes
    products by itself, as attention does with its children's weights. Otherwise the module keeps a
    row of its own, as an auxiliary head does in eval mode.
    """
    parent = name
    while parent and not records[parent].calls:
        parent = parent.rpartition(".")[0]
    return parent if records[parent].macs else name


def _fold(name: str, depth: int | None) -> str:
    return ".".join(name.split(".")[:depth])


def _computing_modules(records: dict[str, Record]) -> set[str]:
    """Return the names of the modules that computed something and did not only call others."""
    callers = set()
    for name, record in records.items():
        if record.calls and name:
            parts = name.split(".")
            callers |= {".".join(parts[:length]) for length in range(len(parts))}
    return {name for name, r in records.items() if r.calls and (name not in callers or r.macs)}


def _build_row(name: str, module: nn.Module, record: Record, sums: _RowSums) -> LayerRow:
    kernel = _pair(module, "kernel_size")
    padding = getattr(module, "padding", None)
    return LayerRow(
        name=name,
        type=type(module).__name__,
        kernel=kernel,
        # A block without a kernel may have an attribute ``stride`` that is one of its layers'.
        stride=_pair(module, "stride") if kernel else None,
        padding=None
        if not kernel
        else padding
        if isinstance(padding, str)
        else _pair(module, "padding"),
        input_shape=record.input_shape,
        output_shape=record.output_shape,
        parameters=sums.parameters,
        trainable=sums.trainable,
        macs=sums.macs,
        activations=sums.activations,
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
