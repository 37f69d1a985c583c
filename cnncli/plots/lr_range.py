"""The picture of a learning-rate range test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from cnncli.plots.figure import DPI, save_figure

# The colours of Okabe and Ito, as in the other pictures.
_CURVE, _MARKS = "#0072B2", ("#D55E00", "#009E73")
# The axis ends at this many times the first loss. Losses behind it are cut off, because the test
# goes on until the smoothed loss is four times its lowest value.
_HEADROOM = 1.25


def save_range_test(
    path: Path,
    lrs: Sequence[float],
    losses: Sequence[float],
    smoothed: Sequence[float],
    marks: Mapping[str, float],
) -> None:
    """Draw the loss against the learning rate, which is on a logarithmic axis.

    Args:
        path: PNG or JPEG file to write, in a folder that exists.
        lrs: (S,) learning rate of each step, above 0 and rising.
        losses: (S,) loss of each step, in nats.
        smoothed: (S,) smoothed loss at each step, in nats.
        marks: Names and values of learning rates that are marked by a vertical line, at most two.

    Raises:
        OSError: If the file cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 4.4), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    axes.plot(lrs, losses, ".", color="0.7", markersize=4, label="each step")
    axes.plot(lrs, smoothed, color=_CURVE, linewidth=1.8, label="smoothed")
    for (name, lr), colour in zip(marks.items(), _MARKS, strict=False):
        axes.axvline(lr, color=colour, linestyle="--", linewidth=1.5, label=f"{name}: {lr:.3g}")
    axes.set_xscale("log")
    # matplotlib writes powers of ten as formulas, which `use_plain_text` turns off.
    axes.xaxis.set_major_formatter(lambda value, place: f"{value:g}")
    # The last, very high losses would make the rest look flat.
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
