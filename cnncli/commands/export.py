"""``cnncli export``."""

from __future__ import annotations

from typing import Annotated

import typer

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
            "--output", "-o", metavar="FILE.onnx", help="The file [best.onnx in the run's folder]."
        ),
    ] = None,
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
    path = None if output is None else check_output_file(output, suffixes=(".onnx",))
    tell_begin("Reading the checkpoint ...")
    from cnncli.recipes.export import ExportSettings, export_run

    settings = ExportSettings(run=run, output=path, golden_from_val=golden_from_val)
    print_line(str(export_run(settings, choose_reporter())))


setattr(export, FLAG_HINTS, {"--checkpoint": "name the run without a flag: export RUN"})
