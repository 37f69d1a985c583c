"""What can be refused from a config alone, before anything heavy is imported."""

from __future__ import annotations

from cnncli.augmentation.notation import list_classes
from cnncli.config import RunConfig
from cnncli.errors import CnncliError, did_you_mean
from cnncli.models.registry import find_model
from cnncli.training.history import MONITORS
from cnncli.training.logs import check_log


def check_config(config: RunConfig) -> None:
    """Check names against the registry and the columns of ``metrics.csv``.

    Raises:
        CnncliError: If there is no such model or column, the model cannot train that way, or what
            writes the log is not installed.
    """
    entry = find_model(config.model)
    if config.augment and config.augment != "none" and list_classes(config.augment):
        from cnncli.augmentation.classes import complete_steps

        complete_steps(config.augment)  # only Albumentations knows its classes
    if config.monitor not in MONITORS:
        near = did_you_mean(config.monitor, MONITORS)
        raise CnncliError(f"--monitor {config.monitor}: one of {', '.join(MONITORS)}{near}")
    if config.batch_size == 1 and entry.batch_norm:
        raise CnncliError(
            f"--batch-size 1: {config.model} has BatchNorm, which needs at least two images per "
            "step; use --batch-size 2 or more"
        )
    if config.log is not None:
        check_log(config.log)
