"""A fitted head in its run: its row of ``metrics.csv``, its checkpoint, its part in the end.

The fit is row 0. It is kept as the best until an epoch is better on val, so that val decides
between the head alone and the whole network.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from cnncli.files import BEST_FILE
from cnncli.reporting import Reporter
from cnncli.run.epoch_lines import report_epoch
from cnncli.run.epochs import validate
from cnncli.run.fit_head import FittedHead
from cnncli.run.keep_epochs import complete, keep_epoch, keep_if_best
from cnncli.run.prepared_run import PreparedRun
from cnncli.run.unreadable import settle_unreadable
from cnncli.training.checkpoint import save_checkpoint
from cnncli.training.history import OnEpoch, Row
from cnncli.training.progress import Progress
from cnncli.training.session import Session

# The policy by which the weights of a checkpoint with a fitted head were trained.
_POLICY = "backbone"


def keep_fit(
    session: Session,
    run: PreparedRun,
    fitted: FittedHead,
    reporter: Reporter,
    *,
    advance: Callable[[int, str], None],
    on_epoch: OnEpoch | None = None,
) -> PreparedRun:
    """Validate a network whose head was fitted, and save it as the best so far.

    Args:
        session: The state of the training, before its first step.
        run: The images and settings.
        fitted: What the fit gave.
        reporter: Gets a line.
        advance: Called with the number of images done and a text for the progress bar.
        on_epoch: Called with the row of ``metrics.csv``.

    Returns:
        The run, without the images that could not be read and were left out.

    Raises:
        CnncliError: If an image cannot be read, or a file cannot be written.
    """
    images = fitted.images
    progress = Progress(
        0,
        images=images,
        seconds=fitted.seconds,
        loss_sum=torch.tensor(fitted.loss * images, dtype=torch.float64),
        correct=torch.tensor(fitted.accuracy * images, dtype=torch.float64),
    )
    ordered = run.samples.ordered
    row, losses = validate(session, progress, advance, ordered=ordered)
    row |= {"lr": 0.0, "stage": "head"}
    run = settle_unreadable(session, run, reporter)
    keep_if_best(session, row, losses)
    session.history.append(row)
    session.save()
    restore_fit(session, run)
    session.write_history()
    report_epoch(row, run.config.epochs, reporter, is_best=True)
    if on_epoch is not None:
        on_epoch(row)
    return run


def restore_fit(session: Session, run: PreparedRun) -> None:
    """Write the fitted head's checkpoints where the process ended before they were written."""
    if session.epoch or not session.history.rows or not session.world.is_first:
        return
    checkpoint = complete(run, session.history.rows[0], _POLICY)
    if not (session.run_dir / BEST_FILE).exists():
        save_checkpoint(session.run_dir / BEST_FILE, session.weights, checkpoint)
    keep_epoch(session, run.config.keep_every, checkpoint)


def report_choice(rows: list[Row], best: Row, monitor: str, reporter: Reporter) -> None:
    """Report which of the two stages val has chosen.

    Args:
        rows: All rows of ``metrics.csv``; that of the fit is the first.
        best: The row that was chosen.
        monitor: The column that decided.
        reporter: Gets the line.
    """
    later = [row for row in rows if row["epoch"]]
    if not later:
        return
    head = f"head alone {rows[0][monitor]:.4f}"
    if best["epoch"]:
        whole = f"after epoch {best['epoch']} {best[monitor]:.4f}"
        reporter.note(f"kept: the network trained on; {monitor} {whole}, {head}")
        return
    values = [row[monitor] for row in later]
    nearest = min(values) if monitor.endswith("loss") else max(values)
    reporter.note(f"kept: the fitted head; {monitor} {head}, at best {nearest:.4f} after epochs")
