"""``cnncli split``."""

from __future__ import annotations

from typing import Annotated

import typer

from cnncli.files import SPLITS_FILE
from cnncli.shell.flags import Flags, takes
from cnncli.shell.run_flags import choose_flags
from cnncli.shell.terminal import TerminalReporter, print_line

_FLAGS = (
    *("data", "image_col", "label_col", "split_col", "group_col", "group_regex"),
    *("exclude", "val_fraction", "test_fraction", "seed"),
)


@takes(choose_flags(*_FLAGS))
def split(
    flags: Flags,
    output: Annotated[str, typer.Option(metavar="FILE", help="CSV to write.")] = SPLITS_FILE,
    folds: Annotated[
        int | None,
        typer.Option(min=2, metavar="K", help="Folds for cross-validation in place of train/val."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Write over a file that is there.")
    ] = False,
) -> None:
    """Split images into train, val and test, or folds; print the path of the file.

    Classes keep their shares in every split, and groups stay whole. train --splits FILE takes the
    file, with --fold K where it has folds.
    """
    from cnncli.config import load_config
    from cnncli.errors import CnncliError

    if folds is not None and "val_fraction" in flags:
        raise CnncliError("--val-fraction: each of the --folds is val once; leave it out")
    config = load_config(None, flags, tell=TerminalReporter().note)
    from cnncli.recipes.split import split_data

    print_line(str(split_data(config, output, TerminalReporter(), folds=folds, force=force)))
