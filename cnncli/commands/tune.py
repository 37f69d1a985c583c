"""``cnncli tune``."""

from __future__ import annotations

from typing import Annotated

import typer

from cnncli.choices import PrunerName
from cnncli.shell.flags import RUN_FLAGS, Flags, takes
from cnncli.shell.terminal import TerminalReporter, print_line


@takes(RUN_FLAGS)
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
        ),
    ],
    trials: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Runs to add to the study [20].", show_default=False),
    ] = None,
    study: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Study to begin or go on with [the YAML's name]."),
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
        typer.Option(help="How runs that promise little are stopped [median].", show_default=False),
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
