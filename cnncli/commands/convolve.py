"""``cnncli convolve``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from cnncli.arithmetic.chain import parse_pair
from cnncli.convolving.chain import parse_then
from cnncli.convolving.geometry import PaddingMode
from cnncli.convolving.gradients import explain_gradients, find_gradients
from cnncli.convolving.kernels import Kernel
from cnncli.convolving.notation import parse_grids
from cnncli.convolving.values import as_list
from cnncli.convolving.worked import explain, find_indices, remark
from cnncli.errors import RUNTIME_FAILURE, CnncliError
from cnncli.files import PICTURES, check_output_file, make_output_folder
from cnncli.recipes.convolve.draw import draw_layers, draw_matrix
from cnncli.recipes.convolve.read import (
    Colours,
    find_folder,
    list_images,
    load_kernels,
    read_image,
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
    _check_together(wants, output_format, target, then, kernel)
    reporter = TerminalReporter()
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
    colours = Colours(grey, max((each.channels for each in kernels), default=1))
    if (folder := find_folder(given)) is not None:
        used = [name for name, wanted in wants.items() if wanted]
        _draw_folder(
            folder,
            output,
            [*used, *(["--format"] if output_format else [])],
            kernels,
            settings,
            colours,
            flip,
            reporter,
        )
        return
    path = check_output_file(output, suffixes=PICTURES) if output is not None else None
    loaded = read_input(given, sys.stdin, colours, reporter)
    form = output_format or ("table" if wants["--explain"] else None)
    if as_matrix:
        matrix = build_layer_matrix(loaded.values, kernels, settings)
        if path is not None:
            draw_matrix(path, matrix, kernels, explain_matrix(matrix))
        _print(path, form, lambda chosen: print_matrix(matrix, kernels, chosen), kernels, reporter)
        return
    worked = run_layers(loaded.values, kernels, settings)
    for line in remark(worked, flip=flip, backward=backward):
        reporter.note(line)
    chosen = None if at is None else find_indices(at, worked.result)
    lines = list(explain(worked, chosen)) if wants["--explain"] else []
    gradients = find_gradients(worked) if backward else None
    if gradients and explained:
        lines += explain_gradients(worked, gradients)
    answer = Answer(worked, kernels, lines, gradients)
    if path is not None:
        draw_layers(path, worked, loaded.white)
    _print(path, form, lambda chosen: print_answer(answer, chosen), kernels, reporter)


setattr(convolve, TAKES_NUMBERS, True)


def _print(
    path: Path | None,
    form: str | None,
    write: Callable[[str], None],
    kernels: Sequence[Kernel],
    reporter: TerminalReporter,
) -> None:
    """Print the answer, or the picture's path if no format is asked for beside it."""
    chosen = form or (None if path else choose_format(None, piped="csv"))
    if chosen != "table":
        tell_kernels(kernels, reporter)
    if chosen is None:
        print_line(str(path))
        return
    if path is not None:
        reporter.note(f"picture: {path}")
    write(chosen)


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


def parse_padding(text: str) -> Any:
    """Return what ``--padding`` says: (rows, columns), or "same"."""
    word = text.strip().lower()
    if word == "same":
        return "same"
    try:
        return (0, 0) if word == "valid" else parse_pair(word, "--padding", least=0)
    except CnncliError as error:
        raise CnncliError(f"{error}, or same or valid") from None


def _draw_folder(
    folder: Path,
    output: str | None,
    used: Sequence[str],
    kernels: tuple[Kernel, ...],
    settings: ConvolveSettings,
    colours: Colours,
    flip: bool,
    reporter: TerminalReporter,
) -> None:
    """Draw a picture for each image of a folder, and print their paths."""
    if output is None:
        raise CnncliError(f"{folder}: is a folder; --output DIR says where its pictures go")
    if used:
        raise CnncliError(f"{folder}: a folder of images gives pictures alone; leave {used[0]} out")
    target = make_output_folder(output)
    tell_kernels(kernels, reporter)
    told: set[str] = set()
    unread = drawn = 0
    for name, path in list_images(folder):
        try:
            loaded = read_image(path, colours, reporter)
            worked = run_layers(loaded.values, kernels, settings)
        except CnncliError as error:
            reporter.warn(str(error))
            unread += 1
            continue
        for line in remark(worked, flip=flip):
            if line not in told:
                reporter.note(line)
                told.add(line)
        picture = target / f"{name}.png"
        picture.parent.mkdir(parents=True, exist_ok=True)
        draw_layers(picture, worked, loaded.white)
        print_line(str(picture))
        drawn += 1
    if unread:
        raise CnncliError(
            f"{folder}: {unread} of {unread + drawn} images were not drawn",
            exit_code=RUNTIME_FAILURE,
        )
