"""``cnncli conv-size``."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from cnncli.arithmetic.chain import parse_chain, parse_pair
from cnncli.arithmetic.convolution import Size, check_channels
from cnncli.arithmetic.formula import explain_layer
from cnncli.arithmetic.layers import Trace, describe_unseen_part, format_shape, trace_chain
from cnncli.arithmetic.region import count_pixels
from cnncli.arithmetic.solve import Unknown, solve_window
from cnncli.arithmetic.windows import check_drawable
from cnncli.choices import RowFormat, format_size
from cnncli.errors import CnncliError
from cnncli.reporting import TableLayout
from cnncli.shell.conv_flags import (
    WINDOW_FLAGS,
    Question,
    check_alone,
    check_animated,
    read_question,
)
from cnncli.shell.flags import Flags, takes
from cnncli.shell.terminal import (
    TerminalReporter,
    choose_format,
    print_json,
    print_line,
    print_rows,
)

Row = dict[str, Any]


def _refuse_minus(given: bool) -> None:
    if given:
        raise CnncliError(
            "a number with a minus sign: sizes are at least 1, paddings at least 0, such as "
            "cnncli conv-size 28 3 1 0"
        )


@takes(WINDOW_FLAGS)
def conv_size(
    flags: Flags,
    input_size: Annotated[
        str,
        typer.Argument(
            metavar="INPUT", help="Size in pixels, N or HEIGHTxWIDTH.", show_default=False
        ),
    ],
    kernel: Annotated[
        str | None,
        typer.Argument(
            metavar="KERNEL",
            help="Size of the window in pixels, N or HEIGHTxWIDTH.",
            show_default=False,
        ),
    ] = None,
    stride: Annotated[
        str | None,
        typer.Argument(
            metavar="STRIDE",
            help="Pixels from window to window [1; with --pool the kernel].",
            show_default=False,
        ),
    ] = None,
    padding: Annotated[
        str | None,
        typer.Argument(
            metavar="PADDING",
            help="Pixels added on each side, or same or valid [0].",
            show_default=False,
        ),
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
        bool, typer.Option("--explain", help="The formulas with the numbers in them.")
    ] = False,
    output_format: Annotated[
        RowFormat | None,
        typer.Option(
            "--format",
            help="Form of the answer [the bare size; --chain: table on a terminal, csv in a pipe].",
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

    --animate draws every position of the window and the output value that it fills: 784 steps and
    40 cells in a row at most.

    --chain prints a row per layer, totals last. Layers: conv3x3 f32, deconv2x2 f16 (transposed),
    pool2, avgpool2, gap (global average), bn, dropout 0.4, flatten, dense 84, and relu leaky_relu
    elu gelu mish silu tanh sigmoid, alone or at a layer's end. Options: fN filters, sN stride, pN
    padding, same, valid, dN dilation, gN groups, opN output padding, ceil, nobias.
    """
    if explained and output_format in ("table", "csv"):
        raise CnncliError(f"--explain --format {output_format}: prose has no columns; use json")
    animated = flags.pop("animate", None)
    picture = animated and check_animated(animated, chain, unknown)
    size = parse_pair(input_size, "input")
    given = {"kernel": kernel, "stride": stride, "padding": padding, **flags}
    if chain is not None:
        check_alone({**given, "solve": unknown, "output_size": output_size})
        _print_chain(chain, size, flags.get("in_channels"), explained, output_format)
        return
    if (unknown is None) != (output_size is None):
        raise CnncliError(
            "--solve and --output-size go together: conv-size 28 3 --solve padding --output-size 28"
        )
    question = read_question(size, given, unknown, TerminalReporter())
    if unknown and output_size:
        target = parse_pair(output_size, "--output-size")
        _print_solutions(question, unknown, target, explained, output_format)
    else:
        sides = "x" in input_size.lower() or "×" in input_size
        if picture:
            _animate(question, picture)
        _print_answer(question, sides, explained, output_format)


def _animate(question: Question, picture: Path) -> None:
    """Draw the layer first, so that a reader of the answer who leaves early does not end it."""
    check_drawable(question.window, question.size)
    from cnncli.plots.sliding_window import save_sliding_window

    steps, pace = save_sliding_window(picture, question.window, question.size)
    TerminalReporter().note(f"drawn in {picture}: {steps} steps, {pace:g} s each")


_LAYOUT = TableLayout(
    drop=("groups", "dilation", "jump"),
    keep=("output", "parameters", "macs"),
    whole="--format csv",
)


def _print_answer(
    question: Question, sides: bool, explained: bool, output_format: RowFormat | None
) -> None:
    """Print the size as the input is written: as HxW where it has ``sides``."""
    row = question.describe()
    lines = question.explain() if explained else []
    if output_format:
        cells = _cells(row, output_format)
        columns = list(cells)
        if explained:
            cells["explanation"] = lines
        if output_format == "json":
            print_json(cells)
        else:
            print_rows([cells], columns, output_format, layout=_LAYOUT)
        return
    print_line("{}x{}".format(*row["output"]) if sides else format_size(row["output"]))
    if question.channels:
        print_line(f"parameters {row['parameters']}")
        print_line(f"MACs {row['macs']}")
    for line in lines:
        print_line(line)


def _print_solutions(
    question: Question,
    unknown: Unknown,
    target: Size,
    explained: bool,
    output_format: RowFormat | None,
) -> None:
    """Print the smallest value that reaches ``target``, or all of them with a format."""
    answers, open_ended = solve_window(
        question.window, unknown, question.size, target, tied=question.tied
    )
    value, window = first = next(answers)
    if open_ended:
        TerminalReporter().note(f"every larger {unknown} gives the same size")
    if output_format:
        found = (replace(question, window=each) for _, each in itertools.chain([first], answers))
        rows = (_cells(each.describe(), output_format) for each in found)
        columns = list(replace(question, window=window).describe())
        print_rows(rows, columns, output_format, layout=_LAYOUT)
        return
    print_line(format_size(value))
    if explained:
        if also := [format_size(other) for other, _ in itertools.islice(answers, 21)]:
            also[20:] = ["..."] * (len(also) > 20)
            print_line(f"also {', '.join(also)}")
        for line in replace(question, window=window).explain():
            print_line(line)


def _print_chain(
    chain: str,
    size: Size,
    in_channels: int | None,
    explained: bool,
    output_format: RowFormat | None,
) -> None:
    """Print a row per layer and the totals last; with ``explained`` the formulas as prose."""
    channels = 1 if in_channels is None else in_channels
    check_channels(channels, 1, 1)
    traces = trace_chain(parse_chain(chain), size, channels)
    if in_channels is None:
        TerminalReporter().note("--in-channels not given: counted for 1 (grey)")
    nested = output_format in ("json", "jsonl")
    chosen = choose_format(output_format, piped="csv")
    rows = [_describe_layer(trace, size, "json" if nested else chosen) for trace in traces]
    if told := describe_unseen_part(traces, size):
        TerminalReporter().note(told)
    if explained:
        inputs = [(channels, *size), *(trace.shape for trace in traces[:-1])]
        for row, trace, shape in zip(rows, traces, inputs, strict=True):
            row["explanation"] = explain_layer(trace, shape)
    total: Row = {
        "output": rows[-1]["output"],
        "parameters": sum(trace.parameters for trace in traces),
        "macs": sum(trace.macs for trace in traces),
    }
    if explained and not nested:
        _print_prose(rows, total)
    elif output_format == "json":
        print_json({"layers": rows, "total": total})
    else:
        last = {"layer": "total", **total, "receptive_field": None, "jump": None}
        print_rows([*rows, last], list(last), chosen, layout=_LAYOUT)


def _print_prose(rows: list[Row], total: Row) -> None:
    for row in rows:
        print_line(f"{row['layer']}: output {row['output']}")
        for line in row["explanation"]:
            print_line(f"  {line}")
    print_line(f"total: parameters {total['parameters']}, MACs {total['macs']}")


def _describe_layer(trace: Trace, size: Size, chosen: str) -> Row:
    nested = chosen == "json"
    jump: Any = None
    field: Any = "whole image"
    if trace.region and (seen := count_pixels(trace.region)) != size:
        of_it = f" of {format_size(size)}" * (chosen == "table")
        field = _cell(seen, nested=True) if nested else format_size(seen) + of_it
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


def _cell(value: Any, *, nested: bool) -> Any:
    """Return a size as N or HxW; for JSON as a number or [height, width]."""
    if not isinstance(value, tuple):
        return value
    if nested:
        return value[0] if value[0] == value[1] else list(value)
    return format_size(value)


def _cells(row: Row, output_format: str) -> Row:
    return {key: _cell(value, nested="json" in output_format) for key, value in row.items()}
