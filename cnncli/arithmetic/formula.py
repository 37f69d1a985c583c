"""The formulas of `cnncli.arithmetic.convolution` as text with the numbers filled in."""

from __future__ import annotations

import math
from fractions import Fraction

from cnncli.arithmetic.convolution import (
    Axis,
    Size,
    SlidingWindow,
    count_macs,
    count_parameters,
)
from cnncli.arithmetic.layers import Conv, Dense, Norm, Pool, Trace
from cnncli.arithmetic.windows import Plane

_MOST_NAMED = 6  # rows that a sentence lists one by one


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
        return [*lines, *_explain_cut(window, size)]
    lines += _explain_gaps(window, size)
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


def _explain_gaps(window: SlidingWindow, size: Size) -> list[str]:
    """Say which share of the rows and columns lies between the taps of all windows."""
    parts = []
    for axis, n, word in zip(window.axes, size, ("rows", "columns"), strict=True):
        # Taps lie on min(kernel, stride / gcd) of the remainders by the stride.
        reached = min(axis.kernel, axis.stride // math.gcd(axis.dilation, axis.stride))
        if reached < axis.stride and axis.output(n) > 1:
            parts.append(f"{axis.stride - reached} of every {axis.stride} {word}")
    return [f"the stride steps over {', '.join(parts)}"] if parts else []


def _explain_cut(window: SlidingWindow, size: Size) -> list[str]:
    """Say how much of the input the padding of a transposed convolution keeps from the output."""
    cut = []
    for axis, n in zip(window.axes, size, strict=True):
        output = axis.output(n)
        if output < axis.dilation:  # gaps of the kernel may leave out pixels too
            return []
        # A pixel at place q of the stretched input adds to outputs from q - padding on, and to
        # ``extent`` of them at most.
        first = max(-(-(axis.pads(n)[0] - axis.extent + 1) // axis.stride), 0)
        last = min((output - 1 + axis.pads(n)[0]) // axis.stride, n - 1)
        cut.append(n - (last - first + 1))
    if not any(cut):
        return ["a transposed convolution drops no rows and no columns"]
    rows, columns = (
        f"{n_cut} {word if n_cut == 1 else word + 's'}"
        for n_cut, word in zip(cut, ("row", "column"), strict=True)
    )
    return [f"the padding cuts off all that {rows} and {columns} of the input add to the output"]


def fill_in(axis: Axis, size: int) -> str:
    """Return the formula of the output size with the numbers alone, as one line for a picture.

    Args:
        axis: The window along one direction.
        size: Size of the input in pixels.
    """
    kernel, stride, output = axis.kernel, axis.stride, axis.output(size)
    if axis.padding == "same":
        return f"⌈{size}/{stride}⌉ = {output}"
    reach = f"{axis.dilation}·({kernel} − 1)" if axis.dilation > 1 else f"({kernel} − 1)"
    if axis.kind == "transposed":
        more = f" + {axis.output_padding}" if axis.output_padding else ""
        return f"({size} − 1)·{stride} − 2·{axis.padding} + {reach}{more} + 1 = {output}"
    span = size + 2 * axis.padding - axis.extent
    taken = str(kernel) if axis.dilation == 1 else f"{reach} − 1"
    inner = f"({size} + 2·{axis.padding} − {taken})/{stride}"
    if span % stride == 0:
        plain, text = span // stride + 1, f"{inner} + 1"
    elif axis.ceil_mode:
        plain, text = -(-span // stride) + 1, f"⌈{inner}⌉ + 1 = ⌈{span}/{stride}⌉ + 1"
    else:
        plain, text = output, f"⌊{inner}⌋ + 1 = ⌊{span}/{stride}⌋ + 1"
    if plain != output:
        return f"{text} = {plain}, but window {plain} would start behind the input: {output}"
    return f"{text} = {output}"


def describe_unseen(plane: Plane) -> str:
    """Return a sentence on the rows and columns that no window reaches; empty if there are none."""
    parts: list[str] = []
    for line, word in ((plane.rows, "row"), (plane.columns, "column")):
        parts += _name_unseen(line.unseen_pixels, line.size, word)
        padding = [cell for cell in line.unseen if line.kind(cell) == "padding"]
        # Only as the last ones: gaps of the kernel may leave out other rows of padding.
        count = len(padding)
        if padding == list(range(line.length - count, line.length)):
            parts += [f"{part} of the padding" for part in _name_end("last", count, word)]
    if not parts:
        return ""
    text = " and ".join(parts) if len(parts) < 3 else f"{', '.join(parts[:-1])} and {parts[-1]}"
    one = len(parts) == 1 and f"{parts[0]} ".find("s ") < 0
    return f"{text[0].upper()}{text[1:]} {'is' if one else 'are'} never seen."


def _name_unseen(pixels: tuple[int, ...], size: int, word: str) -> list[str]:
    """Return in words which rows or columns of the input are never seen, counted from 1."""
    first = next((i for i, pixel in enumerate(pixels) if pixel != i), len(pixels))
    last = len(pixels) - first
    if pixels == (*range(first), *range(size - last, size)):
        return [*_name_end("first", first, word), *_name_end("last", last, word)]
    if len(pixels) > _MOST_NAMED:
        return [f"{len(pixels)} of {size} {word}s"]
    places = [str(pixel + 1) for pixel in pixels]
    if len(places) == 1:
        return [f"{word} {places[0]}"]
    return [f"{word}s {', '.join(places[:-1])} and {places[-1]}"]


def _name_end(end: str, count: int, word: str) -> list[str]:
    return [f"the {end} {word}" if count == 1 else f"the {end} {count} {word}s"] if count else []


def explain_costs(
    window: SlidingWindow, size: Size, in_channels: int, filters: int, *, groups: int, bias: bool
) -> list[str]:
    """Return the parameters and MACs of a convolution with the numbers filled in, as lines of text.

    A last line has the parameters of a dense layer from the same input to the same output.

    Args:
        window: Window of the convolution, transposed or not.
        size: Size of the input, (height, width) in pixels.
        in_channels: Channels of the input.
        filters: Channels of the output.
        groups: Groups of channels; it divides both.
        bias: Whether each filter, and each unit of the dense layer, has a bias.

    Raises:
        CnncliError: If torch would refuse this window on this input.
    """
    output = window.output(size)
    parameters = count_parameters(window, in_channels, filters, groups=groups, bias=bias)
    macs = count_macs(window, size, in_channels, filters, groups=groups)
    kernel = "kernel*kernel*in_channels" + "/groups" * (groups > 1)
    side = "input" if window.kind == "transposed" else "output"
    return [
        f"parameters = {_with_bias(kernel, bias)}*filters",
        f"           = {_fill_in_parameters(window, in_channels, filters, groups, bias)}"
        f" = {parameters}",
        f"MACs = {kernel}*filters*{side}*{side}",
        f"     = {_fill_in_macs(window, size, in_channels, filters, groups)} = {macs}",
        *_explain_dense((in_channels, *size), (filters, *output), bias, parameters),
    ]


def _explain_dense(
    shape: tuple[int, ...], output: tuple[int, ...], bias: bool, parameters: int
) -> list[str]:
    """Compare the parameters of a convolution with those of a dense layer of the same shapes."""
    dense = (math.prod(shape) + bias) * math.prod(output)
    inputs, outputs = ("*".join(map(str, sides)) for sides in (shape, output))
    return [
        f"a dense layer in its place has {_compare(dense, parameters)} parameters:",
        f"     {_with_bias(inputs, bias)}*{outputs} = {dense}",
    ]


def _with_bias(weights: str, bias: bool) -> str:
    return f"({weights} + 1)" if bias else weights


def _fill_in_parameters(
    window: SlidingWindow, in_channels: int, filters: int, groups: int, bias: bool
) -> str:
    height, width = window.kernel
    weights = f"{height}*{width}*{in_channels}" + f"/{groups}" * (groups > 1)
    return f"{_with_bias(weights, bias)}*{filters}"


def _fill_in_macs(
    window: SlidingWindow, size: Size, in_channels: int, filters: int, groups: int
) -> str:
    height, width = size if window.kind == "transposed" else window.output(size)
    weights = _fill_in_parameters(window, in_channels, filters, groups, bias=False)
    return f"{weights}*{height}*{width}"


def _compare(count: int, other: int) -> str:
    ratio = Fraction(count, other)
    if ratio == 1:
        return "just as many"
    return f"{round(ratio) if ratio >= 10 else f'{float(ratio):.2g}'} times as many"


def explain_layer(trace: Trace, shape: tuple[int, ...]) -> list[str]:
    """Return the formulas of one layer of a network, and its costs, as lines of text.

    Args:
        trace: The layer with its output shape and its costs.
        shape: Shape of the layer's input, (C, H, W) or (values,).
    """
    lines: list[str] = []
    layer = trace.layer
    parameters, macs = "", ""
    if isinstance(layer, Conv | Pool):
        size = (shape[1], shape[2])
        lines += explain(layer.window, size)
    if isinstance(layer, Conv):
        channels = shape[0], layer.filters, layer.groups
        parameters = _fill_in_parameters(layer.window, *channels, layer.bias) + " = "
        macs = _fill_in_macs(layer.window, size, *channels) + " = "
    elif isinstance(layer, Dense):
        parameters = f"{_with_bias(str(shape[0]), layer.bias)}*{layer.units} = "
        macs = f"{shape[0]}*{layer.units} = "
    elif isinstance(layer, Norm):
        parameters = f"2*{shape[0]} = "
    if trace.parameters or trace.macs:
        lines.append(f"parameters {parameters}{trace.parameters}, MACs {macs}{trace.macs}")
    if isinstance(layer, Conv):
        lines += _explain_dense(shape, trace.shape, layer.bias, trace.parameters)
    return lines
