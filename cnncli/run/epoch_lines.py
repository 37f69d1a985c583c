"""The line of an epoch, as it is told while a run trains."""

from __future__ import annotations

from cnncli.reporting import Reporter
from cnncli.training.history import CALIBRATED_LOSS, Row

# Columns of the lines of epochs, in the order in which they go on a narrow terminal: 79 cells have
# room for all but the first two, and with the calibrated loss for all but the first three.
_LESS_VALUABLE = ("images/s", "lr", "train acc", "time", "macro F1", "train loss")


def report_epoch(row: Row, epochs: int, reporter: Reporter, *, is_best: bool) -> None:
    """Report a row of ``metrics.csv``.

    Args:
        row: The row.
        epochs: Number of epochs that are planned.
        reporter: Gets it as a line of text, or as cells below those of the rows before it.
        is_best: Whether it is the best so far.
    """
    text = _describe_epoch(row, epochs, is_best=is_best)
    reporter.row(_epoch_cells(row, epochs, is_best=is_best), text, drop=_LESS_VALUABLE)


def report_temperature(best: Row, reporter: Reporter) -> None:
    """Report the temperature of the epoch that is kept, if it changes anything.

    Args:
        best: The epoch's row of ``metrics.csv``.
        reporter: Gets the line.
    """
    if best["temperature"] > 1:
        reporter.note(
            f"a temperature of {best['temperature']:.3g}, fitted on val, makes the network less "
            f"sure: val loss {best[CALIBRATED_LOSS]:.4f}, without it {best['val_loss']:.4f}"
        )


def _describe_epoch(row: Row, epochs: int, *, is_best: bool) -> str:
    calibrated = f"(calibrated {row[CALIBRATED_LOSS]:.4f}) " if row["temperature"] != 1 else ""
    return (
        f"epoch {row['epoch']:>3}/{epochs}  {row['seconds']:6.1f} s  "
        f"train loss {row['train_loss']:.4f} accuracy {row['train_accuracy']:.4f}  "
        f"val loss {row['val_loss']:.4f} {calibrated}accuracy {row['val_accuracy']:.4f} "
        f"macro F1 {row['val_macro_f1']:.4f}{'  kept' if is_best else ''}"
    )


def _epoch_cells(row: Row, epochs: int, *, is_best: bool) -> dict[str, str]:
    """Return an epoch's cells as they stand in a table; the best so far is marked.

    The calibrated loss is among them where it is another one than the loss.
    """
    calibrated = {"calibrated": f"{row[CALIBRATED_LOSS]:.4f}"} if row["temperature"] != 1 else {}
    return {
        "epoch": f"{row['epoch']:>{len(str(epochs))}}/{epochs}",
        "time": f"{row['seconds']:6,.1f} s",
        "images/s": f"{row['images_per_second']:8,.0f}",
        "lr": f"{row['lr']:<8.3g}",
        "train loss": f"{row['train_loss']:.4f}",
        "train acc": f"{row['train_accuracy']:.4f}",
        "val loss": f"{row['val_loss']:.4f}",
        **calibrated,
        "val acc": f"{row['val_accuracy']:.4f}",
        "macro F1": f"{row['val_macro_f1']:.4f}",
        "": "kept" if is_best else "",
    }
