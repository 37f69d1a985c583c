"""Build untrained networks of torchvision for any image size that they can take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from cnncli.errors import CnncliError
from cnncli.models.registry import ModelEntry
from cnncli.models.stem import replace_stem

# Smallest image side, in pixels, at which the maps are large enough for Inception's auxiliary head.
# It is made for maps of 17×17.
INCEPTION_AUX_FROM = 299
MAXVIT_STRIDE = 32  # image pixels for each pixel of the last maps

# From (H, W) in pixels to the arguments of torchvision's builder.
Options = Callable[[tuple[int, int]], dict[str, Any]]

_OPTIONS: dict[str, Options] = {
    "googlenet": lambda size: {"aux_logits": True, "init_weights": True},
    "inception_v3": lambda size: {
        "aux_logits": min(size) >= INCEPTION_AUX_FROM,
        "init_weights": True,
    },
    "maxvit": lambda size: {"image_size": size},
    "vit": lambda size: {"image_size": size[0]},
}


def build_torchvision(
    entry: ModelEntry, num_classes: int, in_channels: int, image_size: tuple[int, int]
) -> nn.Module:
    """Build an untrained network of torchvision.

    It has its auxiliary heads, except Inception's below 299 pixels, where the maps are too small.

    Args:
        entry: The network's entry in the registry.
        num_classes: K.
        in_channels: C.
        image_size: (H, W) in pixels.

    Raises:
        CnncliError: If the installed torchvision does not have this network.
    """
    import torchvision  # as slow to import as torch, so only where it is needed

    build: Any = _maxvit if entry.family == "maxvit" else torchvision.models.get_model
    options = _OPTIONS[entry.family](image_size) if entry.family in _OPTIONS else {}
    with _computing_on_cpu(entry):
        try:
            network = build(entry.name, num_classes=num_classes, **options)
        except ValueError as error:
            if "Unknown model" not in str(error):
                raise
            raise CnncliError(
                f"--model {entry.name}: torchvision {torchvision.__version__} does not have it; "
                "upgrade torchvision"
            ) from None
    assert isinstance(network, nn.Module)
    network.to(torch.empty(0).device)
    if in_channels != 3:
        replace_stem(network, entry.layout.stem, in_channels)
    return network


def _maxvit(name: str, *, num_classes: int, image_size: tuple[int, int]) -> nn.Module:
    """Build MaxViT with windows and grids that grow with the image.

    In torchvision's ``maxvit_t`` their size is fixed at 7, so that it takes only images whose sides
    are multiples of 224.

    Source: Z. Tu et al. (2022), MaxViT: Multi-Axis Vision Transformer: windows and grids of 7 at
    224 pixels, 12 at 384, 16 at 512. The other numbers are those of torchvision's ``maxvit_t``.
    """
    from torchvision.models.maxvit import MaxVit

    network: nn.Module = MaxVit(
        input_size=image_size,
        stem_channels=64,
        block_channels=[64, 128, 256, 512],
        block_layers=[2, 2, 5, 2],
        head_dim=32,
        stochastic_depth_prob=0.2,
        partition_size=image_size[0] // MAXVIT_STRIDE,
        num_classes=num_classes,
    )
    return network


class _EmptyOnMeta(TorchFunctionMode):
    """Makes empty, zero and one tensors, as parameters are, on the meta device.

    Other tensors, such as those with which shapes are computed, stay on the CPU.
    """

    _MAKERS = (torch.empty, torch.zeros, torch.ones)

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func in self._MAKERS and kwargs.get("device") is None:
            kwargs["device"] = "meta"
        return func(*args, **kwargs)


@contextmanager
def _computing_on_cpu(entry: ModelEntry) -> Iterator[None]:
    """Let RegNet be built on the meta device, although it computes its widths with tensors."""
    if entry.family != "regnet" or torch.empty(0).device.type != "meta":
        yield
        return
    with torch.device("cpu"), _EmptyOnMeta():
        yield
