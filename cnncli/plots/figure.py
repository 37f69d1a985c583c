"""The resolution of all pictures, and the way they are written to disk.

Figures are drawn by matplotlib's Agg and without pyplot, so that there is no global state and no
window, and threads can draw at the same time. matplotlib is imported inside functions, because its
import takes 0.3 s.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cnncli.errors import CnncliError
from cnncli.files import write_atomically
from cnncli.plots.lettering import use_plain_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 120  # dots per inch


def save_figure(figure: Figure, path: Path) -> None:
    """Write a picture as a JPEG if its name ends so, otherwise as a PNG.

    It is written under a temporary name and then renamed, so that nobody sees half a picture.

    Args:
        figure: The picture.
        path: File to write, in a folder that exists.

    Raises:
        OSError: If the file cannot be written; it names the file, which is unchanged.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    use_plain_text(figure)
    kind = "jpeg" if path.suffix.lower() in (".jpg", ".jpeg") else "png"

    def write(part: Path) -> None:
        figure.savefig(part, format=kind, bbox_inches="tight", pad_inches=0.15, facecolor="white")

    try:
        write_atomically(path, write)
    except CnncliError as error:
        cause = error.__cause__
        assert isinstance(cause, OSError)
        raise OSError(cause.errno, cause.strerror, str(path)) from error
