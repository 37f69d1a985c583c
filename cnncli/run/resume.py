"""What is needed to resume a run: its saved state, and the settings it was begun with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cnncli.config import (
    RunConfig,
    dump_config,
    keys_of_kind,
    load_config,
    older_settings,
    text_settings,
)
from cnncli.errors import CnncliError
from cnncli.files import BEST_FILE, CONFIG_FILE, LAST_FILE, METRICS_FILE
from cnncli.training.state import State, load_state
from cnncli.yaml_text import parse_yaml


def load_unfinished(run_dir: Path) -> tuple[RunConfig, State | None]:
    """Return the settings of an unfinished run and its state; None if nothing is trained yet.

    A run of an earlier version goes on as it began, without a temperature.

    Raises:
        CnncliError: If the state is missing or damaged, or if ``config.yaml`` was edited.
    """
    path = str(run_dir / CONFIG_FILE)
    config = load_config(path, older_settings(path))
    if (run_dir / LAST_FILE).exists():
        state = load_state(run_dir / LAST_FILE)
        _check_unedited(config, state, run_dir)
        return config, state
    # A run that was killed before its first step has no state yet, and starts anew.
    if _has_epochs(run_dir):
        anew = f"cnncli train --config {run_dir / CONFIG_FILE}"
        if (run_dir / BEST_FILE).exists():
            anew = f"cnncli finetune --data {config.data} --weights {run_dir}"
        raise CnncliError(
            f"--resume {run_dir}: {LAST_FILE} is missing, from which it would go on; begin a new "
            f"run: {anew}"
        )
    return config, None


def was_trained(run_dir: Path) -> bool:
    """Return whether a step of a run is saved, so that its folder is worth keeping."""
    if _has_epochs(run_dir):
        return True
    if not (run_dir / LAST_FILE).exists():
        return False
    try:
        return bool(load_state(run_dir / LAST_FILE)["trainer"]["step"])
    except CnncliError:  # what cannot be read may still be of use
        return True


def record_settings(config: RunConfig) -> dict[str, Any]:
    """Return the settings that must not change while a run is not finished, as plain values.

    The place of the run and of its images may change. Its splits are in its folder.
    """
    # As they are read from config.yaml again.
    read = RunConfig.model_validate(parse_yaml(dump_config(config), text_settings()))
    free = {*keys_of_kind("place"), "data", "splits", "fold"}
    values = {key: value for key, value in read.model_dump().items() if key not in free}
    plain: dict[str, Any] = json.loads(json.dumps(values, default=str))
    return plain


def _has_epochs(run_dir: Path) -> bool:
    """Return whether an epoch of a run is complete."""
    metrics = run_dir / METRICS_FILE
    if (run_dir / BEST_FILE).exists():
        return True
    return metrics.exists() and len(metrics.read_text(encoding="utf-8").splitlines()) > 1


def _check_unedited(config: RunConfig, state: State, run_dir: Path) -> None:
    """Refuse settings other than those that the run was begun with, which its state holds.

    States written before 2026-11-26 do not hold them; nothing is checked there.
    """
    begun, now = state.get("settings", {}), record_settings(config)
    edited = [key for key in begun if key in now and begun[key] != now[key]]
    if edited:
        key = edited[0]
        raise CnncliError(
            f"--resume {run_dir}: {CONFIG_FILE} has {key}: {now[key]}, but the run was begun with "
            f"{key}: {begun[key]}, and goes on with that only; put it back, or begin a new run: "
            f"cnncli train --config {run_dir / CONFIG_FILE}"
        )
