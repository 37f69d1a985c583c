"""The epochs of a run: train, validate, save, and stop when there is a reason to."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

import numpy as np

from cnncli.data.manifest import save_manifest
from cnncli.data.splits import TEST
from cnncli.data.store import Bad
from cnncli.evaluation.metrics import log_loss, validation_metrics
from cnncli.files import BEST_FILE, SPLITS_FILE
from cnncli.reporting import Reporter
from cnncli.run.bad_images import check_bad, save_bad
from cnncli.run.prepared_run import PreparedRun
from cnncli.training.checkpoint import Checkpoint, save_checkpoint
from cnncli.training.history import OnEpoch, Row
from cnncli.training.loop import NotFiniteError
from cnncli.training.predictions import predict_split
from cnncli.training.progress import Progress
from cnncli.training.session import Session
from cnncli.training.stopping import sync_stop_request

Advance = Callable[[int, str], None]


def train_epochs(
    session: Session,
    run: PreparedRun,
    reporter: Reporter,
    *,
    advance: Advance,
    on_epoch: OnEpoch | None = None,
) -> PreparedRun:
    """Train one epoch after the other until the run is over; each is validated and saved.

    Args:
        session: The state of the training, which moves on.
        run: The images and settings.
        reporter: Gets a line for every epoch.
        advance: Called with the number of images done and a text for the progress bar.
        on_epoch: Called with each epoch's row of ``metrics.csv``; it may raise to end the run.

    Returns:
        The run, without the images that the first epoch could not read.

    Raises:
        Stopped: If a signal came; all that was trained is saved.
        NotFiniteError: If the loss is not finite, and the run does not roll back (any more).
        CnncliError: If an image cannot be read, or a file cannot be written.
    """
    config = run.config
    sync_stop_request(session.stop_request, session.world)
    while not _is_over(session, config.epochs):
        epoch = session.epoch + 1
        _apply_freezing(session, epoch, config.lr, reporter)
        while True:
            try:
                row = _train_and_validate(session, epoch, config.checkpoint_every, advance)
                break
            except NotFiniteError as error:
                if config.on_nan == "error":
                    raise
                session.roll_back(error, reporter)
        is_best = _save_epoch(session, epoch, row, run.checkpoint, reporter)
        if epoch == 1 and run.store.cached is None:
            run = _leave_out_unreadable(session, run, reporter)
        reporter.note(_describe_epoch(row, config.epochs, is_best=is_best))
        _report_early_end(session, reporter)
        if on_epoch is not None:
            on_epoch(row)
        sync_stop_request(session.stop_request, session.world)
        session.raise_if_signalled(f"epoch {epoch}, at its end")
    return run


def _is_over(session: Session, epochs: int) -> bool:
    """Return whether there is nothing more to train; one epoch is trained in any case."""
    time_is_over = session.stop_request.time_limit.is_over
    return (
        session.epoch >= epochs
        or session.early_stopping.should_stop
        or (time_is_over and session.epoch > 0)
    )


def _apply_freezing(session: Session, epoch: int, lr: float, reporter: Reporter) -> None:
    """Freeze and unfreeze what the plan says for this epoch."""
    plan = session.plan
    if plan.begin(epoch) and epoch > 1:
        session.trainer.wrap()
        policy = plan.unfreezing.at(epoch)
        reporter.table(f"freeze {policy} from epoch {epoch}", plan.table(lr))


def _train_and_validate(
    session: Session, epoch: int, checkpoint_every: int | None, advance: Advance
) -> Row:
    """Train an epoch, or what is left of it, and validate it.

    Args:
        session: The state of the training, which moves on.
        epoch: The epoch's number, from 1.
        checkpoint_every: Number of steps between two saves within an epoch; None for no such save.
        advance: Called with the number of images done and a text for the progress bar.

    Returns:
        The epoch's row of ``metrics.csv``.

    Raises:
        Stopped: If a signal came while it trained.
        NotFiniteError: If the loss is not finite.
    """
    inputs, trainer, world = session.inputs, session.trainer, session.world
    stop_request = session.stop_request
    progress = session.progress or Progress(epoch)
    session.progress = None
    show = _show_rate(epoch, advance)

    def save_and_sync() -> bool:
        """Save if it is time to; return whether to stop training here."""
        if checkpoint_every is not None and trainer.step % checkpoint_every == 0:
            session.save(progress)
        sync_stop_request(stop_request, world)
        return stop_request.is_set

    trainer.train_epoch(inputs.train, progress, show, save_and_sync)
    if stop_request.signal is not None and not stop_request.time_limit.is_over:
        session.save(progress)
        session.raise_if_signalled(f"epoch {epoch}, step {progress.batches} of {len(inputs.train)}")
    start = time.perf_counter()
    for module in {session.network, session.weights}:
        world.copy_buffers(module)
    classifier = inputs.build_evaluated(session.weights)
    targets, probabilities = predict_split(
        classifier, inputs.val, trainer.compute, show, sliced=True
    )
    seconds = world.from_first(time.perf_counter() - start)
    stop_request.time_limit.keep_for_the_end(seconds)
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
    return world.from_first(row)  # rank 0 has the sums over all processes


def _save_epoch(
    session: Session, epoch: int, row: Row, checkpoint: Checkpoint, reporter: Reporter
) -> bool:
    """Save the best weights, then all that is needed to resume, then the row of ``metrics.csv``.

    Returns:
        Whether the epoch is the best so far.
    """
    is_best = session.early_stopping.update(row)
    plateau = session.plateau
    if plateau is not None and plateau.update(row[session.early_stopping.monitor]):
        reporter.note(f"no better for a while: lr times {plateau.factor:g}")
    if is_best and session.world.is_first:
        freeze = session.plan.unfreezing.at(epoch)
        best = replace(checkpoint, freeze=freeze, epoch=epoch, metrics=row)
        save_checkpoint(session.run_dir / BEST_FILE, session.weights, best)
    session.epoch = epoch
    session.history.append(row)
    session.save()
    session.write_history()
    return is_best


def _leave_out_unreadable(session: Session, run: PreparedRun, reporter: Reporter) -> PreparedRun:
    """Return the run without the images that could not be read; the test split is read for it.

    Raises:
        CnncliError: If there are any and they are not to be skipped; the first epoch is kept.
    """
    with closing(run.loader(TEST, sliced=True)) as test:
        for _ in test.epoch(1):
            pass
    found: Bad = {}
    for bad in session.world.gather({**session.inputs.unreadable, **test.bad}):
        found.update(bad)
    check_bad(run.samples, found, run.config.on_bad_image, reporter)
    if not found:
        return run
    run = run.leave_out(found)
    if session.world.is_first:
        save_manifest(session.run_dir / SPLITS_FILE, run.samples, run.splits, run.digests)
        save_bad(session.run_dir, run.samples, run.bad)
    return run


def _report_early_end(session: Session, reporter: Reporter) -> None:
    """Report that the run ends before its last epoch, if it does, and why."""
    if session.early_stopping.should_stop:
        patience = session.early_stopping.patience
        reporter.note(f"stopped: {patience} epochs without a better one")
    elif session.stop_request.time_limit.is_over:
        seconds = session.stop_request.time_limit.clock()
        reporter.note(f"stopped: the time is over ({seconds:.0f} s)")


def _show_rate(epoch: int, advance: Advance) -> Advance:
    """Return a function like ``advance`` that adds the epoch and the images per second."""
    start, done = time.perf_counter(), 0

    def show(count: int, text: str) -> None:
        nonlocal done
        done += count
        rate = done / (time.perf_counter() - start)
        advance(count, f"epoch {epoch}, {rate:,.0f} images/s")

    return show


def _describe_epoch(row: Row, epochs: int, *, is_best: bool) -> str:
    return (
        f"epoch {row['epoch']:>3}/{epochs}  {row['seconds']:6.1f} s  "
        f"train loss {row['train_loss']:.4f} accuracy {row['train_accuracy']:.4f}  "
        f"val loss {row['val_loss']:.4f} accuracy {row['val_accuracy']:.4f} "
        f"macro F1 {row['val_macro_f1']:.4f}{'  best' if is_best else ''}"
    )
