"""Names and stages of a network written by hand (``cnn:LAYERS``); no torch is imported."""

from __future__ import annotations

from dataclasses import dataclass

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
)
from cnncli.models.tables.layout import ModuleLayout, Stage

HEAD = "head"

_KINDS: tuple[tuple[type[LayerSpec], str], ...] = (
    (Dense, "dense"),
    (Norm, "bn"),
    (Pool, "pool"),
    (GlobalPool, "gap"),
    (Dropout, "dropout"),
    (Flatten, "flatten"),
)


@dataclass(frozen=True)
class ChainPlan:
    """The layers of a network written by hand, with the names of their modules.

    Attributes:
        layers: The layers as written.
        names: Name of each layer's module, such as ``conv1`` for a convolution in the first place;
            None for an activation that is a layer of its own.
        stages: One stage for each convolution or dense layer, with the layers that follow it. The
            first stage is the stem.
        layout: Paths of the stem and the head.
    """

    layers: tuple[LayerSpec, ...]
    names: tuple[str | None, ...]
    stages: tuple[Stage, ...]
    layout: ModuleLayout


def plan_chain(text: str) -> ChainPlan:
    """Parse a network written by hand and name its modules.

    A layer that ends with an activation makes two modules, such as ``conv1`` and ``relu1``. A dense
    layer for the classes, ``head``, follows the layers as written.

    Args:
        text: The layers, in the notation of `cnncli.arithmetic.chain`.

    Raises:
        CnncliError: At the first layer that cannot be parsed.
    """
    layers = parse_chain(text)
    names = tuple(_name(layer) for layer in layers)
    stages: list[tuple[str, list[str]]] = []
    for layer, name in zip(layers, names, strict=True):
        if not stages:
            stages.append(("stem", []))
        elif isinstance(layer, Conv | Dense) and _holds_weights(stages[-1][1]):
            stages.append((str(name), []))
        stages[-1][1].extend(part for part in (name, activation_name(layer)) if part)
    last = layers[-1]
    head_dropout = names[-1] if isinstance(last, Dropout) and not last.activation else None
    if head_dropout:
        stages[-1][1].remove(head_dropout)
    convolutions = [str(n) for x, n in zip(layers, names, strict=True) if isinstance(x, Conv)]
    layout = ModuleLayout(
        stem=convolutions[0] if convolutions else "",
        head=HEAD,
        head_dropout=head_dropout,
        batch_norm=any(isinstance(layer, Norm) for layer in layers),
        about="layers written by hand",
    )
    return ChainPlan(
        layers, names, tuple(Stage(name, tuple(paths)) for name, paths in stages), layout
    )


def activation_name(layer: LayerSpec) -> str | None:
    """Return the name of the module of a layer's activation, such as ``relu1``, or None."""
    return f"{layer.activation}{layer.number}" if layer.activation else None


def _name(layer: LayerSpec) -> str | None:
    if isinstance(layer, Activation):
        return None
    if isinstance(layer, Conv):
        kind = "deconv" if layer.window.kind == "transposed" else "conv"
    else:
        kind = next(kind for type_, kind in _KINDS if isinstance(layer, type_))
    return f"{kind}{layer.number}"


def _holds_weights(paths: list[str]) -> bool:
    return any(path.startswith(("conv", "deconv", "dense")) for path in paths)
