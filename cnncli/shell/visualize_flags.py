"""The flags of ``cnncli visualize``, under the headings that help shows; light."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from cnncli.choices import SplitChoice
from cnncli.shell.flags import complete_data, flag

NumbersFormat = Literal["csv", "json", "npy"]

# Every picture takes some of these: `cnncli.recipes.visualize.views.VIEWS` says which.
VISUALIZE_FLAGS: Mapping[str, Any] = {
    "output": flag(str, "The picture, .png or .jpg [WHAT.png].", metavar="FILE"),
    "output_format": flag(
        NumbersFormat, "Print the numbers behind the picture, and draw it only with --output.",
        "--format",
    ),
    "weights": flag(
        str,
        "Weights of a MODEL: default, a name of torchvision's, the PATH of a file [random].",
        metavar="NAME|PATH",
    ),
    "image": flag(list[str], "Image to look at; may be repeated.", metavar="FILE"),
    "data": flag(
        str,
        "Images to look at, as train takes them [the run's test images, else val].",
        metavar="PATH",
        autocompletion=complete_data,
    ),
    "split": flag(SplitChoice, "Which of the data [test, else val]."),
    "count": flag(int, "Images of the data, at most.", "--images", min=1),
    "layer": flag(str, "A layer's name, as inspect-layers prints it.", metavar="NAME"),
    "unit": flag(
        str, "Channel, or channel, row and column of the layer's output [the middle].",
        metavar="C[,ROW,COL]",
    ),
    "class_name": flag(str, "Class to explain [the predicted one].", "--class", metavar="NAME"),
    "method": flag(str, "One of the picture's methods; a wrong name lists them.", metavar="NAME"),
    "neighbours": flag(str, "Show the images nearest to this one.", metavar="IMAGE"),
    "over_epochs": flag(bool, "Show each epoch that `train --keep-every` kept.", "--over-epochs"),
    "image_size": flag(
        str, "Size of a MODEL's input in pixels, N or HEIGHTxWIDTH [its own].", metavar="SIZE"
    ),
    "seed": flag(int, "Seed of what is random [0].", min=0),
}  # fmt: skip
