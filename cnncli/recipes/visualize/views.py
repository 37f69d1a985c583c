"""The table of pictures that ``cnncli visualize`` draws; light, so that help is quick."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from cnncli.recipes.visualize.settings import View, VisualizeSettings
    from cnncli.reporting import Reporter

# Flags that every picture takes.
COMMON = ("output", "output_format")
# Flags that every picture of a network takes.
NETWORK = ("weights", "image_size", "seed")


class ViewEntry(NamedTuple):
    """One picture.

    Attributes:
        module: Its file in this folder; the function in it is called ``view``.
        flags: Names of the flags it takes beside the common ones.
        about: What it shows, in one line.
        target: What it is drawn of: ``RUN|MODEL``, or for pictures of no network other words.
    """

    module: str
    flags: tuple[str, ...]
    about: str
    target: str = "RUN|MODEL"

    def load(self) -> Callable[[VisualizeSettings, Reporter], View]:
        """Import the file and return its function."""
        function: Callable[[VisualizeSettings, Reporter], View] = import_module(
            f"cnncli.recipes.visualize.{self.module}"
        ).view
        return function


VIEWS: dict[str, ViewEntry] = {
    "filters": ViewEntry(
        "filters",
        (*NETWORK, "layer", "over_epochs"),
        "The weights of a convolution as tiles; --over-epochs shows how they were learnt.",
    ),
    "functions": ViewEntry(
        "functions",
        (),
        "Activation functions and their slopes.",
        target="NAMES",
    ),
    "grad-cam": ViewEntry(
        "grad_cam",
        (*NETWORK, "image", "data", "split", "count", "layer", "class_name", "method"),
        "Which places of an image speak for a class, and whether the map is better than chance.",
    ),
}
