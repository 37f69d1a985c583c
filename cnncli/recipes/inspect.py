"""List the layers of a model or of a run's network, with their costs and receptive fields."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import nn

from cnncli.arithmetic.region import DROPPED
from cnncli.choices import format_size
from cnncli.choices.spelling import tell_taken
from cnncli.errors import CnncliError, did_you_mean
from cnncli.models.build import build_network
from cnncli.models.freeze import Frozen, parse_policy
from cnncli.models.registry import CHAIN, find_model
from cnncli.models.stages import network_stages
from cnncli.models.tables.custom import CUSTOM
from cnncli.models.tracing.summary import LayerRow, Totals, add_up, summarise
from cnncli.reporting import Reporter
from cnncli.run.subject import is_run
from cnncli.training.checkpoint import load_checkpoint
from cnncli.training.find_checkpoint import find_checkpoint

# Image side in pixels, channels and classes where neither the user nor the model gives them. The
# last number is for cnncli's own networks.
_SIDE = 224
_CHANNELS = 3
_CLASSES, _OWN_CLASSES = 1000, 10


@dataclass(frozen=True)
class InspectSettings:
    """Which network to inspect, and which of its layers to show.

    Attributes:
        target: Name of a model, or path of a run folder or a checkpoint.
        image_size: (H, W) in pixels; None for the size of the model or the run.
        in_channels: C; None for the channels of the model or the run.
        num_classes: K; None for the classes of the model or the run.
        depth: Longest layer name that is shown, in parts (``layer1.0.conv1`` has 3); deeper layers
            are added to their parent's row. None for all layers.
        names: Glob patterns on layer names, of which one must match; empty for all layers.
        freeze: Freeze policy whose effect is shown; None for the policy that was in force at the
            run's best epoch.
        trainable_only: Whether to leave out layers that training does not change.
    """

    target: str
    image_size: tuple[int, int] | None = None
    in_channels: int | None = None
    num_classes: int | None = None
    depth: int | None = None
    names: tuple[str, ...] = ()
    freeze: str | None = None
    trainable_only: bool = False


@dataclass(frozen=True)
class ParameterRow:
    """One parameter: the weights, or the biases, of a layer.

    Attributes:
        name: Its name in ``named_parameters``, such as ``conv1.weight``.
        layer_type: Name of the class of the module that holds it.
        shape: Its shape, in torch's order: (filters, channels, height, width) for a convolution,
            (outputs, inputs) for a dense layer.
        count: Number of its values.
        trainable: Whether training changes it.
    """

    name: str
    layer_type: str
    shape: tuple[int, ...]
    count: int
    trainable: bool


@dataclass(frozen=True)
class Inspection:
    """A network's layers.

    Attributes:
        model: Name of the network in the registry.
        image_size: (H, W) in pixels of the image that was followed through the network.
        in_channels: C.
        num_classes: K.
        layers: The layers that were asked for, in the order in which they end.
        shown: Sums over ``layers``.
        totals: Sums over the whole network.
        parameters: The parameters of the layers that were asked for, in torch's order, a shared one
            once.
    """

    model: str
    image_size: tuple[int, int]
    in_channels: int
    num_classes: int
    layers: tuple[LayerRow, ...]
    shown: Totals
    totals: Totals
    parameters: tuple[ParameterRow, ...] = ()


def inspect_network(settings: InspectSettings, reporter: Reporter) -> Inspection:
    """List a network's layers with their costs and receptive fields; no image is computed.

    Args:
        settings: Which network and which of its layers.
        reporter: Is told which image size, channels and classes were chosen.

    Raises:
        CnncliError: If there is no such model or run, if it cannot take such images, or if no
            layer is left to show.
    """
    if settings.depth is not None and settings.depth < 1:
        raise CnncliError(f"--depth {settings.depth}: must be at least 1")
    if is_run(settings.target):
        network, model, size, channels, classes, policy = _load_run(settings, reporter)
    else:
        network, model, size, channels, classes = _build_model(settings, reporter)
        policy = settings.freeze or "none"
    stages = {stage.name: stage.paths for stage in network_stages(model, network)}
    frozen = parse_policy(policy, network, stages)
    if policy.startswith("stages:") and frozen == parse_policy("backbone", network, stages):
        reporter.note(f"--freeze {policy}: all stages, the same as --freeze backbone")
    try:
        layers = summarise(
            network,
            size,
            channels,
            depth=settings.depth,
            is_trainable=lambda name: not frozen.holds(name),
        )
    except (RuntimeError, ValueError, AssertionError) as error:
        reason = str(error).split("\n")[0]
        raise CnncliError(f"--image-size {format_size(size)}: {model} stops: {reason}") from error
    shown = _choose_layers(layers, settings)
    first = next((layer for layer in shown if layer.field is not None and layer.field.part), None)
    if first is not None and first.field is not None:
        reporter.note(f"{first.name} {first.field.part}: {DROPPED}")
    parameters = tuple(_list_parameters(network, frozen, settings))
    totals = add_up(shown), add_up(layers)
    return Inspection(model, size, channels, classes, shown, *totals, parameters)


def _list_parameters(
    network: nn.Module, frozen: Frozen, settings: InspectSettings
) -> Iterator[ParameterRow]:
    """Yield the parameters whose layer, or whose own name, was asked for."""
    modules = dict(network.named_modules())
    for path, parameter in network.named_parameters():
        layer = path.rpartition(".")[0]
        wanted = [fnmatchcase(name, glob) for glob in settings.names for name in (path, layer)]
        trains = not frozen.holds(path)
        if (any(wanted) or not settings.names) and (trains or not settings.trainable_only):
            kind = type(modules[layer]).__name__
            yield ParameterRow(path, kind, tuple(parameter.shape), parameter.numel(), trains)


_Network = tuple[nn.Module, str, tuple[int, int], int, int]


def _load_run(
    settings: InspectSettings, reporter: Reporter
) -> tuple[nn.Module, str, tuple[int, int], int, int, str]:
    path, how = find_checkpoint(settings.target, flag="")
    if how:
        reporter.note(f"checkpoint: {path} ({how})")
    network, checkpoint = load_checkpoint(path)
    channels, classes = checkpoint.preprocess.channels, len(checkpoint.class_names)
    for flag, given, own in (
        ("--in-channels", settings.in_channels, channels),
        ("--num-classes", settings.num_classes, classes),
    ):
        if given not in (None, own):
            raise CnncliError(f"{flag} {given}: the run has {own}; leave it out")
    size = settings.image_size or checkpoint.preprocess.image_size
    policy = settings.freeze or checkpoint.freeze
    return network, checkpoint.model, size, channels, classes, policy


def _build_model(settings: InspectSettings, reporter: Reporter) -> _Network:
    name = settings.target
    try:
        entry = find_model(name)
    except CnncliError as error:
        # In this command the name is an argument; `--model` belongs to other commands.
        raise CnncliError(str(error).removeprefix("--model ")) from None
    if told := tell_taken("MODEL", name, entry.name):
        reporter.note(told)
    name = entry.name
    own = name in CUSTOM or name.startswith(CHAIN)
    channels, side = CUSTOM[name].example if name in CUSTOM else (_CHANNELS, _SIDE)
    side = entry.image_size or side
    size = settings.image_size or (side, side)
    channels = channels if settings.in_channels is None else settings.in_channels
    classes = _OWN_CLASSES if own else _CLASSES
    classes = classes if settings.num_classes is None else settings.num_classes
    if channels < 1:
        raise CnncliError(f"--in-channels {channels}: must be at least 1")
    if classes < 1:
        raise CnncliError(f"--num-classes {classes}: must be at least 1")
    if None in (settings.image_size, settings.in_channels, settings.num_classes):
        reporter.note(
            f"{name} with --image-size {format_size(size)} --in-channels {channels} "
            f"--num-classes {classes}"
        )
    # Only shapes are needed: drawing the weights of a large network takes seconds.
    with torch.device("meta"):
        network = build_network(name, num_classes=classes, in_channels=channels, image_size=size)
    return network, name, size, channels, classes


def _choose_layers(layers: tuple[LayerRow, ...], settings: InspectSettings) -> tuple[LayerRow, ...]:
    chosen = layers
    if settings.names:
        chosen = tuple(
            layer
            for layer in layers
            if any(fnmatchcase(layer.name, pattern) for pattern in settings.names)
        )
        if not chosen:
            first = settings.names[0]
            near = did_you_mean(first, [layer.name for layer in layers])
            if any(layer.name.startswith(f"{first}.") for layer in layers):  # no row of its own
                near = f"; '{first}.*' names what is in it, --depth 1 shows it as one row;"
            where = f" at --depth {settings.depth}" if settings.depth else ""
            raise CnncliError(
                f"--names {' '.join(settings.names)}: no layer{where} is named so{near or ';'} "
                f"write a pattern such as '{layers[0].name.split('.')[0]}*'"
            )
    if settings.trainable_only:
        chosen = tuple(layer for layer in chosen if layer.trainable)
        if not chosen:
            raise CnncliError("--trainable-only: none of these layers is trainable")
    return chosen
