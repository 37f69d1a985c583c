"""The picture of several runs' learning curves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from cnncli.plots.figure import DPI, save_figure
from cnncli.plots.lettering import drawable_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The colours of Okabe and Ito, which colour-blind readers can distinguish, without yellow, which is
# too pale for a line.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
# Column of metrics.csv, title and unit of each panel.
PANELS = (
    ("train_loss", "Train loss", "mean loss per image (nats)"),
    ("val_loss", "Val loss", ""),
    ("val_accuracy", "Val accuracy", "fraction (0–1)"),
)
LONGEST_LABEL = 90  # characters
# The axis of the losses ends at this many times the highest loss of the median run, so that a run
# that diverges does not make all others look flat.
_HIGHEST = 4


@dataclass(frozen=True)
class RunCurves:
    """The learning curves of one run.

    Attributes:
        label: Name of the run in the legend.
        history: Rows of ``metrics.csv``, one for each epoch; NaN makes a gap in a curve.
        best_epoch: Epoch that is marked by a ring; None for no ring.
    """

    label: str
    history: Sequence[Mapping[str, float]]
    best_epoch: int | None


_LINE = 0.21  # height of a line of the legend in inches


def save_comparison(path: Path, runs: Sequence[RunCurves]) -> None:
    """Draw train loss, val loss and val accuracy of runs, with a ring at each run's best epoch.

    Args:
        path: PNG or JPEG file to write, in a folder that exists.
        runs: At least one run, each with at least one epoch.

    Raises:
        OSError: If the file cannot be written.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    labels = [drawable_text(run.label, LONGEST_LABEL) for run in runs]
    columns = max(1, min(4, 130 // (8 + max(map(len, labels)))))
    lines = -(-(len(runs) + 1) // columns)  # of the legend
    height = 4.4 + _LINE * max(0, lines - 3)
    figure = Figure(figsize=(14, height), dpi=DPI, layout="constrained")
    panels = figure.subplots(1, len(PANELS))
    panels[1].sharey(panels[0])  # so that the gap between train and val can be seen
    colours = _colours(len(runs))
    for axes, (column, title, unit) in zip(panels, PANELS, strict=True):
        for run, colour, label in zip(runs, colours, labels, strict=True):
            _draw(axes, run, column, colour, label)
        axes.set_title(title)
        axes.set_ylabel(unit)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(color="0.9")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylim(*_loss_range(runs))
    lowest = min(_values(runs, "val_accuracy"), default=0.0)
    # Where all accuracies are near 1, the last few percent matter.
    panels[2].set_ylim(max(0.0, lowest - 0.1 * (1 - lowest) - 0.02), 1.01)
    handles, texts = panels[1].get_legend_handles_labels()
    handles.append(panels[1].plot([], [], **_ring("0.3"), linestyle="")[0])
    figure.legend(
        handles,
        [*texts, "best epoch"],
        loc="outside lower center",
        ncols=columns,
        frameon=False,
    )
    save_figure(figure, path)


def _colours(count: int) -> list[str]:
    if count <= len(COLOURS):
        return list(COLOURS[:count])
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    # Many colours cannot be distinguished, but their order can be seen, from dark to pale.
    return [to_hex(colormaps["viridis"](0.93 * place / (count - 1))) for place in range(count)]


def _draw(axes: Axes, run: RunCurves, column: str, colour: str, label: str) -> None:
    epochs = [row["epoch"] for row in run.history]
    values = [row.get(column, math.nan) for row in run.history]
    # A single epoch has no line, so points are drawn too.
    marker = "o" if len(epochs) <= 30 else ""
    axes.plot(epochs, values, color=colour, label=label, marker=marker, markersize=3)
    if run.best_epoch in epochs:
        value = values[epochs.index(run.best_epoch)]
        axes.plot([run.best_epoch], [value], **_ring(colour), linestyle="")


def _ring(colour: str) -> dict[str, Any]:
    return {
        "marker": "o",
        "markersize": 9,
        "markerfacecolor": "none",
        "markeredgecolor": colour,
        "markeredgewidth": 1.8,
        "zorder": 5,
    }


def _values(runs: Sequence[RunCurves], column: str) -> list[float]:
    values = (row.get(column, math.nan) for run in runs for row in run.history)
    return [value for value in values if math.isfinite(value)]


def _loss_range(runs: Sequence[RunCurves]) -> tuple[float, float]:
    """Return the first and the last loss on the axis; see ``_HIGHEST``."""
    losses = [_values([run], "train_loss") + _values([run], "val_loss") for run in runs]
    highest = [max(values) for values in losses if values]
    if not highest:
        return 0.0, 1.0
    top = min(max(highest), _HIGHEST * median(highest))
    return min(0.0, *(min(values) for values in losses if values)), 1.05 * top or 1.0
