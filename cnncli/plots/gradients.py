"""The picture of the gradient's size over the depth of a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnncli.plots.figure import DPI, save_figure
from cnncli.plots.lettering import drawable_text

# Okabe and Ito; the marks differ too.
_STYLES = (("#0072B2", "o", "x"), ("#D55E00", "s", "+"))
_MOST_NAMES = 24  # names of layers below the axis
_LONGEST = 32  # most letters in the name of a layer


def save_gradients(
    path: Path,
    layers: Sequence[str],
    curves: Mapping[str, Sequence[float | None]],
    *,
    title: str,
    note: str,
) -> None:
    """Draw the size of the gradient layer by layer, on a logarithmic scale.

    Args:
        path: PNG or JPEG file to write, in a folder that exists.
        layers: Names of L layers, from the input to the output.
        curves: One or two, by what they show: L sizes each; None for a layer without a gradient.
            A size of exactly zero stands as a cross at the lower edge.
        title: Line above the picture.
        note: Text under the picture; empty for none.

    Raises:
        OSError: If the file cannot be written.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator

    figure = Figure(figsize=(8.0, 4.6), dpi=DPI, layout="constrained")
    axes: Any = figure.subplots()
    sizes = [size for curve in curves.values() for size in curve if size]
    lowest = min(sizes, default=1.0) / 3
    for (name, curve), (colour, mark, zero) in zip(curves.items(), _STYLES, strict=False):
        drawn = [(place, size) for place, size in enumerate(curve) if size is not None]
        some = [(place, size) for place, size in drawn if size > 0]
        none = [place for place, size in drawn if size == 0]
        style = {"color": colour, "marker": mark, "markersize": 5, "linewidth": 1.8}
        axes.plot(*zip(*some, strict=True) if some else ([], []), label=name, **style)
        if none:  # the marks of two curves lie on each other
            label = f"{name}: exactly 0"
            axes.plot(none, [lowest] * len(none), zero, color=colour, label=label, markersize=8)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda value, place: f"{value:.0e}")
    axes.yaxis.set_minor_formatter("")
    if max(sizes, default=1.0) < 100 * min(sizes, default=1.0):  # with few powers of ten between
        axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
        axes.yaxis.set_minor_formatter(lambda value, place: f"{value:.0e}")
    every = max(1, -(-len(layers) // _MOST_NAMES))
    places = list(range(0, len(layers), every))
    names = [drawable_text(layers[place], _LONGEST) for place in places]
    axes.set_xticks(places, labels=names, rotation=90, fontsize=7)
    axes.set_xlim(-0.5, len(layers) - 0.5)
    axes.set_xlabel("layer, from the input to the output", fontsize=9)
    axes.set_ylabel("RMS of the gradient\nof the layer's weights", fontsize=9)
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
    axes.set_title(drawable_text(title, 100), fontsize=11, loc="left")
    figure.legend(loc="outside lower left", fontsize=9, frameon=False, ncols=2, title=note or None,
                  title_fontsize=9, alignment="left")  # fmt: skip
    save_figure(figure, path)
