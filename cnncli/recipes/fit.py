"""Fit: epoch by epoch, keep the best, stop when it gets no better; a run can always go on."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from cnncli.choices import parse_duration
from cnncli.data.manifest import save_manifest
from cnncli.data.sources import NO_SPLIT
from cnncli.data.splits import TEST, TRAIN
from cnncli.evaluation.metrics import log_loss, validation_metrics
from cnncli.evaluation.plots import save_curves
from cnncli.recipes.bad_images import check_bad, save_bad
from cnncli.recipes.build_trainer import Loop, build_loop, build_plateau, build_trainer
from cnncli.recipes.prepare import Prepared, tell_plan
from cnncli.recipes.session import Session
from cnncli.recipes.transfer import FreezePlan
from cnncli.reporting import Reporter
from cnncli.training.balance import balance_rows
from cnncli.training.checkpoint import BEST, save_checkpoint
from cnncli.training.history import EarlyStopping, History, OnEpoch, Row
from cnncli.training.interrupt import Interrupt, catch_signals
from cnncli.training.loop import NotFiniteError, Progress
from cnncli.training.predictions import predict_split
from cnncli.training.state import State
from cnncli.training.time_limit import TimeLimit

Advance = Callable[[int, str], None]


def fit(
    run: Prepared,
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
    plan = FreezePlan(run.network, config)
    loop = build_loop(run, plan, run_dir, reporter, cache_features=cache_features)
    limit = TimeLimit(parse_duration(config.time_limit) if config.time_limit else None)
    plateau = build_plateau(config)
    trainer = build_trainer(run, plan, loop, limit, plateau, reporter)
    session = Session(
        run_dir=run_dir,
        network=run.network,
        trainer=trainer,
        history=History(run_dir / "metrics.csv"),
        stopping=EarlyStopping(config.monitor, config.patience, config.min_delta),
        limit=limit,
        preprocess=run.store.preprocess,
        plateau=plateau,
    )
    _tell(run, plan, loop, reporter)
    if state is None:
        session.save()  # so that a run can go on from its very first step
        session.history.write()
    else:
        session.restore(state)
        limit.before = state["seconds"]
        reporter.note(f"going on from {session.place()}")
        if state["threads"] != torch.get_num_threads():
            reporter.warn(
                f"{torch.get_num_threads()} threads where the run had {state['threads']}: results "
                "may differ in the last digits"
            )
    images = (loop.train.count + loop.val.count) * (config.epochs - session.epoch)
    with catch_signals() as interrupt, reporter.progress("training", images) as advance:
        epochs = _Epochs(run, run_dir, reporter, plan, loop, session, interrupt, advance)
        while not epochs.are_over:
            row = epochs.run_next()
            if on_epoch is not None:
                on_epoch(row)
            epochs.stop_if_asked(f"epoch {row['epoch']}, at its end")
    best = session.stopping.best
    assert best is not None
    save_curves(run_dir / "curves.png", session.history.rows, best_epoch=int(best["epoch"]))


class _Epochs:
    """Runs one epoch after the other."""

    def __init__(
        self,
        run: Prepared,
        run_dir: Path,
        reporter: Reporter,
        plan: FreezePlan,
        loop: Loop,
        session: Session,
        interrupt: Interrupt,
        advance: Advance,
    ) -> None:
        self.run, self.run_dir, self.reporter = run, run_dir, reporter
        self.plan, self.loop, self.session = plan, loop, session
        self.interrupt, self.advance = interrupt, advance

    @property
    def are_over(self) -> bool:
        """Whether there is nothing more to train."""
        session = self.session
        return (
            session.epoch >= self.run.config.epochs
            or session.stopping.should_stop
            or (session.limit.is_over and session.epoch > 0)
        )

    def run_next(self) -> Row:
        """Train and validate an epoch, save all there is to save, and return its row.

        Raises:
            Stopped: If a signal came within it.
            NotFiniteError: If the loss is not finite, and going back is not wanted or no more use.
        """
        epoch = self.session.epoch + 1
        if self.plan.begin(epoch) and epoch > 1:
            policy = self.plan.unfreezing.at(epoch)
            self.reporter.table(
                f"freeze {policy} from epoch {epoch}", self.plan.table(self.run.config.lr)
            )
        while True:
            try:
                row = self._train_and_validate(epoch)
                break
            except NotFiniteError as error:
                if self.run.config.on_nan == "error":
                    raise
                self.session.roll_back(error, self.reporter)
        self._keep(epoch, row)
        return row

    def _train_and_validate(self, epoch: int) -> Row:
        """Return the row of ``metrics.csv``."""
        session, loop, trainer = self.session, self.loop, self.session.trainer
        progress = session.progress or Progress(epoch)
        session.progress = None
        show = self._shower(epoch)
        trainer.train_epoch(loop.train, progress, show, lambda: self._after_step(progress))
        if self.interrupt.number is not None and not session.limit.is_over:
            session.save(progress)
            self.stop_if_asked(f"epoch {epoch}, step {progress.batches} of {len(loop.train)}")
        start = time.perf_counter()
        judged = loop.judged(session.weights)
        targets, probabilities = predict_split(judged, loop.val, trainer.compute, show)
        seconds = time.perf_counter() - start
        session.limit.keep_for_the_end(seconds)
        if not np.isfinite(probabilities).all():  # the epoch's last step has broken the weights
            trainer.stop_not_finite(epoch)
        scores = validation_metrics(targets, probabilities)
        return {
            "epoch": epoch,
            "seconds": round(progress.seconds + seconds, 3),
            "images_per_second": round(progress.images / max(1e-9, progress.seconds), 1),
            "lr": progress.lr or trainer.lr,
            "train_loss": progress.loss,
            "train_accuracy": progress.accuracy,
            "val_loss": log_loss(targets, probabilities),
            **{f"val_{name}": value for name, value in scores.items()},
        }

    def _after_step(self, progress: Progress) -> bool:
        """Save within a long epoch; return whether to end it here."""
        every = self.run.config.checkpoint_every
        if every is not None and self.session.trainer.step % every == 0:
            self.session.save(progress)
        return self.interrupt.number is not None or self.session.limit.is_over

    def _keep(self, epoch: int, row: Row) -> None:
        """Save the epoch: the best weights, then all that is needed to go on, then its row."""
        session = self.session
        is_best = session.stopping.update(row)
        if session.plateau is not None and session.plateau.update(row[session.stopping.monitor]):
            self.reporter.note(f"no better for a while: lr times {session.plateau.factor:g}")
        if is_best:
            best = replace(
                self.run.checkpoint, freeze=self.plan.unfreezing.at(epoch), epoch=epoch, metrics=row
            )
            save_checkpoint(self.run_dir / BEST, session.weights, best)
        session.epoch = epoch
        session.history.append(row)
        session.save()
        session.history.write()
        if epoch == 1 and self.run.store.cached is None:
            self._look_through()
        self.reporter.note(_tell_epoch(row, self.run.config.epochs, is_best=is_best))
        if session.stopping.should_stop:
            patience = session.stopping.patience
            self.reporter.note(f"stopped: {patience} epochs without a better one")
        elif session.limit.is_over:
            self.reporter.note(f"stopped: the time is over ({session.limit.clock():.0f} s)")

    def _look_through(self) -> None:
        """Tell what the first epoch found that cannot be read; the test split is read for it.

        Raises:
            CnncliError: If there is any and it is not to be skipped; the first epoch is kept.
        """
        run = self.run
        for _ in run.loader(TEST).epoch(1):
            pass
        found = {i: reason for i, reason in run.bad.items() if run.splits[i] != NO_SPLIT}
        check_bad(run.samples, found, run.config.on_bad_image, self.reporter)
        if found:
            run.splits[list(found)] = NO_SPLIT
            save_manifest(self.run_dir / "splits.csv", run.samples, run.splits, run.facts)
            save_bad(self.run_dir, run.samples, run.bad)

    def stop_if_asked(self, where: str) -> None:
        """Raise `Stopped` if a signal has come."""
        if self.interrupt.number is not None:
            self.interrupt.stop(where, f"cnncli train --resume {self.run_dir}")

    def _shower(self, epoch: int) -> Advance:
        start, done = time.perf_counter(), 0

        def show(count: int, text: str) -> None:
            nonlocal done
            done += count
            rate = done / (time.perf_counter() - start)
            self.advance(count, f"epoch {epoch}, {rate:,.0f} images/s")

        return show


def _tell(run: Prepared, plan: FreezePlan, loop: Loop, reporter: Reporter) -> None:
    """Say what is going to be trained on what."""
    config = run.config
    tell_plan(run, len(loop.train), reporter)
    if config.freeze != "none" or len(set(plan.scales.values())) > 1:
        reporter.table(f"freeze {config.freeze}", plan.table(config.lr))
    if config.balance != "none":
        targets = run.samples.targets[run.indices(TRAIN)]
        rows = balance_rows(config.balance, targets, run.samples.class_names)
        reporter.table(f"balance {config.balance}", rows)


def _tell_epoch(row: Row, epochs: int, *, is_best: bool) -> str:
    return (
        f"epoch {row['epoch']:>3}/{epochs}  {row['seconds']:6.1f} s  "
        f"train loss {row['train_loss']:.4f} accuracy {row['train_accuracy']:.4f}  "
        f"val loss {row['val_loss']:.4f} accuracy {row['val_accuracy']:.4f} "
        f"macro F1 {row['val_macro_f1']:.4f}{'  best' if is_best else ''}"
    )
