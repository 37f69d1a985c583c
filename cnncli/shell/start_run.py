"""What ``train`` and ``finetune`` have in common: settings from a YAML and flags, then a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cnncli.errors import CnncliError
from cnncli.files import CONFIG_FILE, expand_path
from cnncli.shell.after_flags import WantedAfters
from cnncli.shell.flags import Flags
from cnncli.shell.terminal import can_print, choose_reporter, print_line, tell_begin
from cnncli.torchrun import is_follower

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cnncli.config import RunConfig
    from cnncli.reporting import Reporter
    from cnncli.training.distributed import World

Resume = Annotated[
    str | None,
    typer.Option(
        metavar="RUN",
        help="Go on with a run that was broken off: its folder, a part of its name that no other "
        "unfinished run under --output has, or last for the newest of these.",
        show_default=False,
        rich_help_panel="Stopping and saving",
    ),
]


def start_run(
    config_class: type[RunConfig],
    flags: Flags,
    config: str | None,
    *,
    print_config: bool,
    resume: str | None,
    afters: WantedAfters,
) -> None:
    """Train and print the run folder's path, or print the settings only.

    Args:
        config_class: The class whose defaults count.
        flags: Values of the flags that were given; they win over the file.
        config: Path of the YAML file, or None.
        print_config: Print the settings as YAML instead.
        resume: The run to go on with, or None.
        afters: What is made from the run when it has finished.
    """
    if resume is not None and print_config:
        raise CnncliError(
            f"--print-config: --resume {resume} goes on with the settings in the run's "
            f"{CONFIG_FILE}; leave one of them out"
        )
    if resume is not None:
        _resume(resume, flags, config, afters)
        return
    from cnncli.config import load_config, take_network
    from cnncli.run.check import check_candidates, check_list

    settings, taken = take_network(
        load_config(config, flags, config_class, tell=choose_reporter().note)
    )
    check_candidates(settings)
    check_list(settings)
    if taken:
        choose_reporter().note(taken)
    if print_config:
        print_settings(settings)
        return
    tell_begin(f"Reading {settings.data} ...")
    from cnncli.recipes.train import train_run
    from cnncli.training.stopping import process_start

    print_run(
        settings.device,
        lambda reporter, world: train_run(
            settings, reporter, world=world, started=process_start(), afters=afters.load()
        ),
    )


def print_settings(settings: RunConfig, folds: int | None = None) -> None:
    """Print the settings of a run, or of a cross-validation, as YAML.

    Args:
        settings: The settings of a run.
        folds: Number of folds; None for a run.
    """
    from cnncli.config import dump_folds_config, list_candidates
    from cnncli.run.choose_head import choose_head

    if is_follower():
        return
    first, *others = list_candidates(settings)
    choice = choose_head(first)
    if others:
        named = ", ".join(f"{one.model} ({one.weights})" for one in (first, *others))
        print_line(f"# network: the best of {named} on folds of train")
    if choice.why:
        choose_reporter().note(choice.why)
    if settings.weights != "none":
        print_line(f"# {choice.describe()}")
    text = dump_folds_config(settings, folds)
    text = text if can_print(text) else dump_folds_config(settings, folds, only_ascii=True)
    print_line(text.rstrip())


def _resume(resume: str, flags: Flags, config: str | None, afters: WantedAfters) -> None:
    from cnncli.config import load_config
    from cnncli.run.folder import check_unfinished, find_unfinished, tell_finished
    from cnncli.training.find_run import list_folds

    run_dir = find_unfinished(resume, flags.get("output", "runs"))
    if list_folds(run_dir):
        raise CnncliError(
            f"--resume {resume}: a cross-validation; go on with: cnncli cross-validate --resume "
            f"{run_dir}"
        )
    # --output says where names are looked for; a path has its own place.
    is_path = run_dir == expand_path(resume)
    given = [
        name
        for name, value in flags.items()
        if (name != "output" or is_path) and not is_of_run(name, value, run_dir)
    ]
    if given == ["epochs"]:
        raise CnncliError(
            f"--epochs {flags['epochs']}: the schedule of {run_dir} ends where it was planned to "
            f"end; for more epochs begin a new run from its weights: cnncli finetune --data DATA "
            f"--weights {run_dir} --freeze none --epochs {flags['epochs']}"
        )
    if given or config is not None:
        name = "--" + given[0].replace("_", "-") if given else "--config"
        raise CnncliError(f"{name}: a run goes on with the settings it has; leave it out")
    is_open = check_unfinished(run_dir)
    if not is_path and resume != run_dir.name and not is_follower():
        choose_reporter().note(f"--resume {resume}: {run_dir}")
    if not is_open:
        if is_follower():
            return
        choose_reporter().note(tell_finished(run_dir))
        print_line(str(run_dir))
        return
    tell_begin(f"Going on with {run_dir} ...")
    from cnncli.recipes.train import resume_run
    from cnncli.training.stopping import process_start

    settings = load_config(str(run_dir / CONFIG_FILE), {})
    print_run(
        settings.device,
        lambda reporter, world: resume_run(
            run_dir, reporter, world=world, started=process_start(), afters=afters.load()
        ),
    )


def is_of_run(name: str, value: object, run_dir: Path) -> bool:
    """Return whether a flag says what a run's settings say anyway, as a repeated command does."""
    from cnncli.config import load_folds_config, load_recorded

    try:
        settings = load_recorded(str(run_dir / CONFIG_FILE))
        again, _ = load_folds_config(str(run_dir / CONFIG_FILE), {name: value})
    except CnncliError:  # the run is without its settings, or the flag is wrong
        return False
    mine, theirs = getattr(again, name), getattr(settings, name)
    return bool(mine == theirs or (name == "data" and expand_path(mine) == expand_path(theirs)))


def print_run(device: str, run: Callable[[Reporter, World], Path]) -> None:
    """Run in all processes of torchrun, and print the run folder's path in the first."""
    from cnncli.training.distributed import join_world

    with join_world(device) as world:
        run_dir = run(choose_reporter(), world)
    if world.is_first:
        print_line(str(run_dir))
