"""Tune: many runs with settings that Optuna chooses, compared on the validation split only."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnncli.errors import HUNG_UP, INTERRUPTED, RUNTIME_FAILURE, TERMINATED, CnncliError, count_of
from cnncli.recipes.tune.space import Choices, Search, Value
from cnncli.recipes.tune.study import (
    TuneSettings,
    best_trial,
    best_yaml,
    count_scored,
    end_killed_trials,
    import_optuna,
    open_study,
    same_trial,
    trial_rows,
)
from cnncli.reporting import Advance, Reporter, TableLayout
from cnncli.run.check import check_config
from cnncli.run.lock import this_process
from cnncli.training.history import Row, StopRun

if TYPE_CHECKING:
    from optuna import Study, Trial

# If this many first trials fail with the same error, it is not the settings: the search ends.
_ALIKE = 3
TrainRun = Callable[..., Path]


def plan_search(search: Search, **options: Any) -> TuneSettings:
    """Check the search before anything that imports slowly is imported.

    Args:
        search: The space of settings and the fixed settings, from the file. Every end of the space
            is checked.
        options: ``trials``, ``study``, ``storage`` and ``pruner`` as the user gave them by flags;
            None for those not given.

    Raises:
        CnncliError: If a setting is not possible, or if Optuna is not installed.
    """
    configs = list(search.corners())
    for config in configs:
        check_config(config)
    chosen = {
        "trials": 20,
        "study": Path(search.path).stem,
        "storage": None,
        "pruner": "median",
        **search.options,
        **{key: value for key, value in options.items() if value is not None},
    }
    if Path(chosen["study"]).name != chosen["study"]:
        raise CnncliError(f"--study {chosen['study']}: names a folder too; it must hold no /")
    import_optuna()
    return TuneSettings(search=search, config=configs[0], **chosen)


def tune(settings: TuneSettings, reporter: Reporter, train: TrainRun) -> str:
    """Search, and return the best settings as the YAML of a run.

    Args:
        settings: What to search, and how.
        reporter: Gets a line for each trial, and the table of trials.
        train: Runs a trial; it is called like ``train_run``.

    Raises:
        CnncliError: If the study cannot be opened or is that of another search, or if no trial was
            completed.
    """
    study = open_study(settings)
    if killed := end_killed_trials(study):
        reporter.note(f"trials {killed} were running when their process was killed: failed")
    reporter.note(
        f"study {settings.study}: {count_of(len(study.trials), 'trial')} so far, "
        f"{settings.trials} more; "
        f"{settings.config.monitor} decides, test images are not looked at"
    )
    quiet = _Quiet(reporter)
    failures: list[str] = []
    for _ in range(settings.trials):
        error = _run_trial(study, settings, quiet, train)
        if error is not None:
            failures.append(error)
        if len(failures) == _ALIKE == len(study.trials) and len(set(failures)) == 1:
            raise CnncliError(f"the first {_ALIKE} trials failed alike: {error}")
    layout = TableLayout(
        drop=("seconds", "epoch", "run"), keep=(settings.config.monitor,), words=("run",)
    )
    reporter.table(f"study {settings.study}", trial_rows(study, settings), layout)
    best = best_trial(study, settings)
    if best is None:
        why = f"; the last error: {failures[-1]}" if failures else ""
        raise CnncliError(
            f"study {settings.study}: no trial has ended{why}", exit_code=RUNTIME_FAILURE
        )
    run = best.user_attrs.get("run")
    reporter.note(
        f"best: trial {best.number}, {settings.config.monitor} {best.value:.4g} on val, the best "
        f"of {count_scored(study)} and so a little lucky; judge it once on test: "
        f"cnncli evaluate --checkpoint {run}"
    )
    return best_yaml(settings, best)


def _run_trial(
    study: Study, settings: TuneSettings, reporter: _Quiet, train: TrainRun
) -> str | None:
    """Run a trial and record its outcome in the study; return why it failed, or None."""
    from optuna.samplers import TPESampler
    from optuna.trial import TrialState

    trial = study.ask()
    trial.set_user_attr("process", asdict(this_process()))
    # Each trial has its own random stream, so that a search that is continued, perhaps on another
    # machine, draws new values. (With multivariate=True, ask would have drawn them already.)
    study.sampler = TPESampler(seed=settings.config.seed + trial.number, multivariate=False)
    values = suggest(trial, settings.search)
    same = same_trial(study, trial)
    if same is not None:
        for key, value in same.user_attrs.items():
            trial.set_user_attr(key, value)
        study.tell(trial, same.value)
        reporter.say(f"trial {trial.number}: as trial {same.number}: {_describe_values(values)}")
        return None
    watch = _Watch(trial, settings)
    folder = settings.folder / f"trial_{trial.number:04}"
    error, stopped = None, None
    try:
        config = settings.search.config(values).model_copy(update={"output": str(folder)})
        check_config(config)
        train(config, reporter, on_epoch=watch, evaluate_best=False)
    except StopRun:
        pass
    except CnncliError as problem:
        error = str(problem)
        if problem.exit_code in (HUNG_UP, INTERRUPTED, TERMINATED):
            error, stopped = "stopped by a signal", problem.exit_code
    except BaseException as problem:  # Ctrl-C or a bug: the trial must not stay open
        trial.set_user_attr("error", type(problem).__name__)
        study.tell(trial, state=TrialState.FAIL)
        raise
    if watch.best is None:
        error = error or "ended before its first epoch"
    outcome = _record_outcome(study, trial, watch, folder, error)
    if stopped is not None:
        raise CnncliError(
            f"study {settings.study}: stopped in trial {trial.number}; the same command goes on "
            "with the search",
            exit_code=stopped,
        )
    reporter.say(f"trial {trial.number}: {outcome}: {_describe_values(values)}")
    return error


def _record_outcome(
    study: Study, trial: Trial, watch: _Watch, folder: Path, error: str | None
) -> str:
    """Record a trial's outcome in the study, and return it as a text."""
    from optuna.trial import TrialState

    run = next(iter(sorted(folder.glob("*/metrics.csv"))), None)
    trial.set_user_attr("run", None if run is None else str(run.parent))
    trial.set_user_attr("epoch", watch.best_epoch)
    if error is not None:
        trial.set_user_attr("error", error)
        study.tell(trial, state=TrialState.FAIL)
        return f"failed: {error}"
    if watch.pruned:
        study.tell(trial, state=TrialState.PRUNED)
        return f"pruned after epoch {watch.epochs}, {watch.monitor} {watch.best:.4f}"
    study.tell(trial, watch.best)
    return f"{watch.monitor} {watch.best:.4f} (epoch {watch.best_epoch})"


class _Watch:
    """Reports the monitored value of each epoch to the study, and ends a run that is pruned.

    Attributes:
        monitor: The column that is monitored.
        best: The value of the best epoch, the one that the run keeps; None before the first.
        best_epoch: The number of that epoch.
        epochs: Number of epochs so far.
        pruned: Whether the study has ended the run.
    """

    def __init__(self, trial: Trial, settings: TuneSettings) -> None:
        """Begin a trial.

        Args:
            trial: The trial of the study.
            settings: The column to monitor, and whether lower is better.
        """
        self._trial = trial
        self.monitor = settings.config.monitor
        self.best: float | None = None
        self.best_epoch: int | None = None
        self.epochs = 0
        self.pruned = False

    def __call__(self, row: Row) -> None:
        """Take an epoch's row of ``metrics.csv``.

        Raises:
            StopRun: If the study prunes the run.
        """
        value, self.epochs = row.get(self.monitor, math.nan), int(row["epoch"])
        if math.isfinite(value):
            if row["kept"]:
                self.best, self.best_epoch = value, self.epochs
            self._trial.report(value, step=self.epochs)
        if self._trial.should_prune():
            self.pruned = True
            raise StopRun


def suggest(trial: Trial, search: Search) -> dict[str, Value]:
    """Return the settings that the study's sampler chooses for a trial, by name."""
    values: dict[str, Value] = {}
    for key, dimension in search.space.items():
        if isinstance(dimension, Choices):
            values[key] = trial.suggest_categorical(key, dimension.values)
        elif dimension.whole:
            low, high, step = int(dimension.low), int(dimension.high), int(dimension.step or 1)
            values[key] = trial.suggest_int(key, low, high, step=step, log=dimension.log)
        else:
            values[key] = trial.suggest_float(
                key, dimension.low, dimension.high, step=dimension.step, log=dimension.log
            )
    return values


def _describe_values(values: Mapping[str, Any]) -> str:
    """Return settings as a text: ``lr 0.001, optimizer adamw``."""
    return ", ".join(
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in values.items()
    )


class _Quiet:
    """The reporter of the runs of a search: it shows their progress, and each warning once.

    Attributes:
        say: Shows a line, unlike ``note``, which shows nothing: the epochs are in metrics.csv.
    """

    def __init__(self, reporter: Reporter) -> None:
        """Wrap a reporter.

        Args:
            reporter: Shows what is not left out.
        """
        self._reporter = reporter
        self._warned: set[str] = set()
        self.say = reporter.note

    def note(self, text: str) -> None: ...

    def row(self, cells: Any, text: str, *, drop: Any = ()) -> None: ...

    def warn(self, text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            self._reporter.warn(text)

    def table(self, title: str, rows: Any, layout: Any = None) -> None: ...

    def progress(self, label: str, total: int) -> AbstractContextManager[Advance]:
        return self._reporter.progress(label, total)
