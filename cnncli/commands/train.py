"""``cnncli train``."""

from __future__ import annotations

from typing import Annotated

import typer

from cnncli.flags import RUN_FLAGS, Flags, takes
from cnncli.terminal import TerminalReporter, print_line


@takes(RUN_FLAGS)
def train(
    flags: Flags,
    config: Annotated[
        str | None,
        typer.Option("--config", "-c", metavar="YAML", help="File of flags; flags given here win."),
    ] = None,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Print the settings as YAML and exit.")
    ] = False,
) -> None:
    """Train a classifier on a folder of images; print the run folder's path."""
    from cnncli.config import dump_config, load_config
    from cnncli.recipes.check import check_config

    settings = load_config(config, flags)
    check_config(settings)
    if print_config:
        print_line(dump_config(settings).rstrip())
        return
    from cnncli.recipes.train import train_run

    print_line(str(train_run(settings, TerminalReporter())))
