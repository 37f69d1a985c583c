"""The layers of a network in one string, and what each makes of its input: integers only.

`cnncli.arithmetic.chain` reads them; here they are counted, `cnncli.models.chain` builds them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
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
from cnncli.errors import CnncliError

ACTIVATIONS: tuple[str, ...] = get_args(choices.ActivationName)


@dataclass(frozen=True, kw_only=True)
class LayerSpec:
    """One layer as written.

    Attributes:
        number: Its place in the chain, from 1.
        text: Its words.
        activation: One of `ACTIVATIONS`, applied to its output, or None.
    """

    number: int = field(default=1, compare=False)
    text: str = field(default="", compare=False)
    activation: str | None = None

    def error(self, message: str) -> CnncliError:
        """Return an error that says which layer it is about."""
        return CnncliError(f"layer {self.number} {self.text!r}: {message}")


@dataclass(frozen=True, kw_only=True)
class Conv(LayerSpec):
    """A convolution; transposed where ``window.kind`` says so."""

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
    """The average of each map: C × H × W to C values."""


@dataclass(frozen=True, kw_only=True)
class Norm(LayerSpec):
    """Batch normalisation of maps or values, with a scale and a shift for each."""


@dataclass(frozen=True, kw_only=True)
class Activation(LayerSpec):
    """An activation as a layer of its own; ``activation`` names it."""


@dataclass(frozen=True, kw_only=True)
class Dropout(LayerSpec):
    """Sets values to 0 with ``probability``, 0 ≤ p < 1, in training."""

    probability: float


@dataclass(frozen=True, kw_only=True)
class Flatten(LayerSpec):
    """C × H × W to C·H·W values."""


@dataclass(frozen=True, kw_only=True)
class Dense(LayerSpec):
    """A fully connected layer of ``units`` outputs."""

    units: int
    bias: bool = True


@dataclass(frozen=True)
class Trace:
    """What one layer makes of its input.

    Attributes:
        layer: The layer.
        shape: Of its output for one image: (C, H, W) of maps, (values,) of a vector.
        parameters: Trainable ones: weights and biases, 2 per channel of batch normalisation.
        macs: Multiply-accumulates for one image, of convolutions and dense layers only.
        field: None where every value sees the whole image.
    """

    layer: LayerSpec
    shape: tuple[int, ...]
    parameters: int = 0
    macs: int = 0
    field: ReceptiveField | None = None


def trace_chain(layers: tuple[LayerSpec, ...], size: Size, in_channels: int) -> tuple[Trace, ...]:
    """Follow one image of ``in_channels`` × ``size`` through the layers.

    Raises:
        CnncliError: At the first layer that does not fit what reaches it, with its place.

    Source: for MACs the convention of fvcore and ptflops: one per weight and output value, biases,
    normalisation, activations and pooling not counted. FLOPs are about twice as many.
    """
    traces: list[Trace] = []
    state = Trace(LayerSpec(), (in_channels, *size), field=ReceptiveField())
    for layer in layers:
        try:
            state = _follow(layer, state.shape, state.field)
        except CnncliError as error:
            raise layer.error(str(error)) from None
        traces.append(state)
    return tuple(traces)


def _follow(layer: LayerSpec, shape: tuple[int, ...], sees: ReceptiveField | None) -> Trace:
    if isinstance(layer, Conv | Pool | GlobalPool):
        return _follow_maps(layer, shape, sees)
    if isinstance(layer, Norm):
        return Trace(layer, shape, parameters=2 * shape[0], field=sees)
    if isinstance(layer, Flatten):
        values = 1
        for side in shape:
            values *= side
        return Trace(layer, (values,))
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
            f"takes maps but gets a vector of {shape[0]} values; put it before flatten and gap"
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
    """Return ``"6x28x28"`` (channels, height, width) or ``"400"``."""
    return "x".join(str(side) for side in shape)
