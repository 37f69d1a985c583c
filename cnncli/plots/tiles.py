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
from cnncli.plots.lettering import drawable_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Signed values: blue below zero, white at zero, red above; colour-blind readers tell them apart.
SIGNED = "RdBu_r"
# Values without a sign.
POSITIVE = "viridis"

# In inches.
_WIDTH = 8.0  # of a picture: about the width of a page
_BAR = 0.75  # for the colour bar and its numbers
_NAMES = 0.85  # for the names of the rows
_LINE = 0.16  # a line of small letters
_TITLE = 0.3
_GAP = 0.05  # between tiles
_BETWEEN = 0.12  # between groups
_LARGEST = 3.0  # height of a tile
_SMALL = 7  # size of small letters in points
_LETTERS = 110  # most letters in a title


@dataclass(frozen=True)
class TileGroup:
    """Maps that are drawn as one block of tiles with a title above it.

    Attributes:
        title: One line above the tiles.
        tiles: (N, h, w) floats, NaN for white; or (N, h, w, 3) floats from 0 to 1 as colours.
        numbers: (N,) numbers or short words that are written above each tile; empty for none.
        limits: The values at the two ends of the colours; ignored for colours. A lower end below
            zero gives the colours of signed values.
        clipped: Whether some values lie beyond the limits; the colour bar says so.
        columns: Tiles in a row; None chooses by their number.
        row_names: A name for each row of tiles, at its left; empty for none.
        column_names: A name for each column of tiles, above it; empty for none.
    """

    title: str
    tiles: Array
    numbers: Sequence[int | str] = ()
    limits: tuple[float, float] = (0.0, 1.0)
    clipped: bool = False
    columns: int | None = None
    row_names: Sequence[str] = ()
    column_names: Sequence[str] = ()


@dataclass(frozen=True)
class _Layout:
    """Where the tiles of a group stand, in inches from the group's left upper corner."""

    columns: int
    rows: int
    left: float
    top: float
    width: float  # of a tile
    height: float  # of a tile
    step: float  # from row to row

    @property
    def bottom(self) -> float:
        return self.top + self.rows * self.step - _GAP

    def corner(self, place: int) -> tuple[float, float]:
        """Return the left and upper edge of a tile."""
        row, column = divmod(place, self.columns)
        return self.left + column * (self.width + _GAP), self.top + row * self.step


def save_tiles(
    path: Path, groups: Sequence[TileGroup], *, columns: int | None = None, note: str = ""
) -> None:
    """Draw groups of tiles, one below the other, each with its own colour bar.

    Args:
        path: PNG or JPEG file to write, in a folder that exists.
        groups: At least one group of at least one tile.
        columns: Tiles in a row, where a group does not say; None chooses by the number of tiles.
        note: Text under the picture, line by line; empty for none.

    Raises:
        OSError: If the file cannot be written.
    """
    from matplotlib.figure import Figure

    layouts = [_lay_out(group, columns) for group in groups]
    lines = len(note.splitlines())
    high = sum(layout.bottom + _BETWEEN for layout in layouts) + lines * _LINE
    figure = Figure(figsize=(_WIDTH, high), dpi=DPI)
    top = 0.0
    for group, layout in zip(groups, layouts, strict=True):
        _draw_group(figure, group, layout, top)
        top += layout.bottom + _BETWEEN
    if note:
        figure.text(0.005, 1 - top / high, note, fontsize=8, va="top", linespacing=1.3)
    save_figure(figure, path)


def _lay_out(group: TileGroup, columns: int | None) -> _Layout:
    count, tall, wide = group.tiles.shape[:3]
    columns = group.columns or columns or _choose_columns(count)
    left = _NAMES if group.row_names else 0.02
    bar = _BAR if group.tiles.ndim == 3 else 0.02
    width = (_WIDTH - left - bar - (columns - 1) * _GAP) / columns
    width = min(width, _LARGEST * max(1.0, wide / tall))
    height = min(width * tall / wide, _WIDTH)
    label = _LINE if group.numbers else 0.0
    top = _TITLE + label + (_LINE if group.column_names else 0.0)
    return _Layout(
        columns=columns,
        rows=math.ceil(count / columns),
        left=left,
        top=top,
        width=width,
        height=height,
        step=height + _GAP + label,
    )


def _choose_columns(count: int) -> int:
    return min(count, 16 if count > 64 else 12 if count > 24 else 8)


def _draw_group(figure: Figure, group: TileGroup, layout: _Layout, above: float) -> None:
    wide, high = figure.get_size_inches()

    def write(x: float, y: float, text: str, size: float, **options: Any) -> None:
        figure.text(x / wide, 1 - (above + y) / high, text, fontsize=size, **options)

    title = drawable_text(group.title, _LETTERS)
    write(0.02, _TITLE - 0.09, title, 10, va="baseline")
    right = layout.corner(layout.columns - 1)[0] + layout.width
    canvas = _paint(group, layout, right)
    tall = layout.bottom - layout.top
    box = (
        layout.left / wide,
        1 - (above + layout.bottom) / high,
        (right - layout.left) / wide,
        tall / high,
    )
    axes = figure.add_axes(box)
    axes.imshow(canvas, interpolation="nearest", aspect="auto")
    axes.set_axis_off()
    for place, number in enumerate(group.numbers[: len(group.tiles)]):
        x, y = layout.corner(place)
        write(x + layout.width / 2, y - 0.03, str(number), _SMALL, ha="center")
    for column, name in enumerate(group.column_names):
        x, y = layout.corner(column)
        write(x + layout.width / 2, y - 0.04, name, _SMALL, ha="center")
    for row, name in enumerate(group.row_names):
        _, y = layout.corner(row * layout.columns)
        write(layout.left - 0.06, y + layout.height / 2, name, _SMALL, ha="right", va="center")
    if group.tiles.ndim == 3:
        bar = (right + 0.1) / wide, box[1], 0.1 / wide, min(tall, 2.5) / high
        _draw_bar(figure, (bar[0], box[1] + box[3] - bar[3], *bar[2:]), group)


def _paint(group: TileGroup, layout: _Layout, right: float) -> Array:
    """Return the tiles of a group on white, (H, W, 3) uint8 in the pixels of the picture.

    One image is drawn much faster than hundreds of axes.
    """
    from PIL import Image

    size = (round((layout.bottom - layout.top) * DPI), round((right - layout.left) * DPI), 3)
    canvas = np.full(size, 255, np.uint8)
    wide, tall = max(1, round(layout.width * DPI)), max(1, round(layout.height * DPI))
    for place, tile in enumerate(group.tiles):
        picture = Image.fromarray(colour_map(tile, group.limits))
        grows = wide >= picture.width and tall >= picture.height
        way = Image.Resampling.NEAREST if grows else Image.Resampling.BOX
        x, y = layout.corner(place)
        row, column = round((y - layout.top) * DPI), round((x - layout.left) * DPI)
        part = canvas[row : row + tall, column : column + wide]
        part[:] = np.asarray(picture.resize((wide, tall), way))[: part.shape[0], : part.shape[1]]
    return canvas


def colour_map(tile: Array, limits: tuple[float, float]) -> Array:
    """Return a map (h, w), or colours (h, w, 3) from 0 to 1, as (h, w, 3) uint8; NaN is white."""
    import matplotlib

    if tile.ndim == 3:
        whole: Array = np.rint(255 * np.clip(tile, 0, 1)).astype(np.uint8)
        return whole
    low, high = limits
    colours = matplotlib.colormaps[SIGNED if low < 0 else POSITIVE]
    shares = (tile - low) / ((high - low) or 1.0)
    painted: Array = np.array(colours(np.nan_to_num(shares), bytes=True))[..., :3]
    painted[np.isnan(tile)] = 255
    return painted


def _draw_bar(figure: Figure, box: tuple[float, ...], group: TileGroup) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    low, high = group.limits
    colours = SIGNED if low < 0 else POSITIVE
    scale = ScalarMappable(Normalize(low, high if high > low else low + 1), colours)
    axes: Any = figure.add_axes(box)  # type: ignore[arg-type]
    bar = figure.colorbar(scale, cax=axes)
    bar.ax.tick_params(labelsize=_SMALL, length=2)
    ticks = [low, 0, high] if low < 0 < high else [low, high]
    names = [f"{tick:.3g}" for tick in ticks]
    if group.clipped:
        names[-1] = f"≥ {names[-1]}"
        names[0] = f"≤ {names[0]}" if low < 0 else names[0]
    bar.set_ticks(ticks, labels=names)


def draw_tile(axes: Axes, tile: Array, limits: tuple[float, float]) -> Any:
    """Draw a map (h, w), or colours (h, w, 3), into axes; return matplotlib's image of it."""
    small = max(tile.shape[:2]) < 64
    way = "nearest" if small else "antialiased"
    if tile.ndim == 3:
        return axes.imshow(np.clip(tile, 0, 1), interpolation=way)
    colours = SIGNED if limits[0] < 0 else POSITIVE
    return axes.imshow(tile, cmap=colours, vmin=limits[0], vmax=limits[1], interpolation=way)
