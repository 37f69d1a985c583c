"""Every call of an activation function while a network runs, be it a module or a function."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakIdKeyDictionary

# torch's operations that are activation functions. ReLU6 is hardtanh from 0 to 6.
FUNCTIONS = (
    "relu", "leaky_relu", "elu", "gelu", "mish", "silu", "hardtanh", "hardswish", "hardsigmoid",
    "tanh", "sigmoid", "softplus", "threshold",
)  # fmt: skip
# Of these the slope is exactly zero for a whole range of inputs.
FLAT = ("relu", "hardtanh", "hardswish", "hardsigmoid", "threshold")
# Layers of these kinds are looked through: what goes in is what a layer before them gave.
_THROUGH = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm, nn.Identity, nn.Dropout)


@dataclass(frozen=True)
class ActivationCall:
    """One call of an activation function.

    Attributes:
        layer: Name of the layer whose output went in; where that is a sum or the like, the name of
            the block that computed it; empty for the network itself.
        behind: Names of the layers that lead straight to this call: the layer and, if that is a
            norm, the layer before it.
        function: Name of torch's operation, one of `FUNCTIONS`.
        call: Number of this call among those behind the same layer, from 1.
        input: What went in, as it was then.
        output: What came out.
        channels_last: Whether the last axis holds the channels, as behind a linear layer.
        arguments: Further arguments of the operation.
    """

    layer: str
    behind: tuple[str, ...]
    function: str
    call: int
    input: torch.Tensor
    output: torch.Tensor
    channels_last: bool
    arguments: tuple[Any, ...]

    @property
    def channel_axis(self) -> int:
        """The axis of ``input`` that holds the channels."""
        last = self.channels_last or self.input.ndim == 3
        return self.input.ndim - 1 if last else 1

    @property
    def is_flat_somewhere(self) -> bool:
        """Whether the function's slope is exactly zero for a whole range of inputs."""
        return self.function in FLAT

    def slope(self) -> torch.Tensor:
        """Return the derivative of the function at each value of ``input``, by autograd."""
        operation = getattr(torch.ops.aten, self.function)
        with torch.enable_grad():
            x = self.input.detach().requires_grad_()
            y = operation(x, *self.arguments)
            return torch.autograd.grad(y.sum(), x)[0]


@contextmanager
def record_activations(network: nn.Module) -> Iterator[list[ActivationCall]]:
    """Record the calls of activation functions while the network runs; use it with ``no_grad``.

    Args:
        network: The network.

    Yields:
        A list, filled in the order of the calls.
    """
    recorder = _Recorder()
    handles = []
    for name, module in network.named_modules():
        handles.append(module.register_forward_pre_hook(recorder.enter(name)))
        handles.append(module.register_forward_hook(recorder.leave(name)))
    try:
        with recorder:
            yield recorder.calls
    finally:
        for handle in handles:
            handle.remove()


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every operation, and knows which layers' outputs go into it."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[ActivationCall] = []
        # An output to its version and the names of the layers that it came through, the last one
        # first. What is added to it in place, as a shortcut is, makes another version of it.
        self._behind: Any = WeakIdKeyDictionary()
        self._last_axis: Any = WeakIdKeyDictionary()
        self._running: list[tuple[str, bool]] = []

    def enter(self, name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: tuple[Any, ...]) -> None:
            is_leaf = next(module.children(), None) is None
            self._running.append((name, is_leaf))

        return hook

    def leave(self, name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            _, is_leaf = self._running.pop()
            if not is_leaf or not isinstance(output, torch.Tensor) or output in self._behind:
                return
            given = inputs[0] if inputs and isinstance(inputs[0], torch.Tensor) else None
            through = isinstance(module, _THROUGH) and given is not None
            before = self._layers_behind(given) if through else ()
            self._behind[output] = (output._version, (name, *before))
            self._last_axis[output] = isinstance(module, nn.Linear) or (
                through and self._last_axis.get(given, False)
            )

        return hook

    def __torch_dispatch__(
        self,
        func: torch._ops.OpOverload,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        name = func.overloadpacket.__name__
        function = name.rstrip("_")
        if function not in FUNCTIONS or "out" in (kwargs or {}):
            return func(*args, **(kwargs or {}))
        given = args[0]
        before = given.clone()
        behind = self._layers_behind(given)
        output = func(*args, **(kwargs or {}))
        layer = behind[0] if behind else self._block()
        self.calls.append(
            ActivationCall(
                layer=layer,
                behind=behind,
                function=function,
                call=1 + sum(call.layer == layer for call in self.calls),
                input=before,
                output=output.clone(),
                channels_last=self._last_axis.get(given, False),
                arguments=(*args[1:], *(kwargs or {}).values()),
            )
        )
        return output

    def _layers_behind(self, tensor: Any) -> tuple[str, ...]:
        version, names = self._behind.get(tensor, (None, ()))
        return names if version == tensor._version else ()

    def _block(self) -> str:
        """Return the name of the block that is running now."""
        return next((name for name, is_leaf in reversed(self._running) if not is_leaf), "")
