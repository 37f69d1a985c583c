"""``cnncli find-lr``."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from cnncli.shell.flags import ConfigFile, Flags, takes
from cnncli.shell.run_flags import TRAIN_FLAGS
from cnncli.shell.terminal import TerminalReporter, print_json, print_line, tell_begin

# Nothing but the picture is written, so that --output is its name.
_FLAGS = {name: kind for name, kind in TRAIN_FLAGS.items() if name != "output"}


@takes(_FLAGS)
def find_lr(
    flags: Flags,
    config: ConfigFile = None,
    steps: Annotated[
        int,
        typer.Option(
            min=20, metavar="N", help="Learning rates to try.", rich_help_panel="Most used"
        ),
    ] = 100,
    output: Annotated[
        str, typer.Option(metavar="FILE", help="PNG or JPEG to draw the losses into.")
    ] = "find-lr.png",
    output_format: Annotated[
        Literal["number", "json"],
        typer.Option("--format", help="The suggestion alone, or the curve too."),
    ] = "number",
) -> None:
    """Suggest a learning rate: train some steps with ever higher ones and watch the loss.

    Takes the flags of train, and trains just what train would; nothing but the picture is kept.
    Of where the loss falls fastest and a tenth of where it is lowest, the lower is printed.
    """
    from cnncli.config import RunConfig, load_config, take_network
    from cnncli.files import PICTURES, check_output_file
    from cnncli.run.check import check_config

    settings, taken = take_network(
        load_config(config, flags, RunConfig, tell=TerminalReporter().note)
    )
    check_config(settings)
    picture = check_output_file(output, suffixes=PICTURES)
    tell_begin(f"Reading {settings.data} ...")
    from cnncli.recipes.find_lr import describe, draw, find_lr

    reporter = TerminalReporter()
    if taken:
        reporter.note(taken)
    found = find_lr(settings, reporter, steps=steps)
    draw(found, picture)
    reporter.note(f"drawn in {picture}")
    if output_format == "json":
        print_json(describe(found))
    else:
        print_line(f"{found.suggestion.lr:.3g}")
