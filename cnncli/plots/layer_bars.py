"""The picture of a share for each layer of a network, from the input down to the output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnncli.plots.figure import DPI, save_figure
from cnncli.plots.lettering import drawable_text

# Okabe and Ito.
_MAIN, _OTHER = "#D55E00", "#56B4E9"
_LONGEST = 44  # most letters in the name of a layer
_WIDTH = 8.0  # in inches
_TALLEST = 16.0  # of all bars together, in inches


@dataclass(frozen=True)
class LayerBar:
    """A layer's bar.

    Attributes:
        name: What stands at its left.
        share: Its length, from 0 to 1.
        text: What stands at its right.
        is_main: Whether it shows what the picture is about; others have another colour.
    """

    name: str
    share: float
    text: str
    is_main: bool = True


def save_layer_bars(
    path: Path,
    bars: Sequence[LayerBar],
    *,
    title: str,
    main: str,
    other: str,
    note: str,
) -> None:
    """Draw a bar from 0 to 100 % for each layer, the first layer at the top.

    Args:
        path: PNG or JPEG file to write, in a folder that exists.
        bars: At least one bar.
        title: Line above the picture.
        main: What the main bars show, for the legend.
        other: What the others show.
        note: Text under the picture, line by line.

    Raises:
        OSError: If the file cannot be written.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    step = min(0.24, _TALLEST / len(bars))
    size = max(4.0, min(9.0, 72 * step * 0.62))
    figure = Figure(figsize=(_WIDTH, step * len(bars) + 1.5), dpi=DPI, layout="constrained")
    axes: Any = figure.subplots()
    places = range(len(bars))
    colours = [_MAIN if bar.is_main else _OTHER for bar in bars]
    axes.barh(places, [100 * bar.share for bar in bars], color=colours, height=0.75)
    names = [drawable_text(bar.name, _LONGEST) for bar in bars]
    axes.set_yticks(places, labels=names, fontsize=size)
    for place, bar in enumerate(bars):
        axes.text(100 * bar.share + 1, place, bar.text, fontsize=size, va="center", clip_on=False)
    axes.set_xlim(0, 100)
    axes.set_ylim(len(bars) - 0.5, -0.5)
    axes.xaxis.set_major_formatter(lambda value, place: f"{value:.0f} %")
    axes.tick_params(axis="x", labelsize=9)
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(drawable_text(title, 100), fontsize=11, loc="left")
    kinds = {bar.is_main for bar in bars}
    legend = [(_MAIN, main)] * (True in kinds) + [(_OTHER, other)] * (False in kinds)
    legend += [("white", line) for line in note.splitlines()]
    patches = [Patch(color=colour, label=text) for colour, text in legend]
    figure.legend(handles=patches, loc="outside lower left", fontsize=9, frameon=False)
    save_figure(figure, path)
