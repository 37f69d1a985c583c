"""The layers of a network, with their output shapes, parameters, MACs and receptive fields.

`cnncli.arithmetic.chain` parses layers from text, and `cnncli.models.chain` builds them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from cnncli import choices
from cnncli.arithmetic.convolution import (
    ReceptiveField,
    Size,
    SlidingWindow,
    check_channels,
    count_macs,
    count_parameters,
)
from cnncli.arithmetic.region import Region, describe_part, find_region
from cnncli.errors import CnncliError, count_of

ACTIVATIONS: tuple[str, ...] = get_args(choices.ActivationName)


@dataclass(frozen=True, kw_only=True)
class LayerSpec:
    """One layer of a network as the user wrote it.

    Attributes:
        number: Place of the layer in the network, from 1.
        text: The layer's words as written.
        activation: One of `ACTIVATIONS`, applied to the layer's output; None for none.
    """

    number: int = field(default=1, compare=False)
    text: str = field(default="", compare=False)
    activation: str | None = None

    def error(self, message: str) -> CnncliError:
        """Return an error whose message names this layer."""
        return CnncliError(f"layer {self.number} {self.text!r}: {message}")


@dataclass(frozen=True, kw_only=True)
class Conv(LayerSpec):
    """A convolution, or a transposed convolution if ``window.kind`` is ``transposed``.

    Attributes:
        window: Kernel, stride, padding and dilation.
        filters: Number of output channels, at least 1.
        groups: Number of groups of channels; it divides the input channels and the filters.
        bias: Whether each filter has a bias.
    """

    window: SlidingWindow
    filters: int
    groups: int = 1
    bias: bool = True


@dataclass(frozen=True, kw_only=True)
class Pool(LayerSpec):
    """Max or average pooling."""

    window: SlidingWindow
    mode: Literal["max", "avg"] = "max"


@dataclass(frozen=True, kw_only=True)
class GlobalPool(LayerSpec):
    """Global average pooling: each map becomes its average, C × H × W to C values."""


@dataclass(frozen=True, kw_only=True)
class Norm(LayerSpec):
    """Batch normalisation of maps or values, with a scale and a shift for each channel."""


@dataclass(frozen=True, kw_only=True)
class Activation(LayerSpec):
    """A layer that is an activation only; its name is in ``activation``."""


@dataclass(frozen=True, kw_only=True)
class Dropout(LayerSpec):
    """Dropout: in training, values become 0 with ``probability``, which lies in [0, 1)."""

    probability: float


@dataclass(frozen=True, kw_only=True)
class Flatten(LayerSpec):
    """Flattens maps into a vector: C × H × W to C·H·W values."""


@dataclass(frozen=True, kw_only=True)
class Dense(LayerSpec):
    """A fully connected layer with ``units`` outputs."""

    units: int
    bias: bool = True


@dataclass(frozen=True)
class Trace:
    """One layer with the shape of its output, its costs and its receptive field.

    Attributes:
        layer: The layer.
        shape: Shape of its output for one image: (C, H, W) for maps, (values,) for a vector.
        parameters: Number of trainable values: weights and biases, and 2 for each channel of a
            batch normalisation.
        macs: Multiply-accumulates for one image; only convolutions and dense layers have any.
        field: Receptive field of one output value; None where every value sees all positions of
            the maps before it.
        region: The pixels that all these positions together see, where ``field`` is None.
    """

    layer: LayerSpec
    shape: tuple[int, ...]
    parameters: int = 0
    macs: int = 0
    field: ReceptiveField | None = None
    region: Region | None = None


def trace_chain(layers: tuple[LayerSpec, ...], size: Size, in_channels: int) -> tuple[Trace, ...]:
    """Follow one image through the layers of a network.

    Args:
        layers: The layers.
        size: Size of the image, (height, width) in pixels.
        in_channels: Number of channels of the image.

    Returns:
        A trace for each layer.

    Raises:
        CnncliError: At the first layer that does not fit its input, with its place.

    Source: MACs are counted as by fvcore and ptflops: one for each weight and output value, and
    none for biases, normalisation, activations and pooling. FLOPs are about twice as many.
    """
    traces: list[Trace] = []
    windows, sizes = [], [size]
    region: Region | None = None
    state = Trace(LayerSpec(), (in_channels, *size), field=ReceptiveField())
    for layer in layers:
        try:
            state = _follow(layer, state.shape, state.field)
        except CnncliError as error:
            raise layer.error(str(error)) from None
        if isinstance(layer, Conv | Pool):
            windows.append(layer.window)
            sizes.append((state.shape[1], state.shape[2]))
        if state.field is None:
            region = region or find_region(windows, sizes)
            state = replace(state, region=region)
        traces.append(state)
    return tuple(traces)


def describe_unseen_part(traces: tuple[Trace, ...], size: Size) -> str:
    """Return which part of an image the first layer behind the maps sees; empty if it sees all."""
    first = next((trace for trace in traces if trace.region is not None), None)
    told = describe_part(first.region, size) if first and first.region else ""
    return f"layer {first.layer.number} {first.layer.text!r} {told}" if first and told else ""


def _follow(layer: LayerSpec, shape: tuple[int, ...], sees: ReceptiveField | None) -> Trace:
    if isinstance(layer, Conv | Pool | GlobalPool):
        return _follow_maps(layer, shape, sees)
    if isinstance(layer, Norm):
        return Trace(layer, shape, parameters=2 * shape[0], field=sees)
    if isinstance(layer, Flatten):
        values = 1
        for side in shape:
            values *= side
        return Trace(layer, (values,), field=sees)  # one value is still one position's
    if isinstance(layer, Dense):
        if len(shape) == 3:
            raise CnncliError(
                f"takes a vector but gets maps of {format_shape(shape)}; put flatten before it"
            )
        macs = shape[0] * layer.units
        return Trace(layer, (layer.units,), macs + (layer.units if layer.bias else 0), macs)
    return Trace(layer, shape, field=sees)


def _follow_maps(
    layer: Conv | Pool | GlobalPool, shape: tuple[int, ...], sees: ReceptiveField | None
) -> Trace:
    if len(shape) == 1 or sees is None:
        raise CnncliError(
            f"takes maps but gets a vector of {count_of(shape[0], 'value')}; put it before "
            "flatten and gap"
        )
    channels, size = shape[0], (shape[1], shape[2])
    if isinstance(layer, GlobalPool):
        return Trace(layer, (channels,))
    window = layer.window
    output = window.output(size)
    if isinstance(layer, Pool):
        return Trace(layer, (channels, *output), field=sees.through(window))
    check_channels(channels, layer.filters, layer.groups)
    return Trace(
        layer,
        (layer.filters, *output),
        count_parameters(window, channels, layer.filters, groups=layer.groups, bias=layer.bias),
        count_macs(window, size, channels, layer.filters, groups=layer.groups),
        sees.through(window),
    )


def format_shape(shape: tuple[int, ...]) -> str:
    """Return a shape as text: ``"6x28x28"`` (channels, height, width) or ``"400"`` (values)."""
    return "x".join(str(side) for side in shape)
