"""``cnncli convolve``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import typer

from cnncli.arithmetic.chain import parse_pair
from cnncli.convolving.chain import parse_then
from cnncli.convolving.geometry import PaddingMode
from cnncli.convolving.kernels import Kernel
from cnncli.convolving.notation import parse_grids
from cnncli.convolving.values import as_list
from cnncli.convolving.worked import explain, find_indices
from cnncli.errors import CnncliError
from cnncli.files import PICTURES, check_output_file, expand_path
from cnncli.recipes.convolve.read import (
    Colours,
    Loaded,
    find_folder,
    load_kernels,
    read_input,
)
from cnncli.recipes.convolve.run import ConvolveSettings, build_layer_matrix, run_layers
from cnncli.shell.command import TAKES_NUMBERS
from cnncli.shell.convolve_answer import (
    Answer,
    explain_matrix,
    print_answer,
    print_matrix,
    tell_kernels,
)
from cnncli.shell.grids import check_npy
from cnncli.shell.terminal import TerminalReporter, choose_format, print_line

GridFormat = Literal["table", "csv", "json", "npy"]


def convolve(
    given: Annotated[
        str,
        typer.Argument(
            metavar="INPUT",
            help="Numbers ('1 2; 3 4'), an image, a .npy or CSV file, - for a CSV in a pipe, or a "
            "folder of images.",
            show_default=False,
        ),
    ],
    kernel: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KERNEL",
            help="A name, numbers ('1 0 -1; 2 0 -2; 1 0 -1') or a file; several make several maps.",
            show_default=False,
        ),
    ] = None,
    stride: Annotated[str, typer.Option(metavar="N", help="Pixels from window to window.")] = "1",
    padding: Annotated[
        str, typer.Option(metavar="N", help="Pixels added on each side, or same or valid.")
    ] = "0",
    padding_mode: Annotated[
        PaddingMode, typer.Option(help="What is added: zeros, or the mirrored input.")
    ] = "zeros",
    dilation: Annotated[
        str, typer.Option(metavar="N", help="Pixels from tap to tap of the kernel.")
    ] = "1",
    bias: Annotated[
        str, typer.Option(metavar="N", help="Number added to each output, or one for each kernel.")
    ] = "0",
    flip: Annotated[
        bool,
        typer.Option("--flip", help="Turn the kernel by 180°: the convolution of mathematics."),
    ] = False,
    then: Annotated[
        str | None,
        typer.Option(metavar="LAYERS", help="Layers behind it: 'relu; pool2; flatten; softmax'."),
    ] = None,
    grey: Annotated[bool, typer.Option("--grey", help="Make a colour image grey first.")] = False,
    explained: Annotated[
        bool, typer.Option("--explain", help="Write out every sum, term by term.")
    ] = False,
    at: Annotated[
        str | None,
        typer.Option(metavar="ROW,COL", help="Explain this output alone, counted from 0."),
    ] = None,
    target: Annotated[
        int | None,
        typer.Option(metavar="CLASS", help="Right class of a last softmax, from 0: cross-entropy."),
    ] = None,
    backward: Annotated[
        bool,
        typer.Option(
            "--backward", help="Derivatives of the cross-entropy, or of the sum of the outputs."
        ),
    ] = False,
    as_matrix: Annotated[
        bool, typer.Option("--as-matrix", help="The convolution as the matrix of a dense layer.")
    ] = False,
    output: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Picture to draw; for a folder of images a folder."),
    ] = None,
    output_format: Annotated[
        GridFormat | None,
        typer.Option("--format", help="Form of the answer [table on a terminal, csv in a pipe]."),
    ] = None,
) -> None:
    """Convolve numbers or an image with kernels, and show every step of it.

    It computes what a CNN's layer computes: the kernel is not turned (cross-correlation), and
    equals torch's conv2d. --flip turns it. The numbers of the kernel are always shown.

    Kernels: identity, vertical, horizontal, oblique; sobel-x, sobel-y, scharr-x, scharr-y,
    prewitt-x, prewitt-y, and sobel, scharr, prewitt for |x| + |y|; laplacian, sharpen, emboss;
    'gaussian 5 1.4' (size and standard deviation in pixels), 'box 3'. Numbers have rows behind ;
    and channels behind |. A kernel of one channel is applied to each channel of a colour image by
    itself; one of three channels gives one map.

    --then takes the layers of conv-size --chain that have no weights, and softmax. bn takes each
    map's own mean and variance, since there are no trained ones; dropout does nothing.
    """
    wants = {"--explain": explained or at is not None, "--backward": backward}
    wants |= {"--as-matrix": as_matrix}
    window = {"--stride": stride, "--padding": padding, "--dilation": dilation, "--bias": bias}
    if not kernel:
        _check_no_kernel({**window, "--flip": flip, "--padding-mode": padding_mode})
    _check_together(wants, output_format, target, then, kernel)
    settings = ConvolveSettings(
        stride=parse_pair(stride, "--stride"),
        padding=parse_padding(padding),
        dilation=parse_pair(dilation, "--dilation"),
        padding_mode=padding_mode,
        biases=tuple(as_list(parse_grids(bias, "--bias").numbers)),
        then=parse_then(then) if then is not None else (),
        target=target,
    )
    kernels = load_kernels(kernel or (), flip=flip)
    reporter = TerminalReporter()
    call = _Call(kernels, settings, Colours.of(kernels, grey=grey), reporter)
    if flip:
        reporter.note(
            "--flip: the kernel is turned by 180°; its numbers are shown as they are used"
        )
    if (folder := find_folder(given)) is not None:
        used = [name for name, wanted in wants.items() if wanted]
        used += ["--target"] * (target is not None)
        _draw_folder(call, folder, output, [*used, *["--format"] * (output_format is not None)])
        return
    path = check_output_file(output, suffixes=PICTURES) if output is not None else None
    loaded = read_input(given, sys.stdin, call.colours, reporter)
    form = output_format or ("table" if wants["--explain"] else None)
    if as_matrix:
        _show_matrix(call, loaded, path, form)
    else:
        _show_layers(call, loaded, path, form, at=at, wants=wants)


setattr(convolve, TAKES_NUMBERS, True)


class _Call(NamedTuple):
    """What the flags say."""

    kernels: tuple[Kernel, ...]
    settings: ConvolveSettings
    colours: Colours
    reporter: TerminalReporter


def _show_layers(
    call: _Call,
    loaded: Loaded,
    path: Path | None,
    form: str | None,
    *,
    at: str | None,
    wants: Mapping[str, bool],
) -> None:
    """Compute the layers, draw them and print them."""
    worked = run_layers(loaded.values, call.kernels, call.settings)
    for line in (line for step in worked.steps for line in step.remarks()):
        call.reporter.note(line)
    chosen = None if at is None else find_indices(at, worked.result)
    lines = list(explain(worked, chosen)) if wants["--explain"] else []
    gradients = None
    if wants["--backward"]:
        from cnncli.convolving import gradients as backward

        for line in backward.remark_gradients(worked):
            call.reporter.note(line)
        gradients = backward.find_gradients(worked)
        if wants["--explain"] and at is None:
            lines += backward.explain_gradients(worked, gradients)
    if path is not None:
        from cnncli.recipes.convolve.draw import draw_layers

        draw_layers(path, worked, loaded.white)
    answer = Answer(worked, call.kernels, lines, gradients)
    _print(call, path, form, lambda chosen: print_answer(answer, chosen))


def _show_matrix(call: _Call, loaded: Loaded, path: Path | None, form: str | None) -> None:
    """Compute the matrix of the convolution, draw it and print it."""
    matrix = build_layer_matrix(loaded.values, call.kernels, call.settings)
    if path is not None:
        from cnncli.recipes.convolve.draw import draw_matrix

        draw_matrix(path, matrix, call.kernels, explain_matrix(matrix))
    _print(call, path, form, lambda chosen: print_matrix(matrix, call.kernels, chosen))


def _print(call: _Call, path: Path | None, form: str | None, write: Callable[[str], None]) -> None:
    """Print the answer, or the picture's path if no format is asked for beside it."""
    chosen = form or (None if path else choose_format(None, piped="csv"))
    if chosen != "table":
        tell_kernels(call.kernels, call.reporter)
    if chosen is None:
        print_line(str(path))
        return
    if path is not None:
        call.reporter.note(f"picture: {path}")
    write(chosen)


def _draw_folder(call: _Call, folder: Path, output: str | None, used: Sequence[str]) -> None:
    """Draw a picture for each image of a folder, and print their paths."""
    if output is None:
        raise CnncliError(f"{folder}: is a folder; --output DIR says where its pictures go")
    if used:
        raise CnncliError(f"{folder}: a folder of images gives pictures alone; leave {used[0]} out")
    from cnncli.recipes.convolve.folder import draw_folder

    pictures = draw_folder(
        folder, expand_path(output), call.kernels, call.settings, call.colours, call.reporter
    )
    tell_kernels(call.kernels, call.reporter)
    for path in pictures:
        print_line(str(path))


def _check_together(
    wants: dict[str, bool],
    output_format: str | None,
    target: int | None,
    then: str | None,
    kernel: Sequence[str] | None,
) -> None:
    """Refuse flags that do not go together."""
    if not kernel and (then is None or wants["--as-matrix"]):
        raise CnncliError("--kernel: missing; name one (sobel-x), or write its numbers")
    if wants["--explain"] and output_format in ("csv", "npy"):
        raise CnncliError(f"--explain --format {output_format}: prose has no columns; use json")
    if wants["--backward"] and output_format == "npy":
        raise CnncliError("--backward --format npy: these are several arrays; use json or csv")
    if target is not None and then is None:
        raise CnncliError("--target: needs a softmax, as in --then 'flatten; softmax'")
    if wants["--as-matrix"]:
        used = [name for name in ("--explain", "--backward") if wants[name]]
        used += ["--then"] * (then is not None)
        if used:
            raise CnncliError(f"--as-matrix: shows the convolution alone; leave {used[0]} out")
    if output_format == "npy":
        check_npy()


_DEFAULTS: dict[str, tuple[object, ...]] = {
    "--stride": ("1",),
    "--padding": ("0", "valid"),
    "--dilation": ("1",),
    "--bias": ("0",),
    "--flip": (False,),
    "--padding-mode": ("zeros",),
}


def _check_no_kernel(given: Mapping[str, object]) -> None:
    """Refuse flags of the convolution where there is none."""
    for name, value in given.items():
        if value not in _DEFAULTS[name]:
            raise CnncliError(f"{name}: belongs to a convolution; --kernel is missing")


def parse_padding(text: str) -> Any:
    """Return what ``--padding`` says: (rows, columns), or "same"."""
    word = text.strip().lower()
    if word == "same":
        return "same"
    try:
        return (0, 0) if word == "valid" else parse_pair(word, "--padding", least=0)
    except CnncliError as error:
        raise CnncliError(f"{error}, or same or valid") from None
