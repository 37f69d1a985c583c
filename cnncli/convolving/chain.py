"""``--then``: the layers behind the convolution, in the words of ``conv-size --chain``."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from cnncli.arithmetic.chain import parse_chain
from cnncli.arithmetic.layers import (
    Activation,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalPool,
    LayerSpec,
    Norm,
    Pool,
    trace_chain,
)
from cnncli.convolving.step import Step
from cnncli.errors import CnncliError, did_you_mean


@dataclass(frozen=True, kw_only=True)
class Softmax(LayerSpec):
    """The softmax of a vector."""


def parse_then(text: str) -> tuple[LayerSpec, ...]:
    """Parse the layers behind the convolution.

    Args:
        text: Layers in the notation of `cnncli.arithmetic.chain`, and ``softmax``.

    Raises:
        CnncliError: If a layer cannot be parsed, or is one with weights of its own.
    """
    written = [" ".join(part.split()).lower() for part in re.split(r"[;\n]", text)]
    written = [part for part in written if part]
    for number, part in enumerate(written, 1):
        if part != "softmax" and did_you_mean(part, ["softmax"]):
            raise CnncliError(f"--then: layer {number} {part!r}: did you mean softmax?")
    # The notation has no softmax, because a network that is trained ends in logits. Another layer
    # without options keeps its place.
    stand_in = "; ".join("flatten" if part == "softmax" else part for part in written)
    try:
        layers = parse_chain(stand_in)
    except CnncliError as error:
        raise CnncliError(f"--then: {error}") from None
    found: list[LayerSpec] = []
    for layer, part in zip(layers, written, strict=True):
        if isinstance(layer, Conv | Dense):
            raise CnncliError(
                f"--then: {layer.error('has weights of its own, which are not known here')}; a "
                "second convolution is … --format csv | cnncli convolve - --kernel …"
            )
        is_softmax = part == "softmax"
        found.append(Softmax(number=layer.number, text="softmax") if is_softmax else layer)
    return tuple(found)


def build_steps(layers: tuple[LayerSpec, ...], shape: tuple[int, ...]) -> list[Step]:
    """Return the layers for an input of a shape, (C, H, W).

    An activation at a layer's end becomes a step of its own.

    Raises:
        CnncliError: At the first layer that does not fit its input.
    """
    steps: list[Step] = []
    for layer in layers:
        try:
            step = _build(layer, shape)
        except CnncliError as error:
            raise CnncliError(f"--then: {layer.error(str(error))}") from None
        if step is not None:
            steps.append(step)
            shape = step.out_shape
        if layer.activation:
            from cnncli.convolving.pointwise import Activated

            steps.append(Activated(layer.activation, shape, shape, layer.activation))
    return steps


def _build(layer: LayerSpec, shape: tuple[int, ...]) -> Step | None:
    """Return the layer without its activation; None if it is nothing else.

    Only the module of that kind of layer is imported, so that a short chain answers at once.
    """
    text = layer.text.removesuffix(f" {layer.activation}")
    if isinstance(layer, Activation):
        return None
    if isinstance(layer, Softmax | Norm):
        return _build_normalizing(layer, text, shape)
    out = _trace(layer, shape)
    if isinstance(layer, Pool | GlobalPool):
        from cnncli.convolving.pooling import GlobalPooling, Pooling

        if isinstance(layer, Pool):
            return Pooling(text, shape, out, layer.window, layer.mode)
        return GlobalPooling(text, shape, out)
    from cnncli.convolving.pointwise import Dropout as DropoutStep
    from cnncli.convolving.pointwise import Identity

    assert isinstance(layer, Dropout | Flatten)
    return (DropoutStep if isinstance(layer, Dropout) else Identity)(text, shape, out)


def _build_normalizing(layer: Softmax | Norm, text: str, shape: tuple[int, ...]) -> Step:
    from cnncli.convolving.normalize import BatchNorm
    from cnncli.convolving.normalize import Softmax as SoftmaxStep

    if isinstance(layer, Softmax):
        if len(shape) == 3:
            raise CnncliError("takes a vector; put flatten or gap before it")
        return SoftmaxStep(text, shape, shape)
    if len(shape) == 1 or shape[1] * shape[2] == 1:
        raise CnncliError(
            "batch normalisation of one image needs maps of more than one value; put it before "
            "flatten and gap"
        )
    return BatchNorm(text, shape, shape)


def _trace(layer: LayerSpec, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of a layer's output."""
    plain = replace(layer, activation=None)
    if len(shape) == 3:
        before: tuple[LayerSpec, ...] = ()
        channels, size = shape[0], (shape[1], shape[2])
    else:
        before, channels, size = (Flatten(),), shape[0], (1, 1)
    try:
        return trace_chain((*before, plain), size, channels)[-1].shape
    except CnncliError as error:
        named = str(layer.error(""))
        raise CnncliError(str(error).removeprefix(named)) from None
