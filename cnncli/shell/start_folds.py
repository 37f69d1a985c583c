"""``cross-validate``: settings from a YAML and flags, then a run for each fold; or going on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cnncli.errors import CnncliError
from cnncli.files import CONFIG_FILE, expand_path
from cnncli.shell.after_flags import WantedAfters
from cnncli.shell.flags import Flags
from cnncli.shell.run_flags import RUN_FLAGS, TRAIN_FLAGS
from cnncli.shell.start_run import is_of_run, print_run, print_settings
from cnncli.shell.terminal import choose_reporter, print_line, tell_begin
from cnncli.torchrun import is_follower

if TYPE_CHECKING:
    from pathlib import Path

    from cnncli.config import RunConfig

Folds = Annotated[
    int | None,
    typer.Option(
        metavar="K",
        help="Number of parts of the images, and of networks [those of --splits, or 5].",
        show_default=False,
        rich_help_panel="Most used",
    ),
]
Finetune = Annotated[
    bool,
    typer.Option(
        "--finetune",
        help="Train each network as finetune does, with its flags and defaults.",
        rich_help_panel="Most used",
    ),
]
ResumeFolds = Annotated[
    str | None,
    typer.Option(
        metavar="FOLDER",
        help="Go on with a cross-validation that was broken off: its folder, a part of its name "
        "that no other unfinished one under --output has, or last for the newest of these.",
        show_default=False,
        rich_help_panel="Stopping and saving",
    ),
]


def start_folds(
    config_class: type[RunConfig],
    flags: Flags,
    config: str | None,
    *,
    print_config: bool,
    resume: str | None,
    afters: WantedAfters,
) -> None:
    """Cross-validate and print the folder's path, or print the settings only.

    Args:
        config_class: The class whose defaults count.
        flags: Values of the flags that were given, ``folds`` among them; they win over the file.
        config: Path of the YAML file, or None.
        print_config: Print the settings as YAML instead.
        resume: The cross-validation to go on with, or None.
        afters: What is made from the folder when all folds have finished.
    """
    if resume is not None and print_config:
        raise CnncliError(
            f"--print-config: --resume {resume} goes on with the settings in the folder's "
            f"{CONFIG_FILE}; leave one of them out"
        )
    if resume is not None:
        _resume(resume, flags, config, afters)
        return
    if config is not None:
        _refuse_one_fold(config)
    from cnncli.config import FinetuneConfig, load_folds_config, take_network
    from cnncli.run.check import check_candidates, check_list

    if config_class is not FinetuneConfig:
        only = [name for name in flags if name in RUN_FLAGS and name not in TRAIN_FLAGS]
        if only:
            raise CnncliError(f"--{only[0].replace('_', '-')}: goes with --finetune only")
    settings, folds = load_folds_config(config, flags, config_class, tell=choose_reporter().note)
    if settings.fold is not None:
        raise CnncliError(
            f"--fold {settings.fold}: a cross-validation judges every fold in turn; leave it out "
            "(--folds says how many there are)"
        )
    settings, taken = take_network(settings)
    check_candidates(settings)
    check_list(settings)
    if taken:
        choose_reporter().note(taken)
    if print_config:
        print_settings(settings, folds)
        return
    tell_begin(f"Reading {settings.data} ...")
    from cnncli.recipes.cross_validate import Trainers, cross_validate
    from cnncli.recipes.train import resume_run, train_run
    from cnncli.training.stopping import process_start

    trainers = Trainers(train_run, resume_run)
    print_run(
        settings.device,
        lambda reporter, world: cross_validate(
            settings,
            folds,
            reporter,
            trainers,
            world=world,
            started=process_start(),
            afters=afters.load(),
        ),
    )


def _refuse_one_fold(config: str) -> None:
    """Refuse the settings of one fold: its split would be taken for the data's own."""
    from cnncli.training.find_run import find_folds_of

    folder = find_folds_of(expand_path(config).parent)
    if folder is not None:
        raise CnncliError(
            f"--config {config}: the settings of one fold of a cross-validation, with its split; "
            f"for all of it: cnncli cross-validate --config {folder / CONFIG_FILE}"
        )


def _resume(resume: str, flags: Flags, config: str | None, afters: WantedAfters) -> None:
    from cnncli.config import load_recorded
    from cnncli.run.folder import check_unfinished, find_unfinished, tell_finished, tell_no_run
    from cnncli.training.find_run import find_folds_of, list_folds

    folder = find_unfinished(resume, flags.get("output", "runs"), folds=True)
    is_path = folder == expand_path(resume)
    if not (folder / CONFIG_FILE).is_file():
        raise CnncliError(f"--resume {resume}: {tell_no_run(folder)}")
    if whole := find_folds_of(folder):
        raise CnncliError(
            f"--resume {resume}: one fold of a cross-validation; go on with all: cnncli "
            f"cross-validate --resume {whole}"
        )
    if not list_folds(folder):
        raise CnncliError(
            f"--resume {resume}: a single run, no cross-validation; go on with: cnncli train "
            f"--resume {folder}"
        )
    _refuse_others(folder, flags, config, is_path=is_path)
    if not is_path and resume != folder.name and not is_follower():
        choose_reporter().note(f"--resume {resume}: {folder}")
    if not check_unfinished(folder):
        if not is_follower():
            from cnncli.run.damaged_folds import check_fold_files

            check_fold_files(folder)
            choose_reporter().note(tell_finished(folder))
            print_line(str(folder))
        return
    tell_begin(f"Going on with {folder} ...")
    from cnncli.recipes.cross_validate import Trainers, resume_folds
    from cnncli.recipes.train import resume_run, train_run
    from cnncli.training.stopping import process_start

    settings = load_recorded(str(folder / CONFIG_FILE))
    trainers = Trainers(train_run, resume_run)
    print_run(
        settings.device,
        lambda reporter, world: resume_folds(
            folder,
            reporter,
            trainers,
            world=world,
            started=process_start(),
            afters=afters.load(),
        ),
    )


def _refuse_others(folder: Path, flags: Flags, config: str | None, *, is_path: bool) -> None:
    """Refuse settings other than those that the cross-validation was begun with."""
    from cnncli.training.find_run import list_folds

    def is_known(name: str, value: object) -> bool:
        if name == "folds":
            return value == len(list_folds(folder))
        # --output says where names are looked for; a path has its own place.
        return (name == "output" and not is_path) or is_of_run(name, value, folder)

    given = [name for name, value in flags.items() if not is_known(name, value)]
    if given or config is not None:
        name = "--" + given[0].replace("_", "-") if given else "--config"
        raise CnncliError(f"{name}: it goes on with the settings it was begun with; leave it out")
