"""Run a network once without computing values, and record what passes through each module."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from cnncli.models.tracing.field_rules import apply_rule
from cnncli.models.tracing.macs import count_call_macs
from cnncli.models.tracing.operation import Shape, bind_call
from cnncli.models.tracing.receptive_field import Field


@dataclass
class Run:
    """What passed through a module in one of its runs; the attributes are those of a `Record`."""

    order: int = -1
    input_shape: Shape | None = None
    output_shape: Shape | None = None
    macs: int = 0
    outputs: int = 0
    field: Field | None = None


@dataclass
class Record:
    """What passed through one module.

    Attributes:
        calls: Number of times it ran.
        order: Place of its last run when all modules' runs are sorted by their ends, from 0; -1 if
            it did not run.
        input_shape: Shape of its input in the last run, without N; None if it took tensors of
            several shapes.
        output_shape: Shape of its output in the last run, without N; None if it returned tensors
            of several shapes.
        macs: Multiply-accumulates over all runs of the operations that it called itself, outside
            its children.
        outputs: Number of output values over all runs.
        field: Field of its output in the last run; None if that does not depend on the image.
        runs: Each of its runs by itself, in their order.
    """

    calls: int = 0
    order: int = -1
    input_shape: Shape | None = None
    output_shape: Shape | None = None
    macs: int = 0
    outputs: int = 0
    field: Field | None = None
    runs: list[Run] = dataclasses.field(default_factory=list)


def trace_network(
    network: nn.Module, image_size: tuple[int, int], in_channels: int
) -> dict[str, Record]:
    """Run a copy of a network in eval mode on the meta device, where tensors have no values.

    The network is not changed, and none of its weights is copied.

    Args:
        network: Takes images (N, C, H, W) and returns anything.
        image_size: (H, W) in pixels.
        in_channels: C.

    Returns:
        A record for each module by name, in the order of ``named_modules``.

    Raises:
        RuntimeError, ValueError, AssertionError: Whatever the network raises on such images.
    """
    outline = _outline(network).eval()
    records = {name: Record() for name, _ in outline.named_modules()}
    recorder = _Recorder()
    handles = []
    for name, module in outline.named_modules():
        handles.append(module.register_forward_pre_hook(recorder.enter(records[name])))
        handles.append(module.register_forward_hook(recorder.leave(records[name])))
    images = torch.empty(1, in_channels, *image_size, device="meta")
    recorder.remember(images, Field.of_image(in_channels, *image_size))
    with torch.no_grad(), _attention_as_products(), recorder:
        outline(images)
    return records


def _outline(network: nn.Module) -> nn.Module:
    """Return a copy of the network whose tensors have shapes but no values."""
    memo: dict[int, Any] = {}
    for parameter in network.parameters():
        on_meta = parameter.detach().to("meta")
        memo[id(parameter)] = nn.Parameter(on_meta, requires_grad=parameter.requires_grad)
    for buffer in network.buffers():
        memo[id(buffer)] = buffer.detach().to("meta")
    return copy.deepcopy(network, memo)


@contextmanager
def _attention_as_products() -> Iterator[None]:
    """Keep torch from fusing attention into one operation, which would hide its products."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every operation, computes the fields of its outputs and counts its MACs."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        # Tensors by id. They are kept alive, so that no other tensor gets the same id; on the meta
        # device they take no memory.
        self._fields: dict[int, tuple[torch.Tensor, Field]] = {}
        # Storage to the field of what was written into a part of it. Another tensor on the same
        # storage may hold those values too.
        self._written: dict[int, Field] = {}
        self._running: list[Record] = []
        self._ended = 0

    def remember(self, tensor: torch.Tensor, seen: Field) -> None:
        self._fields[id(tensor)] = (tensor, seen)

    def field_of(self, value: Any) -> Field | None:
        if not isinstance(value, torch.Tensor):
            return None
        _, known = self._fields.get(id(value), (value, None))
        written = self._written.get(value.untyped_storage()._cdata)
        if written is None or (known is not None and known.spans == written.spans):
            return known
        return (known or written).lose("written to in part")

    def __torch_dispatch__(
        self,
        func: torch._ops.OpOverload,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        tensors = _tensors_in(out)
        shapes = tuple(tuple(t.shape) for t in tensors)
        call = bind_call(func, args, dict(kwargs or {}), shapes, self.field_of)
        if self._running:
            macs = count_call_macs(call)
            self._running[-1].macs += macs
            self._running[-1].runs[-1].macs += macs
        for tensor, seen in zip(tensors, apply_rule(call), strict=True):
            if seen is None:
                continue
            self.remember(tensor, seen)
            in_place = any(tensor is given for given in args)
            if in_place and tensor.untyped_storage().nbytes() > tensor.nbytes:
                self._written[tensor.untyped_storage()._cdata] = seen
        return out

    def enter(self, record: Record) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: tuple[Any, ...]) -> None:
            self._running.append(record)
            record.input_shape = _shape_of(inputs)
            record.runs.append(Run(input_shape=record.input_shape))

        return hook

    def leave(self, record: Record) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            self._running.pop()
            tensors = _tensors_in(output)
            record.calls += 1
            record.order, self._ended = self._ended, self._ended + 1
            record.output_shape = _shape_of(output)
            outputs = sum(tensor.numel() for tensor in tensors)
            record.outputs += outputs
            fields = [self.field_of(tensor) for tensor in tensors]
            record.field = next((seen for seen in fields if seen is not None), None)
            run = record.runs[-1]
            run.order, run.output_shape = record.order, record.output_shape
            run.outputs, run.field = outputs, record.field

        return hook


def _tensors_in(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, list | tuple):
        return [tensor for part in value for tensor in _tensors_in(part)]
    return []


def _shape_of(value: Any) -> Shape | None:
    """Return the one shape that all tensors in a value have, without N; None if they differ."""
    shapes = {tuple(tensor.shape[1:]) for tensor in _tensors_in(value)}
    return shapes.pop() if len(shapes) == 1 else None
