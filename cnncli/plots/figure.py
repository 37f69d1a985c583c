"""What all pictures share: their resolution, and how they reach the disk.

Figures are built as objects and drawn by Agg: no pyplot, thus no global state and no window, and
safe in a thread. matplotlib is imported where it is used: it costs 0.3 s.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from cnncli.plots.lettering import use_plain_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 120  # dots per inch


def save_figure(figure: Figure, path: Path) -> None:
    """Write a PNG, or a JPEG where the name says so, and rename: nobody sees half a picture.

    Raises:
        OSError: The file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    use_plain_text(figure)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        kind = "jpeg" if path.suffix.lower() in (".jpg", ".jpeg") else "png"
        figure.savefig(
            temporary, format=kind, bbox_inches="tight", pad_inches=0.15, facecolor="white"
        )
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
