"""``cnncli tune``."""

from __future__ import annotations

from typing import Annotated

import typer

from cnncli.choices import PrunerName
from cnncli.shell.flags import Flags, takes
from cnncli.shell.run_flags import TRAIN_FLAGS
from cnncli.shell.terminal import TerminalReporter, print_line


@takes(TRAIN_FLAGS)
def tune(
    flags: Flags,
    config: Annotated[
        str,
        typer.Option(
            "--config",
            "-c",
            metavar="YAML",
            help="Settings of a run, and under search: what to search.",
            show_default=False,
            rich_help_panel="Most used",
        ),
    ],
    trials: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Runs to add to the study [20].",
            show_default=False,
            rich_help_panel="Most used",
        ),
    ] = None,
    study: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Study to begin or go on with [the YAML's name].",
            rich_help_panel="Most used",
        ),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Optuna storage, which several machines may share [SQLite file OUTPUT/tune/"
            "STUDY.db].",
        ),
    ] = None,
    pruner: Annotated[
        PrunerName | None,
        typer.Option(
            help="How runs that promise little are stopped [median].",
            show_default=False,
            rich_help_panel="Stopping and saving",
        ),
    ] = None,
) -> None:
    """Search settings with Optuna; print the best as YAML for train --config.

    The val split decides; test images are not looked at: judge the best once, with evaluate.
    Run again, it adds trials to the study.
    """
    from cnncli.recipes.tune.space import load_search

    search = load_search(config, flags)
    from cnncli.recipes.tune.tune import plan_search, tune

    settings = plan_search(search, trials=trials, study=study, storage=storage, pruner=pruner)
    from cnncli.recipes.train import train_run

    print_line(tune(settings, TerminalReporter(), train_run))
