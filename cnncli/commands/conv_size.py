"""``cnncli conv-size``."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import typer

from cnncli.architecture import (
    Conv,
    Pool,
    Trace,
    format_shape,
    parse_chain,
    read_pair,
    trace_chain,
)
from cnncli.choices import RowFormat, format_size
from cnncli.convolution import (
    Kind,
    Size,
    Unknown,
    Window,
    check_channels,
    count_macs,
    count_parameters,
    explain,
    solve,
)
from cnncli.errors import CnncliError
from cnncli.terminal import TerminalReporter, pick_format, print_json, print_line, print_rows

Row = dict[str, Any]


@dataclass(frozen=True)
class _Question:
    """One layer as asked for: the window, the input and how they were written."""

    window: Window
    size: Size
    sides: bool  # the input was written HEIGHTxWIDTH, so the answer is
    channels: tuple[int, int, int, bool] | None  # in_channels, filters, groups, bias
    tied: bool = False  # the stride follows the kernel


def _refuse_minus(given: bool) -> None:
    if given:
        raise CnncliError(
            "a number with a minus sign: sizes are at least 1, paddings at least 0, such as "
            "cnncli conv-size 28 3 1 0"
        )


def conv_size(
    input_size: Annotated[
        str, typer.Argument(metavar="INPUT", help="Pixels, N or HEIGHTxWIDTH.", show_default=False)
    ],
    kernel: Annotated[
        str | None, typer.Argument(metavar="KERNEL", help="N or HEIGHTxWIDTH.", show_default=False)
    ] = None,
    stride: Annotated[
        str | None,
        typer.Argument(metavar="STRIDE", help="[1; with --pool the kernel]", show_default=False),
    ] = None,
    padding: Annotated[
        str | None,
        typer.Argument(
            metavar="PADDING", help="On each side; or same or valid. [0]", show_default=False
        ),
    ] = None,
    dilation: Annotated[
        str | None, typer.Option(metavar="N", help="Pixels from tap to tap of the kernel [1].")
    ] = None,
    transposed: Annotated[
        bool, typer.Option("--transposed", help="A transposed convolution instead.")
    ] = False,
    output_padding: Annotated[
        str | None, typer.Option(metavar="N", help="Rows that --transposed adds at the end [0].")
    ] = None,
    pool: Annotated[
        bool, typer.Option("--pool", help="A max or average pool instead of a convolution.")
    ] = False,
    ceil_mode: Annotated[
        bool, typer.Option("--ceil-mode", help="A --pool that counts a last partial window.")
    ] = False,
    in_channels: Annotated[
        int | None, typer.Option(help="Of the input; with --filters, count too.")
    ] = None,
    filters: Annotated[
        int | None, typer.Option(help="Output channels; with --in-channels, count too.")
    ] = None,
    groups: Annotated[
        int | None, typer.Option(help="Of channels; must divide both numbers [1].")
    ] = None,
    bias: Annotated[
        bool | None, typer.Option("--bias/--no-bias", help="One bias per filter [--bias].")
    ] = None,
    chain: Annotated[
        str | None,
        typer.Option(
            metavar="LAYERS", help='A stack such as "conv5x5 f6 relu; pool2; flatten; dense 84".'
        ),
    ] = None,
    unknown: Annotated[
        Unknown | None,
        typer.Option("--solve", help="Find this one instead, for --output-size."),
    ] = None,
    output_size: Annotated[
        str | None, typer.Option(metavar="N", help="What --solve is to reach.")
    ] = None,
    explained: Annotated[
        bool, typer.Option("--explain", help="The formula with the numbers in it.")
    ] = False,
    output_format: Annotated[
        RowFormat | None,
        typer.Option(
            "--format", help="[the bare size; --chain: table on a terminal, csv in a pipe]"
        ),
    ] = None,
    minus: Annotated[
        bool,
        typer.Option(
            *(f"-{digit}" for digit in range(10)), "-x", hidden=True, callback=_refuse_minus
        ),
    ] = False,
) -> None:
    """Output size of a layer or a whole network: conv-size 28 3 1 0 prints 26.

    The first line is the size alone, HxW where the input is written so. --in-channels and
    --filters add the lines "parameters N" and "MACs N" (multiply-accumulates for one image; biases
    not counted), --explain the formula. --format gives all of it by name; JSON has HxW as
    [height, width].

    --solve prints the smallest value that works, with --format all of them. What stands in its
    place is not read, so write a dash there: conv-size 28 - 2 --solve kernel --output-size 13.

    --chain prints a row per layer, totals last. Layers: conv3x3 f32, deconv2x2 f16 (transposed),
    pool2, avgpool2, gap (global average), bn, dropout 0.4, flatten, dense 84, and relu leaky_relu
    elu gelu mish silu tanh sigmoid, alone or at a layer's end. Options: fN filters, sN stride, pN
    padding, same, valid, dN dilation, gN groups, opN output padding, ceil, nobias.
    """
    if explained and output_format in ("table", "csv"):
        raise CnncliError(f"--explain --format {output_format}: prose has no columns; use json")
    sides = "x" in input_size.lower() or "×" in input_size
    size = read_pair(input_size, "input")
    single: Row = {
        "KERNEL": kernel, "STRIDE": stride, "PADDING": padding, "--dilation": dilation,
        "--output-padding": output_padding, "--filters": filters, "--groups": groups,
        "--transposed": transposed or None, "--pool": pool or None,
        "--ceil-mode": ceil_mode or None, "--bias/--no-bias": bias, "--solve": unknown,
        "--output-size": output_size,
    }  # fmt: skip
    if chain is not None:
        used = [name for name, value in single.items() if value is not None]
        if used:
            raise CnncliError(f"--chain: the layers say it all; leave {', '.join(used)} out")
        _print_chain(chain, size, in_channels, explained, output_format)
        return
    if (unknown is None) != (output_size is None):
        raise CnncliError(
            "--solve and --output-size go together: conv-size 28 3 --solve padding --output-size 28"
        )
    question = _read_question(size, sides, unknown, in_channels, single)
    if unknown and output_size:
        _print_solutions(question, unknown, read_pair(output_size, "--output-size"),
                         explained, output_format)  # fmt: skip
    else:
        _print_answer(question, explained, output_format)


def _read_question(
    size: Size, sides: bool, unknown: str | None, in_channels: int | None, given: Row
) -> _Question:
    kind: Kind = "transposed" if given["--transposed"] else "pool" if given["--pool"] else "conv"
    _check_flags(kind, in_channels, given)
    place = (unknown or "").upper()
    if place and given[place] not in (None, "-"):
        TerminalReporter().note(f"{unknown} {given[place]} is not read: --solve looks for it")
    known = {key: None if key == place else given[key] for key in ("KERNEL", "STRIDE", "PADDING")}
    if known["KERNEL"] is None and unknown != "kernel":
        raise CnncliError("kernel: missing; write it after the input, as in cnncli conv-size 28 3")
    kernel = read_pair(known["KERNEL"] or "1", "kernel")
    default = kernel if kind == "pool" else (1, 1)
    stride = read_pair(known["STRIDE"], "stride") if known["STRIDE"] else default
    window = Window(
        kernel=kernel,
        stride=stride,
        padding=_read_padding(known["PADDING"] or "0", kind, kernel, stride, given),
        dilation=read_pair(given["--dilation"] or "1", "--dilation"),
        output_padding=read_pair(given["--output-padding"] or "0", "--output-padding", least=0),
        kind=kind,
        ceil_mode=bool(given["--ceil-mode"]),
    )
    if window.ceil_mode and window.padding == "same":
        raise CnncliError("--ceil-mode: padding same already rounds up; leave one of them out")
    channels = None
    if in_channels is not None:
        groups = 1 if given["--groups"] is None else given["--groups"]
        check_channels(in_channels, given["--filters"], groups)
        channels = (in_channels, given["--filters"], groups, given["--bias/--no-bias"] is not False)
    tied = kind == "pool" and known["STRIDE"] is None and unknown == "kernel"
    return _Question(window, size, sides, channels, tied)


def _check_flags(kind: Kind, in_channels: int | None, given: Row) -> None:
    """Refuse flags that do not go together."""
    counting = ("--filters", "--groups", "--bias/--no-bias")
    used = [name for name in counting if given[name] is not None]
    used += [] if in_channels is None else ["--in-channels"]
    if given["--pool"] and given["--transposed"]:
        raise CnncliError("--pool and --transposed: a layer is one of them; leave the other out")
    if kind == "pool" and used:
        raise CnncliError(f"{used[0]}: a pool has no parameters; leave it or --pool out")
    if used and (in_channels is None or given["--filters"] is None):
        missing = "--in-channels" if in_channels is None else "--filters"
        raise CnncliError(f"{used[0]}: to count parameters, {missing} is needed too")
    for name, needs, right in (
        ("--output-padding", "--transposed", kind == "transposed"),
        ("--ceil-mode", "--pool", kind == "pool"),
    ):
        if given[name] is not None and not right:
            raise CnncliError(f"{name}: only goes with {needs}; add that or leave it out")


def _read_padding(
    text: str, kind: Kind, kernel: Size, stride: Size, given: Row
) -> Size | Literal["same"]:
    word = text.strip().lower()
    if word in ("same", "valid") and kind == "transposed":
        raise CnncliError(
            f"padding {word}: --transposed takes numbers, as in torch; "
            + ("write 0" if word == "valid" else _replace_same(kernel, stride, given))
        )
    if word == "same":
        return "same"
    try:
        return (0, 0) if word == "valid" else read_pair(text, "padding", least=0)
    except CnncliError as error:
        raise CnncliError(f"{error}, or same or valid") from None


def _replace_same(kernel: Size, stride: Size, given: Row) -> str:
    """Say which numbers give output = input * stride, the meaning of same in Keras."""
    dilation = read_pair(given["--dilation"] or "1", "--dilation")
    pads, extras = [], []
    for k, s, d in zip(kernel, stride, dilation, strict=True):
        excess = d * (k - 1) + 1 - s
        pads.append(max(excess + 1, 0) // 2)
        extras.append(2 * pads[-1] - excess)
        if extras[-1] >= max(s, d):
            return "no equal padding on both sides gives output = input * stride here"
    answer = f"for output = input * stride write {format_size((pads[0], pads[1]))}"
    extra = format_size((extras[0], extras[1]))
    return answer if extra == "0" else f"{answer} and --output-padding {extra}"


def _describe(question: _Question) -> Row:
    """Return the numbers of one layer by the words of the glossary."""
    window, size = question.window, question.size
    row: Row = {
        "input": size,
        "kernel": window.kernel,
        "stride": window.stride,
        "padding": window.padding,
        "dilation": window.dilation,
    }
    if window.kind == "transposed":
        row["output_padding"] = window.output_padding
    row["output"] = window.output(size)
    if question.channels:
        in_channels, filters, groups, bias = question.channels
        row.update(in_channels=in_channels, filters=filters, groups=groups)
        row["parameters"] = count_parameters(window, in_channels, filters, groups=groups, bias=bias)
        row["macs"] = count_macs(window, size, in_channels, filters, groups=groups)
    return row


def _cell(value: Any, *, nested: bool) -> Any:
    """Return a size as N or HxW; for JSON as a number or [height, width]."""
    if not isinstance(value, tuple):
        return value
    if nested:
        return value[0] if value[0] == value[1] else list(value)
    return format_size(value)


def _cells(row: Row, output_format: str) -> Row:
    return {key: _cell(value, nested="json" in output_format) for key, value in row.items()}


def _print_answer(question: _Question, explained: bool, output_format: RowFormat | None) -> None:
    row = _describe(question)
    lines = explain(question.window, question.size) if explained else []
    if output_format:
        cells = _cells(row, output_format)
        columns = list(cells)
        if explained:
            cells["explanation"] = lines
        if output_format == "json":
            print_json(cells)
        else:
            print_rows([cells], columns, output_format)
        return
    square = format_size(row["output"])
    print_line(square if not question.sides else "{}x{}".format(*row["output"]))
    if question.channels:
        print_line(f"parameters {row['parameters']}")
        print_line(f"MACs {row['macs']}")
    for line in lines:
        print_line(line)


def _print_solutions(
    question: _Question,
    unknown: Unknown,
    target: Size,
    explained: bool,
    output_format: RowFormat | None,
) -> None:
    """Print the smallest value that reaches ``target``, or all of them with a format."""
    window, size = question.window, question.size
    found = [
        solve(axis, unknown, n, goal, tied=question.tied)
        for axis, n, goal in zip(window.axes, size, target, strict=True)
    ]
    for side, solutions, n, goal in zip(("height", "width"), found, size, target, strict=True):
        if not solutions.values:
            where = "" if size[0] == size[1] and target[0] == target[1] else f"{side}: "
            near = " and ".join(map(str, solutions.nearest))
            raise CnncliError(
                f"--solve {unknown}: {where}none gives exactly {goal} from {n}; "
                + (f"the nearest sizes it can reach: {near}" if near else "nor any other size")
            )
    if window.axes[0] == window.axes[1] and size[0] == size[1] and target[0] == target[1]:
        values: Iterator[Size] = ((value, value) for value in found[0].values)
    else:
        values = ((row, column) for row in found[0].values for column in found[1].values)
    answers = ((value, _solved(question, unknown, value)) for value in values)
    value, answer = first = next(answers)
    reporter = TerminalReporter()
    if any(solutions.open_ended for solutions in found):
        reporter.note(f"every larger {unknown} gives the same size")
    if output_format:
        columns = list(_describe(answer))
        rows = (
            _cells(_describe(each), output_format) for _, each in itertools.chain([first], answers)
        )
        print_rows(rows, columns, output_format)
        return
    print_line(format_size(value))
    if explained:
        also = [format_size(other) for other, _ in itertools.islice(answers, 21)]
        if also:
            also[20:] = ["..."] * (len(also) > 20)
            print_line(f"also {', '.join(also)}")
        for line in explain(answer.window, size):
            print_line(line)


def _solved(question: _Question, unknown: Unknown, value: Size) -> _Question:
    window = question.window
    if unknown == "padding":
        window = replace(window, padding=value)
    elif unknown == "stride":
        window = replace(window, stride=value)
    else:
        window = replace(window, kernel=value, stride=value if question.tied else window.stride)
    return replace(question, window=window)


def _print_chain(
    chain: str,
    size: Size,
    in_channels: int | None,
    explained: bool,
    output_format: RowFormat | None,
) -> None:
    """Print a row per layer and the totals last; with ``explained`` the formulas as prose."""
    grey = in_channels is None
    in_channels = 1 if in_channels is None else in_channels
    check_channels(in_channels, 1, 1)
    traces = trace_chain(parse_chain(chain), size, in_channels)
    if grey:
        TerminalReporter().note("--in-channels not given: counted for 1 (grey)")
    nested = output_format in ("json", "jsonl")
    rows = [_describe_layer(trace, nested=nested) for trace in traces]
    total: Row = {
        "layer": "total",
        "output": rows[-1]["output"],
        "parameters": sum(trace.parameters for trace in traces),
        "macs": sum(trace.macs for trace in traces),
        "receptive_field": None,
        "jump": None,
    }
    if explained:
        shape: tuple[int, ...] = (in_channels, *size)
        for row, trace in zip(rows, traces, strict=True):
            row["explanation"] = _explain_layer(trace, shape)
            shape = trace.shape
    if explained and not nested:
        for row in rows:
            print_line(f"{row['layer']}: output {row['output']}")
            for line in row["explanation"]:
                print_line(f"  {line}")
        print_line(f"total: parameters {total['parameters']}, MACs {total['macs']}")
    elif output_format == "json":
        print_json(
            {"layers": rows, "total": {k: total[k] for k in ("output", "parameters", "macs")}}
        )
    else:
        print_rows([*rows, total], list(total), pick_format(output_format, piped="csv"))


def _describe_layer(trace: Trace, *, nested: bool) -> Row:
    field: Any = "whole image"
    jump: Any = None
    if trace.field:
        rows, columns = trace.field.jump
        jump = f"{rows}x{columns}" if rows != columns else int(rows) if rows % 1 == 0 else str(rows)
        field = _cell(trace.field.size or "by position", nested=nested)
    return {
        "layer": trace.layer.text,
        "output": list(trace.shape) if nested else format_shape(trace.shape),
        "parameters": trace.parameters,
        "macs": trace.macs,
        "receptive_field": field,
        "jump": jump,
    }


def _explain_layer(trace: Trace, shape: tuple[int, ...]) -> list[str]:
    lines: list[str] = []
    if isinstance(trace.layer, Conv | Pool):
        lines += explain(trace.layer.window, (shape[1], shape[2]))
    if trace.parameters or trace.macs:
        lines.append(f"parameters {trace.parameters}, MACs {trace.macs}")
    return lines
