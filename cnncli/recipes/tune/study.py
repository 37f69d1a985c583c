"""A study: the trials of one search, in a storage that several processes may share."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from cnncli.config import RunConfig
from cnncli.errors import CnncliError
from cnncli.recipes.tune.space import Search
from cnncli.training.history import lower_is_better

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.pruners import BasePruner
    from optuna.trial import FrozenTrial

# No run is stopped before this epoch: the learning rate still rises and a val loss says little.
_WARM_UP = 3
_MOST_ROWS = 40
_STATES = {  # in the order of the table
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
        search: Space and fixed settings.
        trials: To run now, in addition to those that the study has.
        study: Its name; also that of the folder of its runs.
        storage: An Optuna URL; None for a SQLite file beside the runs.
        pruner: ``median``, ``hyperband`` or ``none``.
        config: The config that holds where nothing is searched: seed, monitor, output.
    """

    search: Search
    trials: int
    study: str
    storage: str | None
    pruner: str
    config: RunConfig

    @property
    def folder(self) -> Path:
        """Where the trials' runs are, each in a folder of its number."""
        return Path(self.config.output).expanduser() / "tune" / self.study

    @property
    def less_is_better(self) -> bool:
        """Whether the monitored value is a loss."""
        return lower_is_better(self.config.monitor)


def import_optuna() -> Any:
    """Return the module.

    Raises:
        CnncliError: If it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise CnncliError(f"tune: needs Optuna ({error}): pip install 'cnncli[tune]'") from None
    return optuna


def open_study(settings: TuneSettings) -> Study:
    """Make the study, or open the one of that name.

    Raises:
        CnncliError: If the storage cannot be used, or holds another search of that name.
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
    except Exception as error:  # of whichever database and its driver
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise CnncliError(f"--storage {storage}: cannot be used: {reason[0]}") from error
    if written != fixed:
        other = _difference(written or {}, fixed)
        raise CnncliError(
            f"--study {settings.study}: was begun with other settings ({other}), which would be "
            "compared with these; give another --study"
        )
    return study


def _fixed(settings: TuneSettings) -> dict[str, Any]:
    """Return what all trials of a study have in common, as JSON can hold it."""
    search = settings.search
    fixed = {**search.settings, **search.flags}
    for key in ("output", "device", "workers", "seed", "log"):  # they may change between machines
        fixed.pop(key, None)
    space = {key: f"search {vars(dimension)}" for key, dimension in search.space.items()}
    common: dict[str, Any] = json.loads(json.dumps({**fixed, **space}, default=str))
    return common | {"monitor": settings.config.monitor}


def _difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    key = next(key for key in (*new, *old) if old.get(key) != new.get(key))
    return f"{key}: {old.get(key, 'not set')}, now {new.get(key, 'not set')}"


def _build_pruner(settings: TuneSettings) -> BasePruner:
    from optuna.pruners import HyperbandPruner, MedianPruner, NopPruner

    if settings.pruner == "hyperband":
        return HyperbandPruner(min_resource=1, max_resource=settings.config.epochs or "auto")
    return MedianPruner(n_warmup_steps=_WARM_UP) if settings.pruner == "median" else NopPruner()


def same_trial(study: Study, trial: Trial) -> FrozenTrial | None:
    """Find a trial that ended with these settings: the same run would end the same."""
    from optuna.trial import TrialState

    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return next((other for other in done if other.params == trial.params), None)


def count_scored(study: Study) -> int:
    """Return the number of trials that came to a value: not the failed, the running, the killed."""
    from optuna.trial import TrialState

    states = (TrialState.COMPLETE, TrialState.PRUNED)
    return len(study.get_trials(deepcopy=False, states=states))


def best_trial(study: Study, settings: TuneSettings) -> FrozenTrial | None:
    """Return the best of the trials that ended, or None."""
    from optuna.trial import TrialState

    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return min(done, key=lambda trial: _rank(trial, settings)) if done else None


def _rank(trial: FrozenTrial, settings: TuneSettings) -> float:
    value = math.inf if trial.value is None else trial.value
    return value if settings.less_is_better else -value


def trial_rows(study: Study, settings: TuneSettings) -> list[dict[str, object]]:
    """Return the study's trials as rows of a table: the best first, then pruned and failed."""
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
    """Return a trial's settings as ``train --config`` takes them: what was given and found."""
    config = settings.search.config(best.params)
    values = config.model_dump(exclude_unset=True)
    monitor = settings.config.monitor
    comment = f"# trial {best.number} of study {settings.study}: {monitor} {best.value:.4g} on val"
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    return f"{comment}\n{text}".rstrip()
