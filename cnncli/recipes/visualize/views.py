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
# Flags of pictures that are drawn from one image, which is named or is the data's first.
IMAGES = ("image", "data", "split")


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
    "activations": ViewEntry(
        "activations",
        (*NETWORK, *IMAGES, "layer"),
        "What the layers give for an image, channel by channel.",
    ),
    "dead": ViewEntry(
        "dead",
        (*NETWORK, *IMAGES, "count"),
        "The channels of each layer that pass no gradient, whatever the image.",
    ),
    "gradients": ViewEntry(
        "gradients",
        (*NETWORK, *IMAGES, "count", "method"),
        "The size of the gradient in each layer, with the network's shortcuts and without.",
    ),
    "grad-cam": ViewEntry(
        "grad_cam",
        (*NETWORK, *IMAGES, "count", "layer", "class_name", "method"),
        "Which places of an image speak for a class, and whether the map is better than chance.",
    ),
    "functions": ViewEntry(
        "functions",
        (),
        "Activation functions and their slopes.",
        target="NAMES",
    ),
    "receptive-field": ViewEntry(
        "receptive_field",
        (*NETWORK, *IMAGES, "count", "layer", "unit"),
        "The pixels that a unit of each stage can see, and those that move it.",
    ),
    "embedding": ViewEntry(
        "embedding",
        (*NETWORK, "data", "split", "count", "layer", "method", "neighbours"),
        "Images as points by their features: t-sne or pca; or those nearest to one image.",
    ),
    "shift": ViewEntry(
        "shift",
        (*NETWORK, *IMAGES, "layer"),
        "How maps and probabilities change as the image moves by 1 to 16 pixels.",
    ),
    "fool": ViewEntry(
        "fool",
        (*NETWORK, *IMAGES, "class_name"),
        "The smallest step against the gradient (FGSM) that changes the answer.",
    ),
}
