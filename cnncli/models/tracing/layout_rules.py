"""Rules for operations that move, cut or join values: where each position lies afterwards."""

from __future__ import annotations

from functools import partial

from cnncli.models.tracing.dim_layout import Atom, DimLayout, reshape_layout
from cnncli.models.tracing.operation import Call, Rule
from cnncli.models.tracing.receptive_field import Field, Span, join_fields


def _view(call: Call, field: Field, layout: DimLayout) -> Field:
    old = tuple(call.arguments["self"].shape)
    new = reshape_layout(layout, old, call.shapes[0])
    return field.lose("rows and columns are regrouped") if new is None else field.with_layout(new)


def _permute(call: Call, field: Field, layout: DimLayout) -> Field:
    order = list(range(len(layout)))
    if call.name == "permute":
        order = [dim % len(layout) for dim in call.arguments["dims"]]
    elif len(layout) > 1:  # t, transpose
        i, j = call.arguments.get("dim0", 0), call.arguments.get("dim1", 1)
        order[i], order[j] = order[j], order[i]
    return field.with_layout(tuple(layout[dim] for dim in order))


def _unsqueeze(call: Call, field: Field, layout: DimLayout) -> Field:
    dim = call.arguments["dim"] % (len(layout) + 1)
    return field.with_layout((*layout[:dim], (), *layout[dim:]))


def _squeeze(call: Call, field: Field, layout: DimLayout) -> Field:
    old = tuple(call.arguments["self"].shape)
    new = reshape_layout(layout, old, call.shapes[0]) if call.shapes[0] else None
    if "dim" in call.arguments and len(old) != len(call.shapes[0]):
        dims = call.arguments["dim"]
        gone = {d % len(old) for d in ([dims] if isinstance(dims, int) else dims)}
        if not any(layout[d] for d in gone if old[d] == 1):
            kept = [a for d, a in enumerate(layout) if not (d in gone and old[d] == 1)]
            new = tuple(kept)
    return field.lose("rows and columns are regrouped") if new is None else field.with_layout(new)


def _expand(call: Call, field: Field, layout: DimLayout) -> Field:
    shape = call.shapes[0]
    padded = ((),) * (len(shape) - len(layout)) + layout
    old = (1,) * (len(shape) - len(layout)) + tuple(call.arguments["self"].shape)
    if any(atoms and a != b for atoms, a, b in zip(padded, old, shape, strict=True)):
        return field.lose("a position is repeated")
    dims = [atoms or (Atom(size),) for atoms, size in zip(padded, shape, strict=True)]
    return field.with_layout(tuple(dims))


def _cut(field: Field, layout: DimLayout, dim: int, start: int, step: int, count: int) -> Field:
    """Return the field of ``count`` positions along a dimension, from ``start`` on."""
    atoms = layout[dim]
    axes = {axis for atom in atoms for axis in atom.axes}
    dims = list(layout)
    dims[dim] = (Atom(count),)
    if axes:
        if len(atoms) != 1 or len(axes) != 1:
            if all(field.spans[axis].whole for axis in axes):
                return field.gather([dim]).with_layout(tuple(dims))
            return field.lose("part of the rows and columns is cut out")
        slide = partial(Span.slide, extent=1, stride=step, before=-start, count=count)
        field = field.change(axes, slide)
        dims[dim] = (Atom(count, atoms[0].axes),)
    return field.with_layout(tuple(dims))


def _slice(call: Call, field: Field, layout: DimLayout) -> Field:
    a = call.arguments
    dim = a["dim"] % len(layout)
    size = a["self"].shape[dim]
    start, _, step = slice(a["start"], a["end"], a["step"]).indices(size)
    if call.shapes[0][dim] == size:
        return field
    return _cut(field, layout, dim, start, step, call.shapes[0][dim])


def _select(call: Call, field: Field, layout: DimLayout) -> Field:
    dim = call.arguments["dim"] % len(layout)
    index = call.arguments["index"] % call.arguments["self"].shape[dim]
    cut = _cut(field, layout, dim, index, 1, 1)
    if cut.layout is None:
        return cut
    cut = cut.gather([dim])
    assert cut.layout is not None
    return cut.with_layout((*cut.layout[:dim], *cut.layout[dim + 1 :]))


def _split(call: Call, field: Field, layout: DimLayout) -> list[Field]:
    """Return a field for each tensor of ``split``, ``split_with_sizes`` or ``unbind``."""
    dim = call.arguments["dim"] % len(layout)
    parts, start = [], 0
    for shape in call.shapes:
        count = 1 if call.name == "unbind" else shape[dim]
        part = _cut(field, layout, dim, start, 1, count)
        if call.name == "unbind" and part.layout is not None:
            part = part.gather([dim])
            assert part.layout is not None
            part = part.with_layout((*part.layout[:dim], *part.layout[dim + 1 :]))
        parts.append(part)
        start += count
    return parts


def _cat(call: Call, field: Field, layout: DimLayout) -> Field:
    shape = call.shapes[0]
    fields = call.fields()
    if any(f.layout is None for f in fields):
        return join_fields(fields, ()).lose(join_fields(fields, ()).reason)
    dim = call.arguments["dim"] % len(shape)
    if call.name == "stack":
        layouts = [(*f.layout[:dim], (), *f.layout[dim:]) for f in fields if f.layout is not None]
    else:
        layouts = [f.layout for f in fields if f.layout is not None]
    axes = tuple(sorted({axis for held in layouts for atom in held[dim] for axis in atom.axes}))
    # Along the joined dimension only the axes that run there are known, not their positions.
    parts = [
        f.with_layout((*held[:dim], (), *held[dim + 1 :]))
        for f, held in zip(fields, layouts, strict=True)
    ]
    joined = join_fields(parts, [*shape[:dim], 1, *shape[dim + 1 :]])
    if joined.layout is None:
        return joined
    dims = list(joined.layout)
    dims[dim] = (Atom(shape[dim], axes),)
    return joined.with_layout(tuple(dims))


def _pad(call: Call, field: Field, layout: DimLayout) -> Field:
    pads = call.arguments["pad"]
    dims = list(layout)
    for i in range(len(pads) // 2):
        dim = len(layout) - 1 - i
        before, after = pads[2 * i], pads[2 * i + 1]
        if (before, after) == (0, 0):
            continue
        atoms, count = layout[dim], call.shapes[0][dim]
        axes = {axis for atom in atoms for axis in atom.axes}
        if axes and (len(atoms) != 1 or len(axes) != 1):
            return field.lose("rows and columns in one dimension are padded")
        slide = partial(Span.slide, extent=1, stride=1, before=before, count=count)
        field = field.change(axes, slide)
        dims[dim] = (Atom(count, atoms[0].axes if axes else ()),)
    return field.with_layout(tuple(dims))


def _roll(call: Call, field: Field, layout: DimLayout) -> Field:
    dims = {dim % len(layout) for dim in call.arguments["dims"]} or set(range(len(layout)))
    if any(atom.axes for dim in dims for atom in layout[dim]):
        return field.lose("positions are rearranged")
    return field


LAYOUT_RULES: dict[str, Rule] = {
    **dict.fromkeys(("view", "_unsafe_view", "reshape", "_reshape_alias"), _view),
    **dict.fromkeys(("permute", "transpose", "t"), _permute),
    "unsqueeze": _unsqueeze,
    "squeeze": _squeeze,
    "expand": _expand,
    "slice": _slice,
    "select": _select,
    **dict.fromkeys(("split", "split_with_sizes", "unbind"), _split),
    **dict.fromkeys(("cat", "stack"), _cat),
    "constant_pad_nd": _pad,
    **dict.fromkeys(("roll", "flip"), _roll),
}
