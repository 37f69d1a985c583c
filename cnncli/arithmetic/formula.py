"""The formulas of `cnncli.arithmetic.convolution` as text with the numbers filled in."""

from __future__ import annotations

from cnncli.arithmetic.convolution import Axis, Size, SlidingWindow
from cnncli.arithmetic.layers import Conv, Pool, Trace


def explain(window: SlidingWindow, size: Size) -> list[str]:
    """Return the formula of the output size with the numbers filled in, as lines of text.

    A last line says how many rows and columns the rounding leaves out.

    Args:
        window: The sliding window.
        size: Size of the input, (height, width) in pixels.

    Raises:
        CnncliError: If torch would refuse this window on this input.
    """
    window.output(size)
    rows, columns = window.axes
    if (rows, size[0]) == (columns, size[1]):
        lines = _explain_axis(rows, size[0])
    else:
        lines = ["height:", *_explain_axis(rows, size[0])]
        lines += ["width:", *_explain_axis(columns, size[1])]
    if window.kind == "transposed":
        return [*lines, "a transposed convolution drops no rows and no columns"]
    rounding = "ceil" if window.ceil_mode else "rounding" if window.padding == "same" else "floor"
    lost = [axis.dropped(n) for axis, n in zip(window.axes, size, strict=True)]
    if not any(lost):
        return [*lines, f"the {rounding} drops no rows and no columns"]
    padded = [
        min(axis.pads(n)[1], n_lost)
        for axis, n, n_lost in zip(window.axes, size, lost, strict=True)
    ]
    parts = [
        f"{n_lost} {word if n_lost == 1 else word + 's'}" + (f" ({of_it} of padding)" * bool(of_it))
        for n_lost, of_it, word in zip(lost, padded, ("row", "column"), strict=True)
    ]
    return [*lines, f"the {rounding} drops {parts[0]} at the bottom, {parts[1]} at the right"]


def _explain_axis(axis: Axis, size: int) -> list[str]:
    kernel, stride, dilation, output = axis.kernel, axis.stride, axis.dilation, axis.output(size)
    if axis.padding == "same":
        before, after = axis.pads(size)
        rule = "PyTorch's and TensorFlow's" if stride == 1 else "TensorFlow's"
        return [
            f"padding same is {rule} rule",
            f"output  = ceil(input / stride) = ceil({size} / {stride}) = {output}",
            "padding = max((output - 1)*stride + dilation*(kernel - 1) + 1 - input, 0)",
            f"        = max(({output} - 1)*{stride} + {dilation}*({kernel} - 1) + 1 - {size}, 0)"
            f" = {before + after}: {before} before, {after} after",
        ]
    padding = axis.padding
    if axis.kind == "transposed":
        return [
            "output = (input - 1)*stride - 2*padding + dilation*(kernel - 1) + output_padding + 1",
            f"       = ({size} - 1)*{stride} - 2*{padding} + {dilation}*({kernel} - 1)"
            f" + {axis.output_padding} + 1 = {output}",
        ]
    rounding = "ceil" if axis.ceil_mode else "floor"
    span = size + 2 * padding - axis.extent
    plain = (-(-span // stride) if axis.ceil_mode else span // stride) + 1
    lines = [
        f"output = {rounding}((input + 2*padding - dilation*(kernel - 1) - 1) / stride) + 1",
        f"       = {rounding}(({size} + 2*{padding} - {dilation}*({kernel} - 1) - 1) / {stride})"
        " + 1",
        f"       = {rounding}({span} / {stride}) + 1 = {plain}",
    ]
    if plain != output:
        lines.append(
            f"       = {output}, since window {plain} would start at {(plain - 1) * stride}, "
            f"behind the padding before and the input ({padding} + {size})"
        )
    return lines


def explain_layer(trace: Trace, shape: tuple[int, ...]) -> list[str]:
    """Return the formulas of one layer of a network, and its costs, as lines of text.

    Args:
        trace: The layer with its output shape and its costs.
        shape: Shape of the layer's input, (C, H, W) or (values,).
    """
    lines: list[str] = []
    if isinstance(trace.layer, Conv | Pool):
        lines += explain(trace.layer.window, (shape[1], shape[2]))
    if trace.parameters or trace.macs:
        lines.append(f"parameters {trace.parameters}, MACs {trace.macs}")
    return lines
