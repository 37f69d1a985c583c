"""One call of an operation of torch: its name, its arguments and their receptive fields."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from cnncli.models.tracing.dim_layout import DimLayout
from cnncli.models.tracing.receptive_field import Field

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Call:
    """One call of an operation of torch.

    Attributes:
        name: Name of the operation without namespace, overload and the ``_`` of in-place forms:
            ``relu`` for ``aten::relu_``.
        arguments: All arguments, also those left at their defaults, by their names in torch's
            schema.
        pointwise: Whether the operation works elementwise.
        shapes: Shapes of the output tensors.
        field_of: Function that returns the field of an argument, or None if the argument does not
            depend on the image.
    """

    name: str
    arguments: dict[str, Any]
    pointwise: bool
    shapes: tuple[Shape, ...]
    field_of: Callable[[Any], Field | None]

    def tensors(self) -> list[torch.Tensor]:
        """Return all tensors among the arguments, including those in lists."""
        found: list[torch.Tensor] = []
        for value in self.arguments.values():
            values = value if isinstance(value, list | tuple) else [value]
            found += [v for v in values if isinstance(v, torch.Tensor)]
        return found

    def fields(self) -> list[Field]:
        """Return the fields of all arguments that depend on the image."""
        fields = [self.field_of(tensor) for tensor in self.tensors()]
        return [field for field in fields if field is not None]


Rule = Callable[[Call, Field, DimLayout], Field | list[Field]]


def bind_call(
    func: torch._ops.OpOverload,
    args: Sequence[Any],
    kwargs: dict[str, Any],
    shapes: tuple[Shape, ...],
    field_of: Callable[[Any], Field | None],
) -> Call:
    """Describe a call whose arguments are given by place or by name.

    Args:
        func: The operation.
        args: Arguments given by place.
        kwargs: Arguments given by name.
        shapes: Shapes of the output tensors.
        field_of: See `Call`.
    """
    name = func._schema.name.removeprefix("aten::")
    base = name.removesuffix("_") if not name.endswith("__") else name
    arguments: dict[str, Any] = {}
    for place, argument in enumerate(func._schema.arguments):
        if place < len(args):
            arguments[argument.name] = args[place]
        elif argument.name in kwargs:
            arguments[argument.name] = kwargs[argument.name]
        elif argument.has_default_value():
            arguments[argument.name] = argument.default_value
    pointwise = torch.Tag.pointwise in func.tags or base in _ALSO_POINTWISE
    return Call(base, arguments, pointwise, shapes, field_of)


# Elementwise operations, or ones that are so in eval mode, which torch does not tag as elementwise.
_ALSO_POINTWISE = {
    "hardswish", "hardtanh", "native_dropout", "alias", "detach", "clone", "contiguous", "_to_copy",
    "copy", "as_strided", "masked_fill", "log_sigmoid_forward", "_prelu_kernel", "rrelu_with_noise",
    "_native_batch_norm_legit_no_training", "_batch_norm_no_update",
}  # fmt: skip
