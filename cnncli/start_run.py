"""What ``train`` and ``finetune`` do alike: settings from a YAML and flags, then a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cnncli.errors import CnncliError
from cnncli.flags import Flags
from cnncli.terminal import TerminalReporter, print_line

if TYPE_CHECKING:
    from cnncli.config import RunConfig

Resume = Annotated[
    str | None,
    typer.Option(
        metavar="RUN",
        help="Go on with a run that was broken off: its folder, or last for the newest unfinished "
        "one under --output.",
        show_default=False,
    ),
]


def start_run(
    kind: type[RunConfig],
    flags: Flags,
    config: str | None,
    *,
    print_config: bool,
    resume: str | None,
) -> None:
    """Train and print the run folder's path, or print the settings only.

    Args:
        kind: Whose defaults count.
        flags: Those that were given; they win over the file.
        config: Path of the YAML file, or None.
        print_config: Print the settings as YAML instead.
        resume: The run to go on with, or None.
    """
    if resume is not None:
        _resume(resume, flags, config)
        return
    from cnncli.config import dump_config, load_config
    from cnncli.recipes.check import check_config

    settings = load_config(config, flags, kind)
    check_config(settings)
    if print_config:
        print_line(dump_config(settings).rstrip())
        return
    from cnncli.recipes.train import train_run

    print_line(str(train_run(settings, TerminalReporter())))


def _resume(resume: str, flags: Flags, config: str | None) -> None:
    from cnncli.recipes.find_run import check_unfinished, find_unfinished

    run_dir = find_unfinished(resume, flags.get("output", "runs"))
    given = [name for name in flags if name != "output"]
    if given == ["epochs"]:
        raise CnncliError(
            f"--epochs {flags['epochs']}: the schedule of {run_dir} ends where it was planned to "
            f"end; for more epochs begin a new run from its weights: cnncli finetune --data DATA "
            f"--weights {run_dir} --freeze none --epochs {flags['epochs']}"
        )
    if given or config is not None:
        name = "--" + given[0].replace("_", "-") if given else "--config"
        raise CnncliError(f"{name}: a run goes on with the settings it has; leave it out")
    if not check_unfinished(run_dir):
        TerminalReporter().note(f"{run_dir} is finished")
        print_line(str(run_dir))
        return
    from cnncli.recipes.train import resume_run

    print_line(str(resume_run(run_dir, TerminalReporter())))
