"""The picture of a learning-rate range test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from cnncli.plots.figure import DPI, save_figure

# Okabe and Ito's, as in the other pictures.
_CURVE, _MARKS = "#0072B2", ("#D55E00", "#009E73")
# The smoothed loss runs away to four times its lowest; single steps go beyond.
_HEADROOM = 1.25


def save_range_test(
    path: Path,
    lrs: Sequence[float],
    losses: Sequence[float],
    smoothed: Sequence[float],
    marks: Mapping[str, float],
) -> None:
    """Draw loss against learning rate, the latter on a log axis.

    Args:
        path: A PNG or JPEG to write, in a folder that exists.
        lrs: (S,) above 0, rising.
        losses: (S,) of each step, in nats.
        smoothed: (S,) likewise.
        marks: Learning rates to mark by a vertical line, by what they are; at most two.

    Raises:
        OSError: The file cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 4.4), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    axes.plot(lrs, losses, ".", color="0.7", markersize=4, label="each step")
    axes.plot(lrs, smoothed, color=_CURVE, linewidth=1.8, label="smoothed")
    for (name, lr), colour in zip(marks.items(), _MARKS, strict=False):
        axes.axvline(lr, color=colour, linestyle="--", linewidth=1.5, label=f"{name}: {lr:.3g}")
    axes.set_xscale("log")
    # The usual powers of ten are mathtext, which pictures here do without.
    axes.xaxis.set_major_formatter(lambda value, place: f"{value:g}")
    # Once the loss has run away, its last step would press the rest flat.
    start = max(smoothed[0], losses[0])
    low, high = min(*losses, *smoothed), max(_HEADROOM * start, 1e-6)
    axes.set_ylim(max(0.0, low - 0.1 * (high - low)), high)
    axes.set_title("Learning-rate range test")
    axes.set_xlabel("learning rate")
    axes.set_ylabel("mean loss per image (nats)")
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=True, framealpha=0.85, edgecolor="0.85")
    save_figure(figure, path)
