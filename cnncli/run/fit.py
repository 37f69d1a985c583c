"""Fit: train epoch by epoch, keep the best weights and all that is needed to resume."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import torch

from cnncli.choices import format_size, parse_duration
from cnncli.data.samples import split_counts
from cnncli.data.splits import TRAIN
from cnncli.errors import count_of
from cnncli.files import CURVES_FILE, LOCK_FILE, METRICS_FILE
from cnncli.models.build import count_parameters
from cnncli.models.freeze_plan import FreezePlan
from cnncli.plots.curves import save_curves
from cnncli.reporting import Reporter
from cnncli.run.begun import record_images
from cnncli.run.build_inputs import build_inputs, keep_features
from cnncli.run.build_trainer import (
    build_freeze_plan,
    build_learning_rate,
    build_plateau,
    build_trainer,
)
from cnncli.run.defaults import size_of
from cnncli.run.epoch_lines import report_temperature
from cnncli.run.epochs import train_epochs
from cnncli.run.fit_head import fit_run_head
from cnncli.run.head_stage import keep_fit, report_choice, restore_fit
from cnncli.run.keep_epochs import keep_epoch
from cnncli.run.prepared_run import PreparedRun
from cnncli.run.resume import record_settings
from cnncli.run.threads import start_threads
from cnncli.run.unreadable import still_unreadable
from cnncli.training.balance import balance_rows
from cnncli.training.distributed import World
from cnncli.training.epoch_inputs import EpochInputs
from cnncli.training.history import EarlyStopping, History, OnEpoch
from cnncli.training.session import Session
from cnncli.training.state import State
from cnncli.training.stopping import StopRequest, TimeLimit
from cnncli.training.thread_count import ThreadCount


def fit(
    run: PreparedRun,
    run_dir: Path,
    reporter: Reporter,
    *,
    state: State | None = None,
    on_epoch: OnEpoch | None = None,
    cache_features: bool = True,
    started: float | None = None,
) -> PreparedRun:
    """Train, and write the run folder's metrics, checkpoints and curves.

    Args:
        run: Everything that is decided before the first step.
        run_dir: The run's folder.
        reporter: Gets a line for every epoch.
        state: What was saved when the run was interrupted; None starts a new run.
        on_epoch: Called with each epoch's row of ``metrics.csv``; it may raise to end the run.
        cache_features: Whether a backbone that stays frozen may run only once, with its output
            kept. The result is the same, bit by bit in float32.
        started: From when on the time limit counts, by ``time.monotonic``; None for now.

    Returns:
        The run, without the images that the first epoch could not read.

    Raises:
        Stopped: If a signal came; everything that was trained is saved.
        CnncliError: If the loss is not finite, or the folder cannot be written.
    """
    config, world = run.config, run.compute.world
    plan = build_freeze_plan(run)
    with closing(build_inputs(run, plan)) as images:
        threads = start_threads(run, images, state, reporter)
        keeps = cache_features and not config.fits_head
        inputs = keep_features(run, plan, images, run_dir, reporter) if keeps else images
        if inputs is not images:  # a resumed run takes the features' number from its first row
            threads.rate = 0.0
        threads.apply()
        _report_plan(run, plan, inputs, threads, reporter)
        fits = config.fits_head and state is None
        fitted = fit_run_head(run, inputs, reporter) if fits else None
        # The next fold takes features of this number; resumed, it computes them with its own.
        threads.fixed |= run.kept is not None and bool(run.kept.found)
        session = _build_session(run, run_dir, plan, inputs, threads, reporter, started)
        if state is not None:
            _restore(session, run, state, reporter)
            restore_fit(session, run)
        elif fitted is None:
            _seed_by_rank(world, config.seed)
            session.save()  # so that a run can be resumed from its very first step
            beginning = replace(run.checkpoint, freeze=plan.unfreezing.at(1))
            keep_epoch(session, config.keep_every, beginning)
            session.write_history()
        count = (inputs.train.count + inputs.val.count) * (config.epochs - session.epoch)
        limit = session.stop_request.time_limit
        if limit.is_over and session.epoch == 0 and not config.fits_head:
            reporter.warn(
                f"--time-limit {config.time_limit}: {limit.clock():.0f} s went by before the first "
                "step; of training only one step is done"
            )
        with (
            session.stop_request.catch_signals(),
            reporter.progress("training", count) as advance,
        ):
            if fitted is not None:
                run = keep_fit(session, run, fitted, reporter, advance=advance, on_epoch=on_epoch)
            run = train_epochs(session, run, reporter, advance=advance, on_epoch=on_epoch)
    if run.kept is not None:
        run.kept.threads = threads.now
    best = session.early_stopping.best
    assert best is not None
    if config.fits_head:
        report_choice(session.history.rows, best, config.monitor, reporter)
    if config.calibrate == "temperature":
        report_temperature(best, reporter)
    if world.is_first:
        save_curves(run_dir / CURVES_FILE, session.history.rows, best_epoch=int(best["epoch"]))
    return run


def _build_session(
    run: PreparedRun,
    run_dir: Path,
    plan: FreezePlan,
    inputs: EpochInputs,
    threads: ThreadCount,
    reporter: Reporter,
    started: float | None,
) -> Session:
    """Return the training's state before its first step."""
    config, is_first = run.config, run.compute.world.is_first
    limit = TimeLimit(parse_duration(config.time_limit) if config.time_limit else None, started)
    plateau = build_plateau(config)
    lr_at = build_learning_rate(config, len(inputs.train), limit, plateau)
    return Session(
        run_dir=run_dir,
        network=run.network,
        inputs=inputs,
        plan=plan,
        trainer=build_trainer(run, plan, inputs, lr_at, warn=reporter.warn),
        history=History(run_dir / METRICS_FILE),
        early_stopping=EarlyStopping(config.monitor, config.patience, config.min_delta),
        stop_request=StopRequest(
            limit, quiet=not is_first, lock=run_dir / LOCK_FILE if is_first else None
        ),
        preprocess=run.store.preprocess,
        threads=threads,
        plateau=plateau,
        settings=record_settings(config),
        images=record_images(config.data, run.samples, run.splits),
    )


def _restore(session: Session, run: PreparedRun, state: State, reporter: Reporter) -> None:
    """Put the session where it was when the run was interrupted."""
    session.restore(state)
    session.inputs.image_loaders[0].bad.update(still_unreadable(run, state.get("unreadable", {})))
    session.stop_request.time_limit.before = state["seconds"]
    session.stop_request.time_limit.lead += state.get("lead", 0.0)  # of an older state: unknown
    reporter.note(f"going on from {session.place()}")


def _seed_by_rank(world: World, seed: int) -> None:
    """Let dropout draw other numbers in each process; rank 0 draws what one process would."""
    if not world.is_first:
        torch.manual_seed(seed + world.rank)


def _report_plan(
    run: PreparedRun,
    plan: FreezePlan,
    inputs: EpochInputs,
    threads: ThreadCount,
    reporter: Reporter,
) -> None:
    """Report what is going to be trained on what."""
    config = run.config
    _report_run(run, len(inputs.train), threads, reporter)
    if config.freeze != "none" or len(set(plan.scales.values())) > 1:
        if config.freeze.startswith("stages:") and plan.backbone_is_fixed:
            reporter.note(f"--freeze {config.freeze}: all stages, the same as --freeze backbone")
        reporter.table(f"freeze {config.freeze}", plan.table(config.lr))
    if config.balance != "none":
        targets = run.samples.targets[run.indices(TRAIN)]
        rows = balance_rows(config.balance, targets, run.samples.class_names)
        reporter.table(f"balance {config.balance}", rows)


def _report_run(run: PreparedRun, steps: int, threads: ThreadCount, reporter: Reporter) -> None:
    """Report what is going to be trained, on what, in two lines.

    Args:
        run: The run.
        steps: Number of steps per epoch.
        threads: The number of torch's threads.
        reporter: Gets the lines.
    """
    config, counts = run.config, split_counts(run.splits)
    parts = ", ".join(f"{count} {name}" for name, count in counts.items())
    colour = "grey" if config.in_channels == 1 else f"{config.in_channels} channels"
    colour += " (the last is alpha)" * run.store.preprocess.keep_alpha
    if run.store.preprocess.dtype == "float32":
        colour += f" as float32, intensity {config.intensity}"
    reporter.note(
        f"{parts} images of {len(run.samples.class_names)} classes, {colour}, "
        f"{format_size(size_of(config))} px ({config.resize_mode})"
    )
    reporter.note(
        f"{config.model}, {count_of(count_parameters(run.network), 'parameter')}; "
        f"{run.compute.device}, "
        f"{run.compute.precision}, {threads.describe()}, "
        f"{count_of(config.workers, 'worker')}; " + _describe_epochs(run, steps)
    )


def _describe_epochs(run: PreparedRun, steps: int) -> str:
    """Return how the epochs train, in words; that there are none where a fitted head is all."""
    config = run.config
    fit = "the head fitted to features" * config.fits_head
    if not config.epochs:
        return fit
    return (
        f"{fit}{', then ' if fit else ''}"
        f"batch {_describe_batch(run)}, {count_of(steps, 'step')} per epoch, "
        f"at most {count_of(config.epochs, 'epoch')}, "
        f"{config.optimizer}, lr {config.lr:g}"
    )


def _describe_batch(run: PreparedRun) -> str:
    batch, processes = run.config.batch_size, run.compute.world.size
    whole = f"{batch * processes} ({batch} in each of {processes} processes)"
    return str(batch) if processes == 1 else whole
