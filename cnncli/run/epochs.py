"""The epochs of a run: train, validate, save, and stop when there is a reason to."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np

from cnncli.arrays import Array
from cnncli.errors import CnncliError, count_of
from cnncli.evaluation.calibration import apply_temperature, fit_careful_temperature
from cnncli.evaluation.metrics import log_loss, log_losses, validation_metrics
from cnncli.files import BEST_FILE, LAST_FILE
from cnncli.reporting import Reporter
from cnncli.run.epoch_lines import report_epoch
from cnncli.run.keep_epochs import complete, keep_epoch, keep_first_epoch, keep_if_best
from cnncli.run.prepared_run import PreparedRun
from cnncli.run.unreadable import refuse_lost, settle_unreadable
from cnncli.training.checkpoint import save_checkpoint
from cnncli.training.history import CALIBRATED_LOSS, OnEpoch, Row
from cnncli.training.loop import NotFiniteError
from cnncli.training.predictions import predict_split
from cnncli.training.progress import Progress
from cnncli.training.session import Session
from cnncli.training.state import load_state
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
        The run, without the images that could not be read and were left out.

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
                progress = _train(session, run, epoch, advance, reporter)
                if session.threads.begins_anew():
                    _go_back(session, progress, advance)
                    continue
                row, losses = validate(session, progress, advance, ordered=run.samples.ordered)
                break
            except NotFiniteError as error:
                if config.on_nan == "error":
                    raise
                session.roll_back(error, reporter)
        try:
            run = settle_unreadable(session, run, reporter)
        except CnncliError:
            if epoch == 1:
                keep_first_epoch(session, progress, row, run)
            raise
        is_best = _save_epoch(session, epoch, row, losses, run, reporter)
        report_epoch(row, config.epochs, reporter, is_best=is_best)
        _report_early_end(session, reporter)
        if on_epoch is not None:
            on_epoch(row)
        sync_stop_request(session.stop_request, session.world)
        session.raise_if_signalled(f"epoch {epoch}, at its end")
    return run


def _is_over(session: Session, epochs: int) -> bool:
    """Return whether all is trained; one epoch is, or a head is fitted, in any case."""
    time_is_over = session.stop_request.time_limit.is_over
    has_fit = any(row["epoch"] == 0 for row in session.history.rows)
    return (
        session.epoch >= epochs
        or session.early_stopping.should_stop
        or (time_is_over and (session.epoch > 0 or has_fit))
    )


def _apply_freezing(session: Session, epoch: int, lr: float, reporter: Reporter) -> None:
    """Freeze and unfreeze what the plan says for this epoch."""
    plan = session.plan
    if plan.begin(epoch) and epoch > 1:
        session.trainer.wrap()
        policy = plan.unfreezing.at(epoch)
        reporter.table(f"freeze {policy} from epoch {epoch}", plan.table(lr))


def _go_back(session: Session, progress: Progress, advance: Advance) -> None:
    """Go back to the beginning of the first epoch, as it was saved, and save its new threads."""
    session.restore(load_state(session.run_dir / LAST_FILE))
    session.save()
    advance(-progress.images, "")


def _train(
    session: Session, run: PreparedRun, epoch: int, advance: Advance, reporter: Reporter
) -> Progress:
    """Train an epoch, or what is left of it.

    Args:
        session: The state of the training, which moves on.
        run: The images and settings.
        epoch: The epoch's number, from 1.
        advance: Called with the number of images done and a text for the progress bar.
        reporter: Gets a line if the epoch is to be begun anew with other threads.

    Returns:
        The progress, with all batches of the epoch done, unless it is to be begun anew.

    Raises:
        Stopped: If a signal came while it trained.
        NotFiniteError: If the loss is not finite.
        CnncliError: If an image cannot be read any more, and is not to be skipped.
    """
    inputs, trainer, world = session.inputs, session.trainer, session.world
    stop_request, checkpoint_every = session.stop_request, run.config.checkpoint_every
    threads = session.threads
    progress = session.progress or Progress(epoch)
    session.progress = None

    def save_and_sync() -> bool:
        """Save if it is time to; return whether to stop training here."""
        is_due = checkpoint_every is not None and trainer.step % checkpoint_every == 0
        refuse_lost(session, run, together=is_due)
        if is_due:
            session.save(progress)
            threads.rate = 0.0  # the epoch's beginning is not kept any more: it goes on as it is
        sync_stop_request(stop_request, world)
        return stop_request.is_set or threads.look_early(progress, inputs, reporter)

    trainer.train_epoch(inputs.train, progress, _show_rate(epoch, advance), save_and_sync)
    if stop_request.signal is not None and not stop_request.time_limit.is_over:
        refuse_lost(session, run, together=True)
        session.save(progress)
        session.raise_if_signalled(f"epoch {epoch}, step {progress.batches} of {len(inputs.train)}")
    return progress


def validate(
    session: Session, progress: Progress, advance: Advance, *, ordered: bool
) -> tuple[Row, Array]:
    """Validate the network after an epoch.

    Returns:
        The epoch's row of ``metrics.csv``, not kept yet; it has a quadratic kappa if the classes
        are ordered and it is defined. And (N,) the loss of each val image after the temperature.
    """
    inputs, trainer, world = session.inputs, session.trainer, session.world
    epoch, stop_request = progress.epoch, session.stop_request
    show = _show_rate(epoch, advance)
    start, worked = time.perf_counter(), time.process_time()
    for module in {session.network, session.weights}:
        world.copy_buffers(module)
    classifier = inputs.build_evaluated(session.weights)
    targets, probabilities = predict_split(
        classifier, inputs.val, trainer.compute, show, sliced=True
    )
    seconds = time.perf_counter() - start
    # Beside other processes a pass on the CPU takes longer than the processor works for it.
    worked = max(1e-3, time.process_time() - worked)
    slowness = seconds / worked if trainer.compute.device.type == "cpu" else 1.0
    seconds, slowness = world.from_first((seconds, slowness))
    stop_request.time_limit.keep_for_the_end(seconds, slowness)
    if not np.isfinite(probabilities).all():  # the epoch's last step has broken the weights
        trainer.stop_not_finite(epoch)
    scores = validation_metrics(targets, probabilities, ordered=ordered)
    # The other processes take the first one's row; each of them would need as long for its own.
    temperature = fit_careful_temperature(targets, probabilities) if world.is_first else 1.0
    losses = log_losses(targets, apply_temperature(probabilities, temperature))
    row: Row = {
        "epoch": epoch,
        "seconds": round(progress.seconds + seconds, 3),
        "images_per_second": round(progress.images / max(1e-9, progress.seconds), 1),
        "lr": progress.lr or trainer.lr,
        "train_loss": progress.loss,
        "train_accuracy": progress.accuracy,
        "val_loss": log_loss(targets, probabilities),
        CALIBRATED_LOSS: float(losses.mean()),
        **{f"val_{name}": value for name, value in scores.items()},
        "temperature": temperature,
        "kept": 0,
        "stage": "head" if session.plan.backbone_is_fixed else "all",
        "threads": session.threads.now,
    }
    return world.from_first((row, losses))  # rank 0 has the sums over all processes


def _save_epoch(
    session: Session, epoch: int, row: Row, losses: Array, run: PreparedRun, reporter: Reporter
) -> bool:
    """Save the weights that are to stay, then all that is needed to resume, then ``metrics.csv``.

    Returns:
        Whether the epoch is kept as the best so far.
    """
    is_best = keep_if_best(session, row, losses)
    plateau = session.plateau
    monitored = row.get(session.early_stopping.monitor, -math.inf)
    if plateau is not None and plateau.update(monitored):
        reporter.note(f"no better for a while: lr times {plateau.factor:g}")
    if session.world.is_first:
        freeze = session.plan.unfreezing.at(epoch)
        checkpoint = complete(run, row, freeze)
        if is_best:
            save_checkpoint(session.run_dir / BEST_FILE, session.weights, checkpoint)
        keep_epoch(session, run.config.keep_every, checkpoint)
    session.epoch = epoch
    session.history.append(row)
    if not _is_over(session, run.config.epochs):
        session.threads.look_again(session.history.rows, session.inputs, reporter)
    session.save()
    session.write_history()
    return is_best


def _report_early_end(session: Session, reporter: Reporter) -> None:
    """Report that the run ends before its last epoch, if it does, and why."""
    if session.early_stopping.should_stop:
        patience = session.early_stopping.patience
        reporter.note(f"stopped: {count_of(patience, 'epoch')} without a better one")
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
