"""Whether the folds of a cross-validation were trained with the settings that it has now."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cnncli.augmentation.classes import complete_steps
from cnncli.config import ResolvedConfig, RunConfig, keys_of_kind, load_config, older_settings
from cnncli.errors import CnncliError
from cnncli.files import CONFIG_FILE
from cnncli.models.registry import names_several
from cnncli.reporting import Reporter
from cnncli.run.fold import has_state
from cnncli.training.find_run import list_folds

# The fold's own: its images and its share of the time. The data may have moved.
_OWN = ("data", "splits", "split_col", "fold", "exclude", "time_limit")
# Left open by the user, the data and the device decide them for each fold.
_DECIDED = (*ResolvedConfig.__annotations__, "lr_backbone")
_OF_NETWORK = ("model", "weights", "activation", "norm")
# Written in another form once they are decided: numbers for percentiles.
_REWRITTEN = ("precision", "intensity")


def check_fold_settings(folder: Path, config: RunConfig) -> None:
    """Refuse to go on with other settings than those that the folds were begun with.

    Args:
        folder: The folder of the cross-validation.
        config: The settings in its ``config.yaml``.

    Raises:
        CnncliError: If a setting that changes what is learnt or judged differs from that of a fold.
    """
    now = _values(config)
    if names_several(config.model):  # each fold has chosen its own
        now = {key: value for key, value in now.items() if key not in _OF_NETWORK}
    for fold, begun in _begun_settings(folder):
        for key, value in now.items():
            is_decided = key in _DECIDED and (value is None or value == "auto")
            if key in _REWRITTEN or is_decided or value == begun[key]:
                continue
            raise CnncliError(
                f"--resume {folder}: {CONFIG_FILE} has {key}: {_tell(value)}, but {fold.name} was "
                f"trained with {key}: {_tell(begun[key])}, and all folds have the same settings; "
                f"put it back, or begin anew: cnncli cross-validate --config {folder / CONFIG_FILE}"
            )


def warn_of_other_settings(folder: Path, reporter: Reporter) -> None:
    """Warn where folds were trained with different settings, whoever decided them.

    Args:
        folder: The folder of a cross-validation whose folds have all begun.
        reporter: Gets the warning.
    """
    (first, wanted), *others = list(_begun_settings(folder))
    for fold, begun in others:
        differ = [key for key in wanted if begun[key] != wanted[key]]
        told = ", ".join(
            f"{key} {_tell(begun[key])} and not {_tell(wanted[key])}" for key in differ
        )
        if told:
            reporter.warn(f"{fold.name} was trained with other settings than {first.name}: {told}")


def _begun_settings(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield each fold that has begun, with the settings in its folder."""
    for fold in list_folds(folder):
        if has_state(fold) and (fold / CONFIG_FILE).is_file():
            path = str(fold / CONFIG_FILE)
            yield fold, _values(load_config(path, older_settings(path)))


def _values(config: RunConfig) -> dict[str, Any]:
    """Return the settings that all folds share, by their names."""
    keys = (*keys_of_kind("learning"), *keys_of_kind("data"))
    values = {key: getattr(config, key) for key in keys if key not in _OWN}
    if isinstance(values["augment"], list):
        values["augment"] = complete_steps(values["augment"])
    if (values["head"], values["freeze"]) == ("fit", "backbone") and not config.unfreeze_at:
        values["epochs"] = None  # there are none, whatever was given
    return values


def _tell(value: object) -> str:
    """Return a setting in one line, as YAML has it."""
    text = "null" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:59]}\N{HORIZONTAL ELLIPSIS}"
