"""Train and fine-tune: from a config to a run folder; and resume a run that was interrupted."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from cnncli.config import RunConfig, dump_config
from cnncli.data.loader import explain_worker_death
from cnncli.errors import CnncliError
from cnncli.files import (
    CONFIG_FILE,
    LAST_FILE,
    REPORT_FILE,
    write_atomically,
)
from cnncli.models.registry import short_name
from cnncli.reporting import Reporter, TableLayout
from cnncli.run.afters import After, finish_run, make_afters
from cnncli.run.begun import BegunRun
from cnncli.run.check import check_candidates
from cnncli.run.choose_network import choose_network
from cnncli.run.data_check import save_data_check
from cnncli.run.fit import fit
from cnncli.run.fold import Fold
from cnncli.run.folder import check_output, check_unfinished, new_run_dir, tell_finished
from cnncli.run.lock import lock_run
from cnncli.run.prepare import prepare
from cnncli.run.prepared_run import PreparedRun
from cnncli.run.report import (
    record_splits,
    save_report,
    summary_rows,
    tell_images,
)
from cnncli.run.report_best import report_best
from cnncli.run.resume import load_unfinished, was_trained
from cnncli.run.unreadable import write_splits
from cnncli.training.device import (
    Compute,
    choose_compute,
    deterministic_algorithms,
    keep_freed_memory,
)
from cnncli.training.distributed import ALONE, World
from cnncli.training.history import OnEpoch, Row
from cnncli.training.logs import open_log
from cnncli.training.state import State


def train_run(
    config: RunConfig,
    reporter: Reporter,
    on_epoch: OnEpoch | None = None,
    *,
    evaluate_best: bool = True,
    world: World = ALONE,
    started: float | None = None,
    fold: Fold | None = None,
    afters: Sequence[After] = (),
) -> Path:
    """Train a classifier and evaluate its best epoch.

    Args:
        config: The run's settings.
        reporter: Gets the run's remarks, warnings and progress.
        on_epoch: Called with each epoch's row of ``metrics.csv``; it may raise to end the run.
        evaluate_best: Whether to evaluate the best epoch on the test split. A search over settings
            must not, since the test split is for the final result only.
        world: The processes that train together; only rank 0 writes files.
        started: From when on the time limit counts, by ``time.monotonic``; None for now.
        fold: The fold of a cross-validation that the run is of; None for a run of its own.
        afters: What is made from the run when it has finished.

    Returns:
        The run folder.

    Raises:
        CnncliError: If a setting or an image is wrong, before anything is trained; or if
            training fails, with the best epoch so far in the run folder.
    """
    started = begun = time.monotonic() if started is None else started
    check_candidates(config)
    compute = _choose_compute(config, world)
    keep_freed_memory()
    check_output(config.output)
    choice = choose_network(config, compute, reporter, started=started, fold=fold)
    config = choice.config
    # Before there is a folder: a run that is killed while it reads images leaves none behind.
    run = prepare(config, compute, reporter, fold=fold)
    if fold is not None:
        run, started = fold.settle(run), None  # its share counts from its first step
    new_dir = (
        new_run_dir(config.output, short_name(config.model), was_trained)
        if fold is None
        else fold.new_dir(run)
    )
    with _make_run_dir(new_dir, world, reporter) as run_dir:
        if world.is_first:
            text = dump_config(run.config)
            write_atomically(run_dir / CONFIG_FILE, lambda part: part.write_text(text, "utf-8"))
            write_splits(run_dir, run)
            save_data_check(run_dir, run.data_check)
            choice.save(run_dir)
        _train(run, run_dir, reporter, None, on_epoch, evaluate_best=evaluate_best, started=started)
        if world.is_first and afters:
            finished = finish_run(run_dir, begun, config.time_limit, run.samples)
            make_afters(afters, finished, reporter)
    return run_dir


def _choose_compute(config: RunConfig, world: World) -> Compute:
    """Choose the device and precision of the config, and refuse settings they do not allow."""
    compute = choose_compute(config.device, config.precision, world)
    if config.sync_bn and compute.device.type != "cuda":
        raise CnncliError(
            f"--sync-bn: torch has it on CUDA only, and this is {compute.device}; leave it out, or "
            "use --norm group, which needs no other process"
        )
    return compute


@contextmanager
def _make_run_dir(
    new_dir: AbstractContextManager[Path], world: World, reporter: Reporter
) -> Iterator[Path]:
    """Let rank 0 make the run folder and lock it, and yield it in all processes."""
    if not world.is_first:
        yield world.from_first(Path())
        return
    with new_dir as run_dir, lock_run(run_dir, reporter.note):
        yield world.from_first(run_dir)


def resume_run(
    run_dir: Path,
    reporter: Reporter,
    *,
    world: World = ALONE,
    started: float | None = None,
    fold: Fold | None = None,
    afters: Sequence[After] = (),
) -> Path:
    """Resume a run from its last completed epoch or saved step.

    On the same machine and with the same number of threads, the result is that of a run that was
    never interrupted. A finished run is left unchanged.

    Args:
        run_dir: The run's folder.
        reporter: Gets the run's remarks, warnings and progress.
        world: The processes that train together; only rank 0 writes files.
        started: From when on the time limit counts, by ``time.monotonic``; None for now.
        fold: The fold of a cross-validation that the run is of; None for a run of its own.
        afters: What is made from the run when it has finished.

    Returns:
        The run folder.

    Raises:
        CnncliError: If the folder is not that of a run, if another process trains it, or if its
            settings or images have changed.
    """
    if not check_unfinished(run_dir):
        reporter.note(tell_finished(run_dir))
        return run_dir
    with lock_run(run_dir, reporter.note) if world.is_first else nullcontext():
        # Another process may have finished it while this one waited for the lock.
        if world.from_first(check_unfinished(run_dir)):
            _resume(run_dir, reporter, world, started, fold, afters)
    return run_dir


def _resume(
    run_dir: Path,
    reporter: Reporter,
    world: World,
    started: float | None,
    fold: Fold | None,
    afters: Sequence[After],
) -> None:
    started = time.monotonic() if started is None else started
    config, state = load_unfinished(run_dir)
    begun = BegunRun(run_dir, {} if state is None else state.get("images", {}))
    begun.check_data(config.data)
    compute = _choose_compute(config, world)
    keep_freed_memory()
    run = prepare(config, compute, reporter, begun, fold)
    _train(run, run_dir, reporter, state, None, started=started)
    if world.is_first:
        before = 0.0 if state is None else state["seconds"]
        finished = finish_run(run_dir, started, config.time_limit, run.samples, before)
        make_afters(afters, finished, reporter)


def _train(
    run: PreparedRun,
    run_dir: Path,
    reporter: Reporter,
    state: State | None,
    on_epoch: OnEpoch | None,
    *,
    evaluate_best: bool = True,
    started: float | None = None,
) -> None:
    """Train a prepared run to its end, and evaluate its best epoch."""
    with (
        explain_worker_death(),
        deterministic_algorithms(run.compute.device),
        _logged(run, run_dir, reporter, on_epoch) as keep,
    ):
        run = fit(run, run_dir, reporter, state=state, on_epoch=keep, started=started)
        if not evaluate_best:
            if run.compute.world.is_first:
                _drop_state(run, run_dir, reporter)
            return
        report = report_best(run, run_dir, reporter)
    if run.compute.world.is_first:
        record_splits(report, run_dir)
        save_report(run_dir / REPORT_FILE, report)
        _drop_state(run, run_dir, reporter)
    reporter.table(tell_images(report), summary_rows(report), TableLayout(rounded=True))


def _drop_state(run: PreparedRun, run_dir: Path, reporter: Reporter) -> None:
    """Delete what a run is resumed from, once all else that it has made is safe on the disk."""
    if run.config.keep_state:
        return
    try:
        (run_dir / LAST_FILE).unlink(missing_ok=True)
    except OSError as error:
        reporter.warn(f"{run_dir / LAST_FILE}: cannot be deleted ({error.strerror})")


@contextmanager
def _logged(
    run: PreparedRun, run_dir: Path, reporter: Reporter, on_epoch: OnEpoch | None
) -> Iterator[OnEpoch | None]:
    """Open the run's log, if there is one; yield a function for each epoch's row.

    The function writes the row to the log and then calls ``on_epoch``.
    """
    config = run.config
    if config.log is None or not run.compute.world.is_first:
        yield on_epoch
        return
    log = open_log(config.log, run_dir, config.model_dump(), reporter.warn)
    reporter.note(f"--log {config.log}: {log.place}")

    def keep(row: Row) -> None:
        log.log(row)
        if on_epoch is not None:
            on_epoch(row)

    failed = True
    try:
        yield keep
        failed = False
    finally:
        log.close(failed=failed)
