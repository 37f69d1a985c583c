"""The picture of an image that fools a network: the image, what was added to it, and the sum."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from cnncli.arrays import Array
from cnncli.plots.figure import DPI, save_figure
from cnncli.plots.grid import to_picture
from cnncli.plots.lettering import drawable_text

_NAME = 26  # longest name of a class in characters


def save_fooled(
    path: Path, image: Array, fooled: Array, titles: tuple[str, str, str], note: str, *, factor: int
) -> None:
    """Draw an image, the difference times a factor around mid-grey, and the fooled image.

    Args:
        path: PNG or JPEG file to write, in a folder that exists.
        image: (H, W, C) float32 from 0 to 1.
        fooled: Likewise.
        titles: Lines above the three panels.
        note: Lines under the picture.
        factor: By what the difference is multiplied.

    Raises:
        OSError: If the file cannot be written.
    """
    from matplotlib.figure import Figure

    difference = np.clip(0.5 + factor * (fooled - image), 0, 1)
    parts = [to_picture(part.astype(np.float32)) for part in (image, difference, fooled)]
    high = 2.7 * parts[0].shape[0] / parts[0].shape[1]
    figure = Figure(figsize=(8, min(high, 6) + 1.1), dpi=DPI, layout="constrained")
    grid: Any = figure.subplots(1, 3)
    for axes, part, title in zip(grid, parts, titles, strict=True):
        axes.set_axis_off()
        axes.imshow(part, interpolation="nearest" if part.shape[0] < 320 else "antialiased")
        lines = [drawable_text(line, _NAME) for line in title.split("\n")]
        axes.set_title("\n".join(lines), fontsize=11)
    figure.supxlabel(note, fontsize=9)
    save_figure(figure, path)
