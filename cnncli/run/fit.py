"""Fit: epoch by epoch, keep the best, stop when it gets no better; a run can always go on."""

from __future__ import annotations

from pathlib import Path

import torch

from cnncli.choices import parse_duration
from cnncli.data.splits import TRAIN
from cnncli.files import CURVES_FILE, METRICS_FILE
from cnncli.models.freeze_plan import FreezePlan
from cnncli.plots.curves import save_curves
from cnncli.reporting import Reporter
from cnncli.run.build_trainer import (
    EpochInputs,
    build_freeze_plan,
    build_loop,
    build_plateau,
    build_trainer,
)
from cnncli.run.epochs import Epochs
from cnncli.run.prepare import PreparedRun, tell_plan
from cnncli.training.balance import balance_rows
from cnncli.training.distributed import World
from cnncli.training.history import EarlyStopping, History, OnEpoch
from cnncli.training.interrupt import catch_signals
from cnncli.training.session import Session
from cnncli.training.state import State
from cnncli.training.time_limit import TimeLimit


def fit(
    run: PreparedRun,
    run_dir: Path,
    reporter: Reporter,
    *,
    state: State | None = None,
    on_epoch: OnEpoch | None = None,
    cache_features: bool = True,
) -> None:
    """Train, and write the run folder's metrics, checkpoints and curves.

    Args:
        run: All that is known before the first step.
        run_dir: The run's folder.
        reporter: Told of every epoch.
        state: Of the run when it was broken off; None begins.
        on_epoch: Given each epoch's row; it may raise to end the run.
        cache_features: Whether a backbone that stays frozen may run only once; the result is
            the same, bit by bit in float32.

    Raises:
        Stopped: If a signal came; all that was trained is saved.
        CnncliError: If the loss is not finite, or the folder cannot be written.
    """
    config = run.config
    plan = build_freeze_plan(run)
    loop = build_loop(run, plan, run_dir, reporter, cache_features=cache_features)
    limit = TimeLimit(parse_duration(config.time_limit) if config.time_limit else None)
    plateau = build_plateau(config)
    trainer = build_trainer(run, plan, loop, limit, plateau, reporter)
    session = Session(
        run_dir=run_dir,
        network=run.network,
        trainer=trainer,
        history=History(run_dir / METRICS_FILE),
        stopping=EarlyStopping(config.monitor, config.patience, config.min_delta),
        limit=limit,
        preprocess=run.store.preprocess,
        plateau=plateau,
    )
    _tell(run, plan, loop, reporter)
    if state is None:
        _seed_by_rank(run.compute.world, config.seed)
        session.save()  # so that a run can go on from its very first step
        session.write_history()
    else:
        _restore(session, state, reporter)
    images = (loop.train.count + loop.val.count) * (config.epochs - session.epoch)
    world = run.compute.world
    with (
        catch_signals(quiet=not world.is_first) as interrupt,
        reporter.progress("training", images) as advance,
    ):
        epochs = Epochs(run, run_dir, reporter, plan, loop, session, interrupt, advance)
        epochs.agree()
        while not epochs.are_over:
            row = epochs.run_next()
            if on_epoch is not None:
                on_epoch(row)
            epochs.agree()
            epochs.stop_if_asked(f"epoch {row['epoch']}, at its end")
    best = session.stopping.best
    assert best is not None
    if world.is_first:
        save_curves(run_dir / CURVES_FILE, session.history.rows, best_epoch=int(best["epoch"]))


def _restore(session: Session, state: State, reporter: Reporter) -> None:
    """Put the session where it was when the run was broken off."""
    session.restore(state)
    session.limit.before = state["seconds"]
    reporter.note(f"going on from {session.place()}")
    threads = torch.get_num_threads()
    if state["threads"] != threads:
        reporter.warn(
            f"{threads} threads where the run had {state['threads']}: results may differ in the "
            "last digits"
        )


def _seed_by_rank(world: World, seed: int) -> None:
    """Let dropout draw other numbers in each process."""
    if not world.is_first:
        torch.manual_seed(seed + world.rank)


def _tell(run: PreparedRun, plan: FreezePlan, loop: EpochInputs, reporter: Reporter) -> None:
    """Say what is going to be trained on what."""
    config = run.config
    tell_plan(run, len(loop.train), reporter)
    if config.freeze != "none" or len(set(plan.scales.values())) > 1:
        reporter.table(f"freeze {config.freeze}", plan.table(config.lr))
    if config.balance != "none":
        targets = run.samples.targets[run.indices(TRAIN)]
        rows = balance_rows(config.balance, targets, run.samples.class_names)
        reporter.table(f"balance {config.balance}", rows)
