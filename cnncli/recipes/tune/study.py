"""A study: the trials of one search, in a storage that several processes can use at once."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnncli.config import RunConfig, keys_of_kind
from cnncli.errors import CnncliError
from cnncli.files import STUDIES_FOLDER, expand_path
from cnncli.recipes.tune.space import Search
from cnncli.run.lock import Process
from cnncli.training.history import lower_is_better
from cnncli.yaml_text import dump_yaml

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.pruners import BasePruner
    from optuna.trial import FrozenTrial

# No run is pruned before this epoch: while the learning rate rises, the loss on val says little.
_WARM_UP = 3
_MOST_ROWS = 40
_STATES = {  # the states in the order of the table, by Optuna's names
    "COMPLETE": "complete",
    "PRUNED": "pruned",
    "FAIL": "failed",
    "RUNNING": "running",
    "WAITING": "waiting",
}


@dataclass(frozen=True)
class TuneSettings:
    """How to search.

    Attributes:
        search: The space of settings, and the fixed settings.
        trials: Number of trials to run now, in addition to those that the study has.
        study: Name of the study, and of the folder of its runs.
        storage: URL of Optuna's storage; None for a SQLite file beside the folder of the runs.
        pruner: ``median``, ``hyperband`` or ``none``: what decides to end a run early.
        config: Settings that are the same in all trials, such as seed, monitor and output.
    """

    search: Search
    trials: int
    study: str
    storage: str | None
    pruner: str
    config: RunConfig

    @property
    def folder(self) -> Path:
        """The folder of the runs; each trial has a folder with its number in it."""
        return expand_path(self.config.output) / STUDIES_FOLDER / self.study

    @property
    def less_is_better(self) -> bool:
        """Whether the monitored value is a loss."""
        return lower_is_better(self.config.monitor)


def import_optuna() -> Any:
    """Return the module ``optuna``.

    Raises:
        CnncliError: If it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise CnncliError(f"tune: needs Optuna ({error}): pip install 'cnncli[tune]'") from None
    return optuna


def open_study(settings: TuneSettings) -> Study:
    """Create the study, or open the one of that name.

    Raises:
        CnncliError: If the storage cannot be used, or has another search's study of that name.
    """
    optuna = import_optuna()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = settings.storage
    if storage is None:
        settings.folder.mkdir(parents=True, exist_ok=True)
        storage = f"sqlite:///{settings.folder}.db"
    try:
        study: Study = optuna.create_study(
            storage=storage,
            study_name=settings.study,
            direction="minimize" if settings.less_is_better else "maximize",
            pruner=_build_pruner(settings),
            load_if_exists=True,
        )
        written = study.user_attrs.get("cnncli")
        fixed = _fixed(settings)
        if written is None and not study.trials:
            study.set_user_attr("cnncli", fixed)
            written = fixed
    except Exception as error:  # each database and driver has its own
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise CnncliError(f"--storage {storage}: cannot be used: {reason[0]}") from error
    if _make_comparable(written) != _make_comparable(fixed):
        other = _difference(written or {}, fixed)
        raise CnncliError(
            f"--study {settings.study}: was begun with other settings ({other}), which would be "
            "compared with these; give another --study"
        )
    return study


def end_killed_trials(study: Study) -> list[int]:
    """Record as failed what processes that were killed have left running, and return the numbers.

    Trials of processes that run, or that cannot be seen from this machine, stay as they are.
    """
    from optuna.trial import TrialState

    ended = []
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        recorded = trial.user_attrs.get("process")
        process = None if recorded is None else Process(**recorded)
        if process is not None and process.is_visible() and process.is_gone():
            study.tell(trial.number, state=TrialState.FAIL)
            ended.append(trial.number)
    return ended


def _fixed(settings: TuneSettings) -> dict[str, Any]:
    """Return what all trials of a study must have in common, as plain values."""
    search = settings.search
    fixed = {**search.settings, **search.flags}
    for key in keys_of_kind("place"):  # they may change between machines
        fixed.pop(key, None)
    space = {key: f"search {vars(dimension)}" for key, dimension in search.space.items()}
    common: dict[str, Any] = json.loads(json.dumps({**fixed, **space}, default=str))
    return common | {"monitor": settings.config.monitor}


def _make_comparable(value: Any) -> Any:
    """Return settings in which 64 and "64" are equal: older studies hold some texts as numbers."""
    if isinstance(value, dict):
        return {key: _make_comparable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_make_comparable(item) for item in value]
    try:
        return float(value)
    except (TypeError, ValueError):
        return str(value)


def _difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Return the first setting that differs, with both values, as a text."""
    key = next(
        key
        for key in (*new, *old)
        if _make_comparable(old.get(key)) != _make_comparable(new.get(key))
    )
    return f"{key}: {old.get(key, 'not set')}, now {new.get(key, 'not set')}"


def _build_pruner(settings: TuneSettings) -> BasePruner:
    from optuna.pruners import HyperbandPruner, MedianPruner, NopPruner

    if settings.pruner == "hyperband":
        return HyperbandPruner(min_resource=1, max_resource=settings.config.epochs or "auto")
    return MedianPruner(n_warmup_steps=_WARM_UP) if settings.pruner == "median" else NopPruner()


def same_trial(study: Study, trial: Trial) -> FrozenTrial | None:
    """Return a completed trial with the same settings, whose run would have the same result.

    Returns:
        The trial; None if there is no such trial.
    """
    from optuna.trial import TrialState

    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return next((other for other in done if other.params == trial.params), None)


def count_scored(study: Study) -> int:
    """Return the number of trials that have a value: those that were completed or pruned."""
    from optuna.trial import TrialState

    states = (TrialState.COMPLETE, TrialState.PRUNED)
    return len(study.get_trials(deepcopy=False, states=states))


def best_trial(study: Study, settings: TuneSettings) -> FrozenTrial | None:
    """Return the best completed trial; None if no trial was completed."""
    from optuna.trial import TrialState

    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return min(done, key=lambda trial: _rank(trial, settings)) if done else None


def _rank(trial: FrozenTrial, settings: TuneSettings) -> float:
    """Return a number by which trials are sorted, the best first."""
    value = math.inf if trial.value is None else trial.value
    return value if settings.less_is_better else -value


def trial_rows(study: Study, settings: TuneSettings) -> list[dict[str, object]]:
    """Return the rows of a table of trials: the completed ones, best first, then the others."""
    order = list(_STATES)
    trials = sorted(
        study.trials,
        key=lambda trial: (order.index(trial.state.name), _rank(trial, settings), trial.number),
    )
    rows: list[dict[str, object]] = []
    for trial in trials[:_MOST_ROWS]:
        duration = trial.duration
        rows.append(
            {
                "trial": trial.number,
                "state": _STATES[trial.state.name],
                settings.config.monitor: trial.value,
                "epoch": trial.user_attrs.get("epoch"),
                "seconds": None if duration is None else round(duration.total_seconds(), 1),
                **{key: trial.params.get(key) for key in settings.search.space},
                "run": trial.user_attrs.get("error") or trial.user_attrs.get("run"),
            }
        )
    return rows


def best_yaml(settings: TuneSettings, best: FrozenTrial) -> str:
    """Return a trial's settings, fixed and found, as YAML that ``train --config`` takes."""
    config = settings.search.config(best.params)
    values = config.model_dump(exclude_unset=True)
    monitor = settings.config.monitor
    comment = f"# trial {best.number} of study {settings.study}: {monitor} {best.value:.4g} on val"
    text = dump_yaml(values)
    return f"{comment}\n{text}".rstrip()
