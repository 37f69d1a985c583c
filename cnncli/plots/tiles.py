"""Pictures of many small maps side by side: filters, activations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnncli.arrays import Array
from cnncli.plots.figure import DPI, save_figure
from cnncli.plots.lettering import drawable_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Signed values: blue below zero, white at zero, red above; colour-blind readers tell them apart.
SIGNED = "RdBu_r"
# Values without a sign.
POSITIVE = "viridis"

_WIDTH = 8.0  # of a picture in inches: about the width of a page
_MOST_TILES = 256


@dataclass(frozen=True)
class TileGroup:
    """Maps that are drawn as one block of tiles with a title above it.

    Attributes:
        title: One line above the tiles.
        tiles: (N, h, w) floats, or (N, h, w, 3) floats from 0 to 1 as colours.
        numbers: (N,) number that is written above each tile; empty for none.
        limits: The values at the two ends of the colours; ignored for colours. Both equal in size
            and of opposite sign give the colours of signed values.
    """

    title: str
    tiles: Array
    numbers: Sequence[int] = ()
    limits: tuple[float, float] = (0.0, 1.0)


def save_tiles(
    path: Path, groups: Sequence[TileGroup], *, columns: int | None = None, note: str = ""
) -> None:
    """Draw groups of tiles, one below the other, each with its own colour bar.

    Args:
        path: PNG or JPEG file to write, in a folder that exists.
        groups: At least one group of at least one tile.
        columns: Tiles in a row; None chooses by the number of tiles.
        note: A line under the picture; empty for none.

    Raises:
        OSError: If the file cannot be written.
    """
    from matplotlib.figure import Figure

    grids = [columns or _choose_columns(len(group.tiles)) for group in groups]
    blocks = [
        _WIDTH / grid * math.ceil(len(group.tiles) / grid) * group.tiles.shape[1]
        / group.tiles.shape[2] + 0.45
        for group, grid in zip(groups, grids, strict=True)
    ]  # fmt: skip
    figure = Figure(figsize=(_WIDTH, sum(blocks)), dpi=DPI, layout="constrained")
    parts: Any = figure.subfigures(len(groups), 1, squeeze=False, height_ratios=blocks)
    for part, group, grid in zip(parts[:, 0], groups, grids, strict=True):
        _draw_group(part, group, grid)
    if note:
        figure.supxlabel(note, fontsize=8)
    save_figure(figure, path)


def _choose_columns(count: int) -> int:
    return min(count, 16 if count > 64 else 12 if count > 24 else 8)


def _draw_group(part: Any, group: TileGroup, columns: int) -> None:
    rows = math.ceil(len(group.tiles) / columns)
    title = drawable_names([group.title], 110)[0][0]
    part.suptitle(title, fontsize=10, x=0.01, ha="left")
    grid = part.subplots(rows, columns, squeeze=False, gridspec_kw={"wspace": 0.05, "hspace": 0.05})
    signed = group.limits[0] < 0
    shown: Any = None
    for place, axes in enumerate(grid.flat):
        axes.set_axis_off()
        if place >= len(group.tiles):
            continue
        shown = draw_tile(axes, group.tiles[place], group.limits)
        if group.numbers:
            axes.set_title(str(group.numbers[place]), fontsize=7, pad=1.5)
    if group.tiles.ndim == 3:
        bar = part.colorbar(shown, ax=list(grid.flat), fraction=0.03, pad=0.01, aspect=30)
        bar.ax.tick_params(labelsize=7)
        if signed:
            bar.set_ticks([group.limits[0], 0, group.limits[1]])
        bar.ax.yaxis.set_major_formatter(lambda value, place: f"{value:.3g}")


def draw_tile(axes: Axes, tile: Array, limits: tuple[float, float]) -> Any:
    """Draw a map (h, w), or colours (h, w, 3), into axes; return matplotlib's image of it."""
    small = max(tile.shape[:2]) < 64
    way = "nearest" if small else "antialiased"
    if tile.ndim == 3:
        return axes.imshow(np.clip(tile, 0, 1), interpolation=way)
    colours = SIGNED if limits[0] < 0 else POSITIVE
    return axes.imshow(tile, cmap=colours, vmin=limits[0], vmax=limits[1], interpolation=way)
