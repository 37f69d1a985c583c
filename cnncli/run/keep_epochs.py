"""Which epochs of a run are kept, and with what their weights are saved."""

from __future__ import annotations

from dataclasses import replace

from cnncli.arrays import Array
from cnncli.files import BEST_FILE, make_output_folder
from cnncli.run.prepared_run import PreparedRun
from cnncli.training.checkpoint import Checkpoint, epoch_path, save_checkpoint
from cnncli.training.history import CALIBRATED_LOSS, Row
from cnncli.training.progress import Progress
from cnncli.training.session import Session


def keep_if_best(session: Session, row: Row, losses: Array) -> bool:
    """Return whether an epoch is to be kept as the best so far, and write that into its row.

    Args:
        session: The state of the training, which moves on.
        row: The epoch's row of ``metrics.csv``.
        losses: (N,) the loss of each val image after the temperature.
    """
    stopping = session.early_stopping
    # A fitted head is at its best already: the network trained on has to be better than it.
    has_fit = any(known["epoch"] == 0 for known in (*session.history.rows, row))
    goes_by_image = stopping.monitor == CALIBRATED_LOSS and not has_fit
    is_best = stopping.update(row, losses.tolist() if goes_by_image else None)
    row["kept"] = int(is_best)
    return is_best


def complete(run: PreparedRun, row: Row, freeze: str) -> Checkpoint:
    """Return what an epoch's weights are saved with.

    Args:
        run: The run's settings.
        row: The epoch's row of ``metrics.csv``.
        freeze: The freeze policy of the epoch.
    """
    temperature = row["temperature"] if run.config.calibrate == "temperature" else 1.0
    epoch = int(row["epoch"])
    return replace(run.checkpoint, freeze=freeze, epoch=epoch, metrics=row, temperature=temperature)


def keep_epoch(session: Session, keep_every: int | None, checkpoint: Checkpoint) -> None:
    """Keep the weights as they are now, if they are those of an epoch that is to be kept.

    Args:
        session: The state of the training.
        keep_every: Number of epochs from one kept epoch to the next; None keeps none.
        checkpoint: What the weights are saved with; its epoch is 0 before the first step.
    """
    if keep_every is None or checkpoint.epoch % keep_every or not session.world.is_first:
        return
    path = epoch_path(session.run_dir, checkpoint.epoch)
    make_output_folder(str(path.parent))
    save_checkpoint(path, session.weights, checkpoint)


def keep_first_epoch(session: Session, progress: Progress, row: Row, run: PreparedRun) -> None:
    """Keep what epoch 1 has trained, though images are missing; a resumed run validates it anew.

    Args:
        session: The state of the training.
        progress: The epoch's progress, with all batches done.
        row: The epoch's row of ``metrics.csv``, from the images that could be read.
        run: The run's settings.
    """
    row["kept"] = 1
    session.save(progress)
    if session.world.is_first:
        best = complete(run, row, session.plan.unfreezing.at(1))
        save_checkpoint(session.run_dir / BEST_FILE, session.weights, best)
    session.history.append(row)
    session.write_history()
