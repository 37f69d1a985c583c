"""``cnncli suspect-labels``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cnncli.errors import FINDINGS, CnncliError
from cnncli.files import PICTURES, check_output_file
from cnncli.reporting import TableLayout
from cnncli.shell.command import FLAG_HINTS
from cnncli.shell.flags import CsvSafe, Flags, takes
from cnncli.shell.run_flags import choose_flags
from cnncli.shell.start_folds import Finetune, Folds
from cnncli.shell.terminal import choose_format, choose_reporter, print_rows, tell_begin

if TYPE_CHECKING:
    from pathlib import Path

SuspectFormat = Literal["table", "csv", "json"]

_FLAGS = (
    *("data", "model", "image_size", "epochs", "batch_size", "lr", "augment", "device", "seed"),
    *("image_col", "label_col", "group_col", "group_regex", "exclude", "weights", "freeze"),
    "output",
)
_LAYOUT = TableLayout(
    drop=("probability_given", "margin"),
    keep=("given", "proposed"),
    paths=("path",),
    headers={"probability_given": "p given", "probability_proposed": "p proposed"},
    drop_equal=False,
    whole="--format csv",
)


@takes(choose_flags(*_FLAGS), argument=None)
def suspect_labels(
    flags: Flags,
    cross_validation: Annotated[
        str | None,
        typer.Argument(
            metavar="CROSS_VALIDATION",
            help="Folder of a finished cross-validation, or a part of its name.",
            show_default=False,
        ),
    ] = None,
    folds: Folds = None,
    finetune: Finetune = False,
    sheet: Annotated[
        str | None,
        typer.Option(metavar="FILE.png", help="Draw the 25 worst, with label and proposal."),
    ] = None,
    list_to: Annotated[
        str | None,
        typer.Option(
            "--list", metavar="FILE", help="Write their paths, one a line, for train --exclude."
        ),
    ] = None,
    output_format: Annotated[
        SuspectFormat | None,
        typer.Option("--format", help="Form of the answer [table on a terminal, csv in a pipe]."),
    ] = None,
    csv_safe: CsvSafe = False,
) -> None:
    """Find labels that look wrong, by networks that never saw the images; exit code 3 if any.

    The networks are those of a cross-validation; with --data, one is made first. The worst come
    first. A person has to look: a rare but right image looks suspect too.
    """
    if (cross_validation is None) == ("data" not in flags):
        raise CnncliError("suspect-labels: name a cross-validation, or images with --data")
    if cross_validation is not None and (flags or folds is not None or finetune):
        name = next(iter(flags), "folds" if folds is not None else "finetune")
        raise CnncliError(
            f"--{name.replace('_', '-')}: is for a cross-validation of --data, and "
            f"{cross_validation} is made already; leave one of them out"
        )
    picture = None if sheet is None else check_output_file(sheet, "--sheet", suffixes=PICTURES)
    if list_to is not None:
        check_output_file(list_to, "--list")
    reporter = choose_reporter()
    if cross_validation is None:
        folder = _cross_validate(flags, folds, finetune=finetune)
        if folder is None:
            return
    else:
        from cnncli.run.out_of_fold import find_cross_validation

        folder = find_cross_validation(cross_validation)
    from cnncli.data.exclude import save_list
    from cnncli.recipes.suspect_labels import COLUMNS, list_suspects

    rows = list_suspects(folder, reporter, sheet=picture)
    if list_to is not None:  # before a reader of the answer may leave
        save_list(list_to, (str(row["path"]) for row in rows), "--list")
    chosen = choose_format(output_format, piped="csv")
    print_rows(rows, COLUMNS, chosen, csv_safe=csv_safe, layout=_LAYOUT)
    if rows:
        raise typer.Exit(FINDINGS)


_HINTS = {"--checkpoint": "name the cross-validation without a flag: suspect-labels FOLDER"}
setattr(suspect_labels, FLAG_HINTS, _HINTS)


def _cross_validate(flags: Flags, folds: int | None, *, finetune: bool) -> Path | None:
    """Cross-validate; return the folder, or None in all but the first process of torchrun."""
    from cnncli.config import FinetuneConfig, RunConfig, load_folds_config, take_network
    from cnncli.run.check import check_config

    if folds is not None:
        flags = {**flags, "folds": folds}
    if "freeze" in flags and not finetune:
        raise CnncliError("--freeze: goes with --finetune only")
    config_class = FinetuneConfig if finetune else RunConfig
    reporter = choose_reporter()
    settings, count = load_folds_config(None, flags, config_class, tell=reporter.note)
    settings, taken = take_network(settings)
    check_config(settings)
    if taken:
        reporter.note(taken)
    tell_begin(f"Reading {settings.data} ...")
    from cnncli.recipes.cross_validate import Trainers, cross_validate
    from cnncli.recipes.train import resume_run, train_run
    from cnncli.training.distributed import join_world
    from cnncli.training.stopping import process_start

    with join_world(settings.device) as world:
        folder = cross_validate(
            settings,
            count,
            reporter,
            Trainers(train_run, resume_run),
            world=world,
            started=process_start(),
        )
    reporter.note(f"cross-validation: {folder}")
    return folder if world.is_first else None
