"""The size of the gradient in each layer, with the shortcuts of a network and without them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakIdKeyDictionary

from cnncli.models.head import main_logits

_ADDITIONS = (
    torch.add,
    torch.Tensor.add,
    torch.Tensor.add_,
    torch.Tensor.__add__,
    torch.Tensor.__iadd__,
    torch.Tensor.__radd__,
)


@dataclass(frozen=True)
class LayerGradient:
    """The gradient of the loss by the weights of a layer.

    Attributes:
        layer: Its name.
        weights: Number of its weights, without biases.
        weight: Root of the mean square of the weights.
        gradient: Root of the mean square of the gradient; None if no way leads from the layer to
            the loss.
    """

    layer: str
    weights: int
    weight: float
    gradient: float | None


def measure_gradients(
    network: nn.Module, images: torch.Tensor, targets: torch.Tensor, *, cut: bool = False
) -> tuple[float, list[LayerGradient], int]:
    """Measure the gradient of the cross-entropy by the weights of each convolution or dense layer.

    The mode of the network stays as it is; in training mode a norm uses the batch.

    Args:
        network: Takes images and returns logits (N, K).
        images: (N, C, H, W), as the network takes them.
        targets: (N,) class numbers.
        cut: Whether shortcuts are left out: where two results are added, the one that has come
            through fewer layers is dropped.

    Returns:
        The loss in nats, a row for each layer in the order in which the layers run, and how many
        sums of two results there are.
    """
    order: dict[str, nn.Module] = {}
    handles = []
    for name, module in network.named_modules():
        weight = getattr(module, "weight", None)
        if isinstance(weight, nn.Parameter) and weight.ndim >= 2:
            handles.append(module.register_forward_hook(_note_run(order, name)))
    network.zero_grad(set_to_none=True)
    frozen = [parameter for parameter in network.parameters() if not parameter.requires_grad]
    for parameter in frozen:
        parameter.requires_grad_(True)
    shortcuts = Shortcuts(cut=cut)
    try:
        with shortcuts:
            shortcuts.begin(images)
            loss = functional.cross_entropy(main_logits(network(images)), targets)
        loss.backward()  # type: ignore[no-untyped-call]
    finally:
        for handle in handles:
            handle.remove()
    rows = [_describe(name, module) for name, module in order.items()]
    network.zero_grad(set_to_none=True)
    for parameter in frozen:
        parameter.requires_grad_(False)
    return float(loss.detach()), rows, shortcuts.count


def _note_run(order: dict[str, nn.Module], name: str) -> Any:
    def hook(module: nn.Module, inputs: Any, output: Any) -> None:
        order.setdefault(name, module)

    return hook


def _describe(name: str, module: nn.Module) -> LayerGradient:
    weight: Any = module.weight
    gradient = weight.grad
    return LayerGradient(
        layer=name,
        weights=weight.numel(),
        weight=_root_mean_square(weight),
        gradient=None if gradient is None else _root_mean_square(gradient),
    )


def _root_mean_square(values: torch.Tensor) -> float:
    return float(values.detach().double().square().mean().sqrt())


class Shortcuts(TorchFunctionMode):
    """Counts the sums of two results that both depend on the image, and may leave out one of them.

    Args:
        cut: Whether the result that has come through fewer layers is left out.
    """

    def __init__(self, *, cut: bool) -> None:
        super().__init__()
        self.cut = cut
        self.count = 0
        self._depth: Any = WeakIdKeyDictionary()

    def begin(self, images: torch.Tensor) -> None:
        """Say which tensor holds the images."""
        self._depth[images] = 0

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        depths = [self._depth[tensor] for tensor in _tensors_in(args) if tensor in self._depth]
        if func in _ADDITIONS and _is_shortcut(args, depths):
            self.count += 1
            if self.cut:
                return args[0] if depths[0] > depths[1] else args[1]
        output = func(*args, **kwargs)
        if depths:
            given = _tensors_in((args, tuple(kwargs.values())))
            has_weights = any(isinstance(tensor, nn.Parameter) for tensor in given)
            for tensor in _tensors_in(output):
                self._depth[tensor] = max(depths) + has_weights
        return output


def _is_shortcut(args: tuple[Any, ...], depths: list[int]) -> bool:
    """Return whether two results of equal size are added, one of which took a shorter way."""
    both = len(depths) == 2 and depths[0] != depths[1]
    return both and args[0].shape == args[1].shape


def _tensors_in(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, list | tuple):
        return [tensor for part in value for tensor in _tensors_in(part)]
    return []
