"""The picture of a confusion matrix."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cnncli.plots.figure import DPI, save_figure
from cnncli.plots.lettering import drawable_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from cnncli.evaluation.metrics import FloatArray, IntArray

DPI_OF_MANY_CLASSES = 90  # a digit of a three-digit count still has 11 dots
# Largest number of classes at which a cell has room for its count and its percentage. With more
# classes it has room for the count alone.
PERCENTAGES_UP_TO = 30
# Largest number of classes at which each class has a label and each cell a number. With more
# classes only the colours are drawn.
LABELS_UP_TO = 120
# Largest number of classes at which each cell is drawn by itself.
CELLS_UP_TO = 1500
LONGEST_NAME = 32  # characters; longer names lose their middle


def save_confusion_matrix(
    path: Path, confusion_matrix: npt.ArrayLike, class_names: Sequence[str]
) -> None:
    """Draw the counts of a confusion matrix, and percentages of the true classes, into a PNG.

    A cell's percentage is that of its row, the images of one true class; it is written as text and
    shown as colour.

    Args:
        path: PNG or JPEG file to write, in a folder that exists.
        confusion_matrix: (K, K) counts; rows are true classes, columns predicted ones.
        class_names: K names. A name that no installed font can draw is replaced by ``class 3``, its
            number from 0, and a line under the picture says so.

    Raises:
        OSError: If the file cannot be written.
    """
    from matplotlib.colors import PowerNorm
    from matplotlib.figure import Figure

    matrix = np.asarray(confusion_matrix, dtype=np.int64)
    num_classes = len(class_names)
    if matrix.shape != (num_classes, num_classes):
        raise ValueError(f"{num_classes} names for a confusion matrix {matrix.shape}")
    cell = _cell_size(num_classes)
    side = cell * num_classes
    # The axes fill the figure. The tight bounding box adds the space for everything around them,
    # so that a long label is never cut off and never makes the cells smaller.
    dpi = DPI if num_classes <= PERCENTAGES_UP_TO else DPI_OF_MANY_CLASSES
    figure = Figure(figsize=(side, side), dpi=dpi)
    axes = figure.add_axes((0, 0, 1, 1))
    shares = _row_shares(matrix)
    # The colour follows the square root: a mistake of 4 % is important, and on a linear scale it
    # would look white.
    norm = PowerNorm(0.5, vmin=0, vmax=1)
    cells = _pool(shares)
    last = -(-num_classes // len(cells)) * len(cells) - 0.5  # where the last block ends
    edges = (-0.5, last, last, -0.5)
    image = axes.imshow(cells, cmap=_blues(), norm=norm, interpolation="nearest", extent=edges)
    axes.set(xlim=(-0.5, num_classes - 0.5), ylim=(num_classes - 0.5, -0.5))
    if num_classes <= LABELS_UP_TO:
        _write_cells(axes, matrix, shares, cell)
        _separate_cells(axes, num_classes)
    names, missing = drawable_names(class_names, LONGEST_NAME)
    _name_classes(axes, names, cell)
    # A picture of many classes is shown smaller than it is, so its title and labels grow with it.
    size = max(10.0, 0.8 * side)
    images = int(matrix.sum())
    title = f"Confusion matrix, {images:,} image{'s' * (images != 1)}"
    axes.set_title(title, pad=10, fontsize=1.2 * size)
    note = f"No installed font can draw {missing} of the names: they are numbered from 0."
    axes.set_xlabel("predicted class" + f"\n\n{note}" * bool(missing), labelpad=8, fontsize=size)
    axes.set_ylabel("true class", labelpad=8, fontsize=size)
    bar_axes = figure.add_axes((1 + 0.25 / side, 0, (0.16 + 0.01 * side) / side, 1))
    bar = figure.colorbar(image, cax=bar_axes)
    shown = [0, 1, 5, 10, 25, 50, 75, 100]
    bar.set_ticks([share / 100 for share in shown], labels=[f"{share} %" for share in shown])
    bar_axes.tick_params(labelsize=0.9 * size)
    bar.set_label("share of the true class", fontsize=size)
    save_figure(figure, path)


def _cell_size(num_classes: int) -> float:
    """Return the side of a cell in inches, with room for its text; the picture has 36 at most."""
    return min(max(0.32, min(1.3, 5.5 / num_classes + 0.25)), 36 / num_classes)


def _blues() -> Any:
    from matplotlib import colormaps

    return colormaps["Blues"].with_extremes(bad="0.93")  # a row without images is grey


def _row_shares(matrix: IntArray) -> FloatArray:
    """Divide each row by its sum, and return (K, K) fractions; NaN in a row without images."""
    images = matrix.sum(axis=1, keepdims=True)
    shares: FloatArray = np.full(matrix.shape, np.nan)
    np.divide(matrix, images, out=shares, where=images > 0)
    return shares


def _pool(shares: FloatArray) -> FloatArray:
    """Return (K, K) fractions, or the largest of each block where there are too many to be drawn.

    matplotlib takes gigabytes for millions of cells. A picture with fewer dots than cells would
    leave cells out without a sign.
    """
    count = -(-len(shares) // CELLS_UP_TO)
    if count == 1:
        return shares
    starts = np.arange(0, len(shares), count)
    rows = np.fmax.reduceat(shares, starts, axis=0)  # fmax: the largest that is not NaN
    pooled: FloatArray = np.fmax.reduceat(rows, starts, axis=1)
    return pooled


def _write_cells(axes: Axes, matrix: IntArray, shares: FloatArray, cell: float) -> None:
    with_share = len(matrix) <= PERCENTAGES_UP_TO
    longest = max(len(str(matrix.max())), len("100.0 %") if with_share else 0)
    # A digit is about 0.6 of the font size wide, an inch has 72 points, and a tenth stays free.
    size = min(11.0, 0.9 * cell * 72 / (0.62 * longest))
    for row, column in np.argwhere(np.isfinite(shares)):
        count, share = matrix[row, column], shares[row, column]
        if count == 0 and not with_share:
            continue  # thousands of zeros would hide the mistakes
        text = axes.text(
            column,
            row,
            f"{count}\n{100 * share:.1f} %" if with_share and count else str(count),
            ha="center",
            va="center",
            fontsize=size,
            linespacing=1.3,
            color="white" if share > 0.35 else ("0.15" if count else "0.65"),
        )
        text.set_in_layout(False)  # it lies inside the axes, and measuring thousands takes seconds


def _separate_cells(axes: Axes, num_classes: int) -> None:
    edges = np.arange(num_classes + 1) - 0.5
    axes.set_xticks(edges, minor=True)
    axes.set_yticks(edges, minor=True)
    axes.grid(
        which="minor", color="white" if num_classes <= PERCENTAGES_UP_TO else "0.88", linewidth=0.8
    )
    axes.tick_params(which="minor", length=0)


def _name_classes(axes: Axes, names: Sequence[str], cell: float) -> None:
    every = max(1, math.ceil(len(names) / LABELS_UP_TO))
    places = range(0, len(names), every)
    shown = [names[place] for place in places]
    size = min(11.0, 72 * cell * every * 0.55)
    # Labels that are wider than their cell are turned.
    turned = max(map(_width, shown)) * 0.62 * size > 0.95 * 72 * cell * every
    axes.set_xticks(places, shown, rotation=90 if turned else 0, fontsize=size)
    axes.set_yticks(places, shown, fontsize=size)


def _width(name: str) -> int:
    """Estimate the width of a name in digits; an East Asian letter is as wide as two."""
    from unicodedata import east_asian_width

    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in name)
