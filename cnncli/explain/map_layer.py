"""The layers whose output is a map: a value for each place of the image, in whatever layout."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import nn

from cnncli.errors import CnncliError, shorten
from cnncli.explain.covered import find_covered
from cnncli.explain.layers import find_layer
from cnncli.images.placement import WHOLE, Box
from cnncli.models.head import main_logits

Layout = Literal["NCHW", "NHWC", "tokens"]

# Most tokens before the patches: a class token, one for distillation, registers.
_MOST_PREFIX = 8
# A map has about the proportions of the image; rounding changes those of small maps most.
_MOST_DISTORTION = math.log(2.01)
# These hand their input on in eval mode, or repeat the places of smaller maps.
_PASSED_OVER = (nn.Identity, nn.modules.dropout._DropoutNd, nn.modules.pooling._AdaptiveAvgPoolNd)


@dataclass(frozen=True)
class MapLayer:
    """A layer whose output is a map, and how the output is laid out.

    Attributes:
        name: The layer's name.
        layout: ``NCHW``, ``NHWC``, or ``tokens`` for (N, T, C).
        grid: (h, w) places of the map.
        prefix: Tokens before those of the places, such as the class token; 0 for other layouts.
        covered: The part of the network's input that the places cover, in fractions.
    """

    name: str
    layout: Layout
    grid: tuple[int, int]
    prefix: int = 0
    covered: Box = WHOLE

    def to_maps(self, output: torch.Tensor) -> torch.Tensor:
        """Return the layer's output as (N, C, h, w), without tokens that have no place."""
        if self.layout == "NCHW":
            return output
        if self.layout == "NHWC":
            return output.permute(0, 3, 1, 2)
        places = output[:, self.prefix :].transpose(1, 2)
        return places.reshape(*places.shape[:2], *self.grid)


@dataclass
class LayerPass:
    """One pass through a network in which a layer was watched.

    Attributes:
        logits: (N, K).
        output: What the layer gave.
    """

    logits: torch.Tensor
    output: torch.Tensor


def run_to_layer(network: nn.Module, images: torch.Tensor, name: str) -> LayerPass:
    """Run a network and keep what a layer gave, with its gradient graph.

    It works for frozen networks too, because the images ask for a gradient.

    Args:
        network: In eval mode; takes normalised images (N, C, H, W).
        images: The images.
        name: The layer's name.
    """
    kept: list[torch.Tensor] = []

    def keep(layer: nn.Module, args: object, output: object) -> object:
        value = _first_tensor(output)
        if value is None:
            return output
        kept.append(value)
        # What follows may work in place: it gets a copy, and ours stays as the layer gave it.
        return value.clone() if isinstance(output, torch.Tensor) else output

    with torch.enable_grad(), _hooked([network.get_submodule(name)], keep):
        logits = main_logits(network(images.detach().clone().requires_grad_()))
    return LayerPass(logits, kept[-1])


def gradient_of(layer_pass: LayerPass, targets: Sequence[int]) -> torch.Tensor:
    """Return the gradient of each image's class logit with respect to the layer's output."""
    score = layer_pass.logits[torch.arange(len(targets)), list(targets)].sum()
    if not (layer_pass.output.requires_grad and score.requires_grad):
        return torch.zeros_like(layer_pass.output)
    (gradient,) = torch.autograd.grad(score, layer_pass.output, allow_unused=True)
    return torch.zeros_like(layer_pass.output) if gradient is None else gradient


def find_map_layer(
    network: nn.Module, image: torch.Tensor, *, head: str, name: str | None = None
) -> MapLayer:
    """Find the last layer before the head whose output is a map that the head depends on.

    Maps of a single place are passed over. So are the tokens behind the last attention of a
    transformer with a class token: only this token is read there, and the gradient of all others is
    zero. What enters that attention is found instead.

    Args:
        network: In eval mode; takes normalised images (N, C, H, W).
        image: (1, C, H, W) an image to try.
        head: Path of the layer that computes the logits.
        name: Takes this layer; None searches.

    Raises:
        CnncliError: If there is no such layer, or its output is no map.
    """
    found = _search_layer(network, image, head, name)
    return replace(found, covered=find_covered(network, image, found.name, found.grid))


def _search_layer(network: nn.Module, image: torch.Tensor, head: str, name: str | None) -> MapLayer:
    if name is not None:
        find_layer(network, name)
    found = _list_map_layers(network, image, head, name)
    if name is not None:
        layer, shape = found.named
        if layer is None:
            told = "is not used for this image" if shape is None else f"gives {_show(shape)}"
            others = shorten([known.name for known in reversed(found.maps)], 3)
            raise CnncliError(f"--layer {name}: {told}, no map of several places; {_offer(others)}")
        return layer
    candidates = found.maps[::-1]
    if not candidates:
        raise CnncliError(
            "the network has no map of more than one place at this image size; --method occlusion "
            "needs none"
        )
    is_stream = candidates[0].layout == "tokens"
    if is_stream:  # the tokens themselves, and not what an attention computes of them on the way
        width = found.channels[candidates[0].name]
        candidates = [c for c in candidates if found.channels[c.name] == width]
    # A map of the trunk comes before one of a branch, which sees a part of what the head sees.
    for of_trunk in (False,) if is_stream else (True, False):
        for layer in candidates:
            if of_trunk and not _carries_all(network, image, head, layer.name):
                continue
            if layer.to_maps(_probe(network, image, head, layer.name)).any():
                return layer
    return candidates[0]  # the head depends on no map at all, and the answer is a map of zeros


def _probe(network: nn.Module, image: torch.Tensor, head: str, name: str) -> torch.Tensor:
    """Return the gradient, at a layer, of a random sum of what enters the head.

    The head itself is left out: that of an untrained ViT is zero.
    """
    with _features(network, head) as features:
        output = run_to_layer(network, image, name).output
    (gradient,) = torch.autograd.grad(_mix(features), output, allow_unused=True)
    return torch.zeros_like(output) if gradient is None else gradient


def _carries_all(network: nn.Module, image: torch.Tensor, head: str, name: str) -> bool:
    """Return whether all that the head knows of an image has passed through a layer."""

    def cut(layer: nn.Module, args: object, output: object) -> object:
        return output.detach() if isinstance(output, torch.Tensor) else output

    layer = network.get_submodule(name)
    with torch.enable_grad(), _features(network, head) as features, _hooked([layer], cut):
        asked = image.detach().clone().requires_grad_()
        network(asked)
    score = _mix(features)
    if not score.requires_grad:
        return True
    return torch.autograd.grad(score, asked, allow_unused=True)[0] is None


@contextmanager
def _features(network: nn.Module, head: str) -> Iterator[list[torch.Tensor]]:
    """Record what enters the head."""
    features: list[torch.Tensor] = []

    def keep(layer: nn.Module, args: tuple[torch.Tensor, ...]) -> None:
        features.append(args[0])

    handle = network.get_submodule(head).register_forward_pre_hook(keep)
    try:
        yield features
    finally:
        handle.remove()


def _mix(features: Sequence[torch.Tensor]) -> torch.Tensor:
    values = features[-1]
    draws = torch.randn(values.shape, generator=torch.Generator().manual_seed(0))
    return (values * draws).sum()


def _offer(names: str) -> str:
    return f"there are {names}" if names else "--method occlusion needs none"


def _show(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape[1:])) + " values"


class _Found:
    """What one pass has shown of the layers before the head."""

    def __init__(self) -> None:
        self.maps: list[MapLayer] = []
        self.channels: dict[str, int] = {}
        self.named: tuple[MapLayer | None, tuple[int, ...] | None] = (None, None)


def _list_map_layers(
    network: nn.Module, image: torch.Tensor, head: str, name: str | None
) -> _Found:
    """List the layers that give maps, in the order in which they end; and look at one by name."""
    found = _Found()
    names = {layer: path for path, layer in network.named_modules() if path}
    size = (image.shape[2], image.shape[3])
    grids: list[tuple[int, int]] = []
    is_behind = False

    def look(layer: nn.Module, args: object, output: object) -> None:
        nonlocal is_behind
        path = names[layer]
        value = _first_tensor(output)
        if value is None or not value.is_floating_point():
            return
        read = _read_layout(path, value, size, grids)
        if path == name:
            found.named = (read, tuple(value.shape))
        is_behind = is_behind or path == head
        # Of a layer that is used several times the last use counts.
        found.maps = [known for known in found.maps if known.name != path]
        if read is None:
            return
        if read.layout != "tokens":
            grids.append(read.grid)
        if is_behind or head.startswith(f"{path}.") or isinstance(layer, _PASSED_OVER):
            return
        found.maps.append(read)
        found.channels[path] = read.to_maps(value).shape[1]

    with torch.no_grad(), _hooked(names, look):
        network(image)
    return found


def _read_layout(
    name: str, output: torch.Tensor, size: tuple[int, int], grids: Sequence[tuple[int, int]]
) -> MapLayer | None:
    """Read an output as a map of several places; None if it is none.

    Args:
        name: The layer's name.
        output: What it gave for one image.
        size: (H, W) of the image.
        grids: Maps seen so far; tokens come from one of them.
    """
    if output.shape[0] != 1:
        return None
    if output.ndim == 3:
        for grid in reversed(grids):
            prefix = output.shape[1] - grid[0] * grid[1]
            if 0 <= prefix <= _MOST_PREFIX:
                return MapLayer(name, "tokens", grid, prefix)
    if output.ndim != 4:
        return None
    readings: list[tuple[float, MapLayer]] = []
    for layout, (h, w) in (("NCHW", output.shape[2:]), ("NHWC", output.shape[1:3])):
        distortion = abs(math.log(max(h, 1) / max(w, 1) * size[1] / size[0]))
        if h * w > 1 and h <= size[0] and w <= size[1] and distortion <= _MOST_DISTORTION:
            readings.append((distortion, MapLayer(name, layout, (h, w))))  # type: ignore[arg-type]
    return min(readings, key=lambda reading: reading[0])[1] if readings else None


def _first_tensor(output: object) -> torch.Tensor | None:
    """Return a layer's output; of several, such as those of an attention, the first."""
    value = output[0] if isinstance(output, tuple) and output else output
    return value if isinstance(value, torch.Tensor) else None


@contextmanager
def _hooked(layers: object, hook: object) -> Iterator[None]:
    handles = [layer.register_forward_hook(hook) for layer in layers]  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
