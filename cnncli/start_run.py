"""What ``train`` and ``finetune`` do alike: settings from a YAML and flags, then a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnncli.flags import Flags
from cnncli.terminal import TerminalReporter, print_line

if TYPE_CHECKING:
    from cnncli.config import RunConfig


def start_run(
    kind: type[RunConfig], flags: Flags, config: str | None, *, print_config: bool
) -> None:
    """Train and print the run folder's path, or print the settings only.

    Args:
        kind: Whose defaults count.
        flags: Those that were given; they win over the file.
        config: Path of the YAML file, or None.
        print_config: Print the settings as YAML instead.
    """
    from cnncli.config import dump_config, load_config
    from cnncli.recipes.check import check_config

    settings = load_config(config, flags, kind)
    check_config(settings)
    if print_config:
        print_line(dump_config(settings).rstrip())
        return
    from cnncli.recipes.train import train_run

    print_line(str(train_run(settings, TerminalReporter())))
