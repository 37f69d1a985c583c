"""One epoch after the other: train, validate, keep, and hear what wants to stop it."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from cnncli.data.manifest import save_manifest
from cnncli.data.samples import NO_SPLIT
from cnncli.data.splits import TEST
from cnncli.evaluation.metrics import log_loss, validation_metrics
from cnncli.files import BEST_FILE, SPLITS_FILE
from cnncli.models.freeze_plan import FreezePlan
from cnncli.reporting import Reporter
from cnncli.run.bad_images import check_bad, save_bad
from cnncli.run.build_trainer import EpochInputs
from cnncli.run.prepare import PreparedRun
from cnncli.training.checkpoint import save_checkpoint
from cnncli.training.history import Row
from cnncli.training.interrupt import STOPPING, Interrupt, stop
from cnncli.training.loop import NotFiniteError, Progress
from cnncli.training.predictions import predict_split
from cnncli.training.session import Session

Advance = Callable[[int, str], None]


class Epochs:
    """Runs one epoch after the other."""

    def __init__(
        self,
        run: PreparedRun,
        run_dir: Path,
        reporter: Reporter,
        plan: FreezePlan,
        loop: EpochInputs,
        session: Session,
        interrupt: Interrupt,
        advance: Advance,
    ) -> None:
        self.run, self.run_dir, self.reporter = run, run_dir, reporter
        self.plan, self.loop, self.session = plan, loop, session
        self.interrupt, self.advance = interrupt, advance
        self.world = run.compute.world
        self.signal: signal.Signals | None = None  # that all processes know of

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
            self.session.trainer.wrap()
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
        show = self._show_rate(epoch)
        trainer.train_epoch(loop.train, progress, show, lambda: self._after_step(progress))
        if self.signal is not None and not session.limit.is_over:
            session.save(progress)
            self.stop_if_asked(f"epoch {epoch}, step {progress.batches} of {len(loop.train)}")
        start = time.perf_counter()
        for module in {session.network, session.weights}:
            self.world.copy_buffers(module)
        evaluated = loop.evaluated(session.weights)
        targets, probabilities = predict_split(
            evaluated, loop.val, trainer.compute, show, shared=True
        )
        seconds = self.world.from_first(time.perf_counter() - start)
        session.limit.keep_for_the_end(seconds)
        if not np.isfinite(probabilities).all():  # the epoch's last step has broken the weights
            trainer.stop_not_finite(epoch)
        scores = validation_metrics(targets, probabilities)
        row: Row = {
            "epoch": epoch,
            "seconds": round(progress.seconds + seconds, 3),
            "images_per_second": round(progress.images / max(1e-9, progress.seconds), 1),
            "lr": progress.lr or trainer.lr,
            "train_loss": progress.loss,
            "train_accuracy": progress.accuracy,
            "val_loss": log_loss(targets, probabilities),
            **{f"val_{name}": value for name, value in scores.items()},
        }
        return self.world.from_first(row)  # it has the sums, and its clock counts

    def _after_step(self, progress: Progress) -> bool:
        """Save within a long epoch; return whether to end it here."""
        every = self.run.config.checkpoint_every
        if every is not None and self.session.trainer.step % every == 0:
            self.session.save(progress)
        self.agree()
        return self.signal is not None or self.session.limit.is_over

    def agree(self) -> None:
        """Let all processes hear of a signal, and take rank 0's clock, at the same step."""
        heard = self.interrupt.number
        if not self.world.joined:
            self.signal = heard
            return
        limit = self.session.limit
        ours = [heard == number for number in STOPPING]
        said = torch.tensor([*ours, limit.read() if self.world.is_first else 0.0]).double()
        *signals, limit.agreed = self.world.sum_(said).tolist()
        self.signal = next((n for n, count in zip(STOPPING, signals, strict=True) if count), None)

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
            if self.world.is_first:
                save_checkpoint(self.run_dir / BEST_FILE, session.weights, best)
        session.epoch = epoch
        session.history.append(row)
        session.save()
        session.write_history()
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
        for _ in run.loader(TEST, shared=True).epoch(1):
            pass
        for bad in self.world.gather(run.bad):
            run.bad.update(bad)
        found = {i: reason for i, reason in run.bad.items() if run.splits[i] != NO_SPLIT}
        check_bad(run.samples, found, run.config.on_bad_image, self.reporter)
        if found:
            run.splits[list(found)] = NO_SPLIT
            if self.world.is_first:
                save_manifest(self.run_dir / SPLITS_FILE, run.samples, run.splits, run.digests)
                save_bad(self.run_dir, run.samples, run.bad)

    def stop_if_asked(self, where: str) -> None:
        """Raise `Stopped` if a signal has come."""
        if self.signal is not None:
            size = self.world.size
            command = "cnncli" if size == 1 else f"torchrun --nproc-per-node {size} -m cnncli"
            stop(self.signal, where, f"{command} train --resume {self.run_dir}")

    def _show_rate(self, epoch: int) -> Advance:
        start, done = time.perf_counter(), 0

        def show(count: int, text: str) -> None:
            nonlocal done
            done += count
            rate = done / (time.perf_counter() - start)
            self.advance(count, f"epoch {epoch}, {rate:,.0f} images/s")

        return show


def _tell_epoch(row: Row, epochs: int, *, is_best: bool) -> str:
    return (
        f"epoch {row['epoch']:>3}/{epochs}  {row['seconds']:6.1f} s  "
        f"train loss {row['train_loss']:.4f} accuracy {row['train_accuracy']:.4f}  "
        f"val loss {row['val_loss']:.4f} accuracy {row['val_accuracy']:.4f} "
        f"macro F1 {row['val_macro_f1']:.4f}{'  best' if is_best else ''}"
    )
