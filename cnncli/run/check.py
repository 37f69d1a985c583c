"""Checks of a config before anything that imports slowly is imported."""

from __future__ import annotations

from cnncli.augmentation.notation import list_classes
from cnncli.config import RunConfig, list_candidates
from cnncli.errors import CnncliError, did_you_mean
from cnncli.models.registry import find_model
from cnncli.training.history import KAPPA, MONITORS
from cnncli.training.logs import check_log


def check_config(config: RunConfig) -> None:
    """Check what can be checked without images and without torch.

    Raises:
        CnncliError: If there is no such model, augmentation, column of ``metrics.csv`` or header
            field of DICOM, if the model cannot train with that batch size, or if the log's library
            is not installed.
    """
    entry = find_model(config.model)
    if config.augment and config.augment != "none" and list_classes(config.augment):
        from cnncli.augmentation.classes import complete_steps

        complete_steps(config.augment)  # only Albumentations knows its classes
    if config.group_col is not None:
        from cnncli.data.dicom_groups import parse_field  # imports NumPy

        parse_field(config.group_col)
    known = (*MONITORS, KAPPA)
    if config.monitor not in known:
        near = did_you_mean(config.monitor, known)
        raise CnncliError(f"--monitor {config.monitor}: one of {', '.join(known)}{near}")
    if config.batch_size == 1 and entry.batch_norm:
        raise CnncliError(
            f"--batch-size 1: {config.model} has BatchNorm, which needs at least two images per "
            "step; use --batch-size 2 or more"
        )
    if config.log is not None:
        check_log(config.log)


def check_candidates(config: RunConfig) -> None:
    """Do what `check_config` does with each of the networks that ``--model`` leaves to choose from.

    Raises:
        CnncliError: What `check_config` raises, or if there is nothing to choose from.
    """
    for one in list_candidates(config):
        check_config(one)


def check_list(config: RunConfig) -> None:
    """Refuse a list of ``--exclude`` that is not there, before a run is begun; later it may go.

    Raises:
        CnncliError: If there is no such file, or it cannot be read.
    """
    if config.exclude is not None:
        from cnncli.data.exclude import check_list_file  # imports NumPy

        check_list_file(config.exclude)
