"""A network as a table: the kind, the costs and the receptive field of each layer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from torch import nn

from cnncli.models.tracing.operation import Shape
from cnncli.models.tracing.receptive_field import Field
from cnncli.models.tracing.trace import Record, Run, trace_network

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
        calls: Number of times it runs in a forward pass. In the row of a folded block the shapes
            and the field are those of the last time.
        call: Which of these times the row shows, from 1. A layer has a row for each, and its
            parameters stand in the first. None where a row is of all times or of none.
        field: Which pixels one value of the output sees; None if it does not depend on the image.
        shares: Whether it computes with parameters that are counted in another row.
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
    call: int | None = None
    shares: bool = False

    @property
    def note(self) -> str:
        """What the columns do not say of the field and of the calls; empty if nothing."""
        if not self.calls:
            return NOT_RUN
        seen = NO_PIXELS if self.field is None else self.field.reason or self.field.part
        again = self.call is not None and self.calls > 1
        told = f"call {self.call} of {self.calls} of one module" if again else ""
        told += ", with the parameters of call 1" if told and self.shares else ""
        return "; ".join(filter(None, (told, seen)))

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
    built: list[tuple[tuple[int, bool], LayerRow]] = []
    for name, place in _find_places(records).items():
        if name in rows:
            shown = _build_row(name, modules[name], records[name], rows[name])
            built += _split_by_run(shown, place, modules[name], records[name])
    return tuple(shown for _, shown in sorted(built, key=lambda pair: pair[0]))


def _split_by_run(
    row: LayerRow, place: tuple[int, bool], module: nn.Module, record: Record
) -> list[tuple[tuple[int, bool], LayerRow]]:
    """Return a row with its place; of a layer that runs several times, one for each run."""
    if record.calls < 2 or next(module.children(), None) is not None:
        return [(place, row)]
    return [
        ((run.order, False), _of_one_run(row, number, run))
        for number, run in enumerate(record.runs)
    ]


def _of_one_run(row: LayerRow, number: int, run: Run) -> LayerRow:
    """Return the row of one of a module's runs; the first of them has the parameters."""
    first = number == 0
    return replace(
        row,
        input_shape=run.input_shape,
        output_shape=run.output_shape,
        parameters=row.parameters if first else 0,
        trainable=row.trainable if first else 0,
        macs=run.macs,
        activations=run.outputs,
        call=number + 1,
        shares=not first and row.parameters > 0,
        field=run.field,
    )


def _find_places(records: dict[str, Record]) -> dict[str, tuple[int, bool]]:
    """Return the place of each module's row: the end of its last run, and whether it does not run.

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
    return places


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
