"""``cnncli export``."""

from __future__ import annotations

from typing import Annotated

import typer

from cnncli.choices import EXPORT_SUFFIXES, ExportFormat
from cnncli.errors import CnncliError
from cnncli.files import check_output_file
from cnncli.shell.command import FLAG_HINTS
from cnncli.shell.terminal import choose_reporter, print_line, tell_begin


def export(
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN",
            help="Run folder, part of a run's name, last, or a file [the newest finished run].",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="The file [best.onnx in the run's folder; with --int8 best.int8.onnx].",
        ),
    ] = None,
    export_format: Annotated[
        ExportFormat,
        typer.Option(
            "--format", help="ONNX, or OpenVINO's .xml and .bin (pip install 'cnncli[openvino]')."
        ),
    ] = "onnx",
    int8: Annotated[
        bool,
        typer.Option(
            "--int8",
            help="Weights and activations of 8 bits: a quarter of the size. Refused if more than "
            "1 % of the val labels change, or 0.5 points of accuracy are lost.",
        ),
    ] = False,
    golden_from_val: Annotated[
        bool,
        typer.Option(
            "--golden-from-val",
            help="Put three val images into the file for checking, in place of drawn pictures.",
        ),
    ] = False,
) -> None:
    """Write a run's network as an ONNX file for other programs; print its path.

    The file takes images of the network's size as they are stored, and gives probabilities:
    normalisation, softmax and the temperature of decision.json are inside. It is written only if it
    answers as torch does.
    """
    if int8 and export_format != "onnx":
        raise CnncliError("--int8: OpenVINO reads best.int8.onnx; leave out --format openvino")
    suffixes = (EXPORT_SUFFIXES[export_format],)
    path = None if output is None else check_output_file(output, suffixes=suffixes)
    tell_begin("Reading the checkpoint ...")
    from cnncli.recipes.export import ExportSettings, export_run

    settings = ExportSettings(
        run=run, output=path, golden_from_val=golden_from_val, int8=int8, kind=export_format
    )
    print_line(str(export_run(settings, choose_reporter())))


setattr(export, FLAG_HINTS, {"--checkpoint": "name the run without a flag: export RUN"})
