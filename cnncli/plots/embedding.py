"""Pictures of images as points: a map of all of them, and the nearest ones to one of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnncli.arrays import Array
from cnncli.plots.figure import DPI, save_figure
from cnncli.plots.grid import to_picture
from cnncli.plots.lettering import drawable_names, drawable_text

# Okabe and Ito.
COLOURS = (
    *("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000"),
)
MARKERS = ("o", "s", "^")
MOST_CLASSES = 20  # with a colour and a marker of their own
_OTHERS = "0.75"  # grey
_NAME = 22  # longest name of a class in characters


def save_embedding(
    path: Path,
    points: Array,
    targets: Array,
    class_names: Sequence[str],
    wrong: Array,
    *,
    axes_names: tuple[str, str],
    title: str,
) -> None:
    """Draw a point for each image, in the colour of its class; wrong predictions get a ring.

    The classes with most images get colours and markers, `MOST_CLASSES` of them; the others are
    grey.

    Args:
        path: PNG or JPEG file to write, in a folder that exists.
        points: (N, 2).
        targets: (N,) class numbers.
        class_names: K names.
        wrong: (N,) whether the network's prediction is wrong.
        axes_names: What stands at the two axes.
        title: Lines above the picture.

    Raises:
        OSError: If the file cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 6.4), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    counts = np.bincount(targets, minlength=len(class_names))
    shown = np.sort(np.argsort(-counts, kind="stable")[:MOST_CLASSES])
    shown = shown[counts[shown] > 0]
    names = drawable_names(class_names, _NAME)[0]
    size = float(np.clip(12000 / len(points), 10, 60))
    others = ~np.isin(targets, shown)
    if others.any():
        rest = f"{len(np.unique(targets[others]))} other classes"
        axes.scatter(
            points[others, 0], points[others, 1], s=size * 0.6, c=_OTHERS, linewidths=0, label=rest
        )
    for place, target in enumerate(shown):
        mine = targets == target
        axes.scatter(
            points[mine, 0],
            points[mine, 1],
            s=size,
            c=COLOURS[place % len(COLOURS)],
            marker=MARKERS[place // len(COLOURS)],
            edgecolors="0.25",
            linewidths=0.4,
            label=f"{names[target]} ({counts[target]})",
        )
    if wrong.any():
        axes.scatter(
            points[wrong, 0],
            points[wrong, 1],
            s=2.8 * size + 30,
            facecolors="none",
            edgecolors="black",
            linewidths=1.1,
            label=f"wrong prediction ({int(wrong.sum())})",
        )
    axes.set_xlabel(axes_names[0], fontsize=10)
    axes.set_ylabel(axes_names[1], fontsize=10)
    axes.set_xticks([])
    axes.set_yticks([])
    figure.legend(loc="outside right center", fontsize=9.5, frameon=False)
    figure.suptitle(title, fontsize=10.5)
    save_figure(figure, path)


def save_neighbours(
    path: Path, query: Array, images: Sequence[Array], titles: Sequence[str], note: str
) -> None:
    """Draw an image and, in the order of their nearness, those nearest to it.

    Args:
        path: PNG or JPEG file to write, in a folder that exists.
        query: (H, W, C) uint8, or float32 from 0 to 1.
        images: The nearest ones, likewise.
        titles: Lines above the query and above each image.
        note: Line under the picture.

    Raises:
        OSError: If the file cannot be written.
    """
    from matplotlib.figure import Figure

    columns = 3
    rows = -(-(1 + len(images)) // columns)
    high = 2.6 * query.shape[0] / query.shape[1]
    figure = Figure(figsize=(8, rows * (min(high, 5) + 0.45) + 0.3), dpi=DPI, layout="constrained")
    grid: Any = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for place, (axes, image) in enumerate(zip(grid.flat, (query, *images), strict=False)):
        picture = to_picture(image)
        small = picture.shape[0] < 150
        axes.imshow(picture, interpolation="nearest" if small else "antialiased")
        title = "\n".join(drawable_text(line, _NAME) for line in titles[place].split("\n"))
        axes.set_title(title, fontsize=10, fontweight="bold" if place == 0 else "normal")
        if place == 0:
            axes.set_axis_on()
            axes.set_xticks([])
            axes.set_yticks([])
            for spine in axes.spines.values():
                spine.set(edgecolor="#D55E00", linewidth=4)
    figure.supxlabel(note, fontsize=9)
    save_figure(figure, path)
