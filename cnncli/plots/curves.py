"""The picture of a run's learning curves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnncli.plots.figure import DPI, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from cnncli.evaluation.metrics import FloatArray

# Column of metrics.csv, name in the legend, colour and line style of each line. The colours are
# those of Okabe and Ito, which colour-blind readers can distinguish.
LOSS_LINES = (
    ("train_loss", "train", "#0072B2", "-"),
    ("val_loss", "val", "#D55E00", "-"),
    ("val_calibrated_loss", "val, calibrated", "#009E73", "--"),
)
ACCURACY_LINES = (
    ("train_accuracy", "train accuracy", "#0072B2", "-"),
    ("val_accuracy", "val accuracy", "#D55E00", "-"),
    ("val_macro_f1", "val macro F1", "#009E73", "--"),
)


def save_curves(
    path: Path, history: Sequence[Mapping[str, Any]], *, best_epoch: int | None = None
) -> None:
    """Draw the losses (left) and the accuracies (right) of each epoch into a PNG.

    The loss after the temperature, by which the kept epoch is chosen, is drawn where it is another.

    Args:
        path: PNG or JPEG file to write, in a folder that exists.
        history: Rows of ``metrics.csv``, one for each epoch, at least one. A value that is absent,
            None, empty or not finite makes a gap in its line.
        best_epoch: Epoch that is kept, marked by a vertical line; None for no line.

    Raises:
        OSError: If the file cannot be written.
    """
    from matplotlib.figure import Figure

    if not history:
        raise ValueError("no epoch to draw")
    figure = Figure(figsize=(11, 4.2), dpi=DPI, layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = _column(history, "epoch")
    is_calibrated = has_calibrated_loss(history)
    losses = _draw_lines(left, epochs, history, LOSS_LINES if is_calibrated else LOSS_LINES[:2])
    left.set_title("Loss")
    left.set_ylabel("mean loss per image (nats)")
    if len(losses) and losses.min() >= 0:
        left.set_ylim(0, 1.06 * losses.max() or 1)
    fractions = _draw_lines(right, epochs, history, ACCURACY_LINES)
    right.set_title("Accuracy and macro F1")
    right.set_ylabel("fraction (0–1)")
    # Where all values are near 1, the last few percent matter, so the axis begins below the lowest
    # value. A single epoch gets the whole axis.
    worst = fractions.min() if len(fractions) and len(history) > 1 else 0.0
    low = max(0.0, worst - 0.15 * (1 - worst) - 0.03)
    right.set_ylim(low, 1 + 0.03 * (1 - low))
    right.set_yticks([tick for tick in right.get_yticks() if low <= tick < 1 + 1e-9])
    for axes in (left, right):
        _finish_epochs(axes, epochs, best_epoch)
    save_figure(figure, path)


def has_calibrated_loss(history: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether the loss after the temperature is anywhere another one than the loss.

    Args:
        history: Rows of ``metrics.csv``; runs of earlier versions have no such column.
    """
    before, after = (_column(history, name) for name in ("val_loss", "val_calibrated_loss"))
    return bool((np.isfinite(after) & (after != before)).any())


def _column(history: Sequence[Mapping[str, Any]], name: str) -> FloatArray:
    """Return the values of a column (epochs,), NaN where there is no finite number."""
    values = np.full(len(history), np.nan)
    for index, row in enumerate(history):
        value = row.get(name)
        if value is not None and value != "" and math.isfinite(float(value)):
            values[index] = float(value)
    return values


def _draw_lines(
    axes: Axes,
    epochs: FloatArray,
    history: Sequence[Mapping[str, Any]],
    lines: Sequence[tuple[str, str, str, str]],
) -> FloatArray:
    """Draw a line for each column that has values, and return all these values (values,)."""
    drawn = []
    marker_size = 5 if len(history) <= 30 else 0
    for name, label, color, style in lines:
        values = _column(history, name)
        known = np.isfinite(values) & np.isfinite(epochs)
        if known.any():
            # A value between two gaps has no line, so it needs a marker to be seen.
            alone = known & ~np.append(known[1:], False) & ~np.insert(known[:-1], 0, False)
            axes.plot(
                epochs,
                values,
                color=color,
                linestyle=style,
                label=label,
                marker="o",
                markersize=marker_size or 3,
                markevery=None if marker_size else np.flatnonzero(alone).tolist(),
            )
            drawn.append(values[known])
    return np.concatenate(drawn) if drawn else np.empty(0)


def _finish_epochs(axes: Axes, epochs: FloatArray, best_epoch: int | None) -> None:
    from matplotlib.ticker import MaxNLocator

    if best_epoch is not None:
        axes.axvline(
            best_epoch, color="0.4", linestyle=":", linewidth=1.5, label=f"kept epoch: {best_epoch}"
        )
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    first, last = np.nanmin(epochs), np.nanmax(epochs)
    margin = max(0.5, 0.02 * (last - first))
    axes.set_xlim(first - margin, last + margin)
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=True, framealpha=0.85, edgecolor="0.85")
