"""How torch's operations change the receptive field: one rule for each operation of ATen.

All modules and functional calls of a network end in a few dozen operations of ATen (torch's library
of tensor operations), so that branches, skip connections and gates need no rules of their own. An
operation without a rule makes the field unknown, with the operation's name as the reason: the field
is never guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from cnncli.models.tracing.dim_layout import Atom, DimLayout
from cnncli.models.tracing.layout_rules import LAYOUT_RULES
from cnncli.models.tracing.operation import Call, Rule
from cnncli.models.tracing.receptive_field import Field, Span, join_fields


def apply_rule(call: Call) -> list[Field | None]:
    """Return the field of each output tensor; None for one that does not depend on the image."""
    fields = call.fields()
    if not fields or not call.shapes or call.name in _ONLY_SHAPE:
        return [None] * len(call.shapes)
    if call.pointwise:
        return [join_fields(fields, shape) for shape in call.shapes]
    first = fields[0]
    rule = _RULES.get(call.name)
    result: Field | list[Field]
    if call.name in _PRODUCTS:
        result = _product(call, fields)
    elif rule is None or first.layout is None:
        joined = join_fields(fields, ())
        result = joined.lose(joined.reason or f"no rule for torch's {call.name}")
    else:
        result = rule(call, first, first.layout)
    outputs: list[Field | None] = list(result) if isinstance(result, list) else [result]
    # No layer reads the further outputs: indices of a pool, statistics of a norm.
    return outputs + [None] * (len(call.shapes) - len(outputs))


ATTENTION = "attention"
# Operations that read only the shape and the type of their argument.
_ONLY_SHAPE = {
    "zeros_like", "ones_like", "full_like", "empty_like", "rand_like", "randn_like", "new_zeros",
    "new_ones", "new_full", "new_empty", "new_empty_strided", "zero", "fill",
}  # fmt: skip


def _slide(
    call: Call,
    field: Field,
    layout: DimLayout,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> Field:
    """Return the field after a window has slid over the last ``len(kernel)`` dimensions."""
    shape = call.shapes[0]
    dims = list(layout)
    for i, taps in enumerate(kernel):
        dim = len(shape) - len(kernel) + i
        axes = {axis for atom in layout[dim] for axis in atom.axes}
        extent = _at(dilation, i) * (taps - 1) + 1
        step, before, count = _at(stride, i), _at(padding, i), shape[dim]
        if not axes:  # the window slides over channels, as in local response normalisation
            dims[dim] = (Atom(count),)
        elif (extent, step, before) != (1, 1, 0):
            if len(layout[dim]) != 1 or len(axes) != 1:
                return field.lose("a window slides over rows and columns in one dimension")
            slide = partial(Span.slide, extent=extent, stride=step, before=before, count=count)
            field = field.change(axes, slide)
            dims[dim] = (Atom(count, layout[dim][0].axes),)
    return field.with_layout(tuple(dims))


def _at(values: Sequence[int], place: int) -> int:
    return values[place] if len(values) > 1 else values[0]


def _convolution(call: Call, field: Field, layout: DimLayout) -> Field:
    a = call.arguments
    if a["transposed"]:
        return field.lose("transposed convolution")
    if call.field_of(a["weight"]) is not None:
        return field.lose(ATTENTION)
    gathered = field.gather([1])  # after a flatten, the channels hold positions too
    assert gathered.layout is not None
    dims = (gathered.layout[0], (Atom(call.shapes[0][1]),), *gathered.layout[2:])
    kernel = a["weight"].shape[2:]
    return _slide(call, gathered, dims, kernel, a["stride"], a["padding"], a["dilation"])


def _pool(call: Call, field: Field, layout: DimLayout) -> Field:
    a = call.arguments
    stride, dilation = a["stride"] or a["kernel_size"], a.get("dilation", [1])
    kernel = a["kernel_size"]
    if len(kernel) == 1:
        kernel = list(kernel) * (3 if "3d" in call.name else 2)
    return _slide(call, field, layout, kernel, stride, a["padding"], dilation)


def _adaptive_pool(call: Call, field: Field, layout: DimLayout) -> Field:
    shape = call.shapes[0]
    dims = list(layout)
    for dim in range(len(shape) - len(call.arguments["output_size"]), len(shape)):
        atoms, out = layout[dim], shape[dim]
        if len(atoms) != 1 or not atoms[0].axes or atoms[0].size == out:
            continue
        size = atoms[0].size
        dims[dim] = (Atom(out, atoms[0].axes),)
        if out == 1:
            field = field.gather([dim])
            dims[dim] = ()
        elif size % out == 0:
            ratio = size // out
            slide = partial(Span.slide, extent=ratio, stride=ratio, before=0, count=out)
            field = field.change(atoms[0].axes, slide)
        else:
            field = field.change(atoms[0].axes, _vary_windows)
    return field.with_layout(tuple(dims))


def _vary_windows(span: Span) -> Span:
    """Return the span behind windows of different sizes that together cover all positions."""
    if span.whole or span.low is None:
        return span
    reason = "the windows of an adaptive pool vary"
    return replace(span, size=None, jump=None, low=span.first, reason=reason, centres=None)


def _reduction(call: Call, field: Field, layout: DimLayout) -> Field:
    """Return the field of a mean, sum, maximum or norm along some dimensions."""
    dims = call.arguments.get("dim")
    dims = [dims] if isinstance(dims, int) else list(dims or range(len(layout)))
    gathered = field.gather(dims)
    assert gathered.layout is not None
    if call.arguments.get("keepdim"):
        return gathered
    gone = {dim % len(layout) for dim in dims}
    left = [atoms for dim, atoms in enumerate(gathered.layout) if dim not in gone]
    return gathered.with_layout(tuple(left))


def _softmax(call: Call, field: Field, layout: DimLayout) -> Field:
    return field.gather([call.arguments["dim"]], keep=True)


def _layer_norm(call: Call, field: Field, layout: DimLayout) -> Field:
    count = len(call.arguments["normalized_shape"])
    return field.gather(range(len(layout) - count, len(layout)), keep=True)


def _group_norm(call: Call, field: Field, layout: DimLayout) -> Field:
    return field.gather(range(1, len(layout)), keep=True)


def _batch_norm(call: Call, field: Field, layout: DimLayout) -> Field:
    # Where the statistics come from the batch itself, as in instance norm or without a running
    # mean, a value sees every position.
    everywhere = call.arguments.get("training", call.arguments.get("train", True))
    return field.gather(range(len(layout)), keep=True) if everywhere else field


def _product(call: Call, fields: list[Field]) -> Field:
    """Return the field of a matrix product.

    It is a dense layer, or attention if both matrices depend on the image.
    """
    left, right = (call.arguments[name] for name in _PRODUCTS[call.name])
    rows, columns = call.field_of(left), call.field_of(right)
    joined = join_fields(fields, ())
    if rows is not None and columns is not None:
        # In attention the image itself decides which positions count.
        forgotten = [Span(span.image, whole=span.whole, centres=None) for span in joined.spans]
        return Field((forgotten[0], forgotten[1]), None).lose(ATTENTION)
    operand, kept = (rows, -1) if rows is not None else (columns, -2)
    if operand is None or len(fields) > 1:
        return joined.lose(f"no rule for torch's {call.name} of such operands")
    gathered = operand.gather([kept])
    if gathered.layout is None:
        return gathered
    dims = list(gathered.layout)
    dims[kept] = (Atom(call.shapes[0][kept]),)
    return gathered.with_layout(tuple(dims))


# Each matrix product and the names of the arguments that are its two matrices.
_PRODUCTS = {
    "mm": ("self", "mat2"),
    "addmm": ("mat1", "mat2"),
    "bmm": ("self", "mat2"),
    "baddbmm": ("batch1", "batch2"),
}

_RULES: dict[str, Rule] = {
    "convolution": _convolution,
    **dict.fromkeys(("max_pool2d_with_indices", "max_pool2d", "avg_pool2d"), _pool),
    **dict.fromkeys(("avg_pool3d", "max_pool3d_with_indices"), _pool),
    **dict.fromkeys(("_adaptive_avg_pool2d", "adaptive_max_pool2d"), _adaptive_pool),
    **dict.fromkeys(("mean", "sum", "amax", "amin", "var", "std", "var_mean"), _reduction),
    **dict.fromkeys(("linalg_vector_norm", "norm", "logsumexp"), _reduction),
    **dict.fromkeys(("_softmax", "_log_softmax", "_safe_softmax", "cumsum"), _softmax),
    "native_layer_norm": _layer_norm,
    "native_group_norm": _group_norm,
    **dict.fromkeys(("native_batch_norm", "_native_batch_norm_legit"), _batch_norm),
    **dict.fromkeys(("cudnn_batch_norm", "_batch_norm_with_update"), _batch_norm),
    **LAYOUT_RULES,
}
