"""The words that ``--augment`` knows, and the levels in those words: plain data.

``cnncli.augmentation.notation`` reads texts by this table, ``cnncli.augmentation.operations``
builds what it names, and ``docs/augmentation.md`` and ``cnncli augment --list`` show it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

# What a number alone means; all but the last three are ranges from which each image draws.
#   signed: A is -A:A.  factor: A is 1-A:1+A.  share: A is A:1.  exact: A is A:A.
Kind = Literal["signed", "factor", "share", "exact", "number", "count", "choice"]
RANGES: tuple[Kind, ...] = ("signed", "factor", "share", "exact")

Border = Literal["reflect", "edge", "black"]
Aspect = Literal["keep", "free"]


@dataclass(frozen=True)
class Argument:
    """One argument of a word.

    Attributes:
        name: As it is written.
        kind: How its value is read.
        default: A number, a range of two, or one of ``choices``.
        low: The least value that is taken.
        high: The greatest value that is taken.
        about: What it is, with its unit.
        choices: The values of a choice.
        whole: Whether a range is of whole numbers.
    """

    name: str
    kind: Kind
    default: float | str | tuple[float, float]
    low: float = 0
    high: float = 1
    about: str = ""
    choices: tuple[str, ...] = ()
    whole: bool = False


@dataclass(frozen=True)
class Word:
    """One operation.

    Attributes:
        about: What it does to an image.
        arguments: The first is the main one, whose name may be left out.
        channels: The only number of channels it works on; None for any.
        has_main: Whether the first argument's name may be left out.
        mirrors: The axes along which it mirrors images: ``h`` left-right, ``v`` up-down.
    """

    about: str
    arguments: tuple[Argument, ...] = ()
    channels: int | None = None
    has_main: bool = True
    mirrors: str = ""

    @property
    def main(self) -> Argument | None:
        """The argument whose name may be left out, if there is one."""
        return self.arguments[0] if self.arguments and self.has_main else None


P = Argument("p", "number", 0.5, about="probability, each image drawn anew")
_BORDER = Argument(
    "border", "choice", "reflect", about="what comes in from outside", choices=get_args(Border)
)
_ASPECT = Argument(
    "aspect",
    "choice",
    "keep",
    about="free draws height and width each for itself",
    choices=get_args(Aspect),
)
_TRANSLATE = Argument("translate", "signed", (0, 0), -1, 1, "share of height and of width")
_ROTATE = Argument("rotate", "signed", (0, 0), -180, 180, "degrees")
_SCALE = Argument("scale", "factor", (1, 1), 0.1, 10, "factor; above 1 enlarges")
_SHEAR = Argument("shear", "signed", (0, 0), -60, 60, "degrees, along x and along y")

WORDS: Mapping[str, Word] = {
    "hflip": Word("mirrors left and right", mirrors="h"),
    "vflip": Word("mirrors up and down", mirrors="v"),
    "rot90": Word("turns by 0, 90, 180 or 270 degrees; square images only", mirrors="v"),
    "translate": Word(
        "moves by whole pixels, so that nothing is interpolated",
        (Argument("amount", "signed", (-0.1, 0.1), -1, 1, _TRANSLATE.about), _BORDER),
    ),
    "rotate": Word(
        "turns about the middle",
        (Argument("angle", "signed", (-10, 10), -180, 180, "degrees"), _BORDER),
    ),
    "scale": Word(
        "enlarges or shrinks about the middle",
        (Argument("factor", "factor", (0.9, 1.1), 0.1, 10, _SCALE.about), _ASPECT, _BORDER),
    ),
    "shear": Word(
        "slants", (Argument("angle", "signed", (-10, 10), -60, 60, _SHEAR.about), _BORDER)
    ),
    "affine": Word(
        "translates, scales, rotates and shears at once, interpolated once",
        (_TRANSLATE, _SCALE, _ROTATE, _SHEAR, _ASPECT, _BORDER),
        has_main=False,
    ),
    "elastic": Word(
        "bends smoothly, as U-Net does: random displacements of a coarse grid, bicubic between",
        (
            Argument(
                "amount",
                "exact",
                (0.02, 0.02),
                0,
                0.5,
                "standard deviation of a displacement, share of the shorter side",
            ),
            Argument("cells", "count", 3, 2, 64, "points of the grid along a side"),
            _BORDER,
        ),
    ),
    "grid": Word(
        "stretches and squeezes the rows and columns of a grid",
        (
            Argument("amount", "signed", (-0.3, 0.3), -0.9, 0.9, "change of a cell's side, share"),
            Argument("cells", "count", 5, 2, 64, "cells along a side"),
            _BORDER,
        ),
    ),
    "crop": Word(
        "cuts a part out and enlarges it to the whole size",
        (
            Argument("area", "share", (0.8, 1), 0.01, 1, "share of the area that is kept"),
            Argument(
                "ratio", "factor", (0.9, 1.1), 0.1, 10, "width to height, against the image's own"
            ),
        ),
    ),
    "blur": Word(
        "blurs with a Gaussian", (Argument("sigma", "exact", (0.5, 2), 0.1, 100, "pixels"),)
    ),
    "noise": Word(
        "adds Gaussian noise, each value its own",
        (Argument("std", "exact", (0.02, 0.08), 0, 1, "share of full scale"),),
    ),
    "brightness": Word(
        "adds a constant; what leaves the range is cut",
        (Argument("amount", "signed", (-0.2, 0.2), -1, 1, "share of full scale"),),
    ),
    "contrast": Word(
        "multiplies the distance to the image's mean; what leaves the range is cut",
        (Argument("factor", "factor", (0.8, 1.2), 0, 10, "factor; 0 is flat grey"),),
    ),
    "brightness_contrast": Word(
        "lowers the contrast and lifts the blacks, so little that nothing is cut",
        (Argument("amount", "signed", (-0.2, 0.2), -1, 1, "share of full scale, of both"),),
    ),
    "gamma": Word(
        "raises fractions of full scale to a power; above 1 darkens",
        (Argument("exponent", "factor", (0.8, 1.2), 0.1, 10, "exponent"),),
    ),
    "saturation": Word(
        "makes colours paler or stronger",
        (Argument("factor", "factor", (0.7, 1.3), 0, 10, "factor; 0 is grey"),),
        channels=3,
    ),
    "hue": Word(
        "turns colours along the colour circle",
        (Argument("shift", "signed", (-0.02, 0.02), -0.5, 0.5, "share of the circle"),),
        channels=3,
    ),
    "clahe": Word(
        "evens the contrast out tile by tile (CLAHE): of lightness where there are 3 channels, "
        "else of each channel",
        (
            Argument("limit", "exact", (1, 4), 1, 100, "how far contrast may rise in a tile"),
            Argument("tiles", "count", 8, 1, 64, "tiles along a side"),
        ),
    ),
    "dropout": Word(
        "erases rectangles",
        (
            Argument("size", "exact", (0.1, 0.25), 0.01, 1, "sides, share of height and width"),
            Argument("holes", "exact", (1, 2), 1, 100, "how many", whole=True),
            Argument("fill", "number", 0, about="share of full scale"),
        ),
    ),
}

# Tuned on several sets. `light` is safe for digits, text and anatomy, which have a left and a
# right; `medical` adds what scanners, detectors and breathing change.
LEVELS: Mapping[str, str] = {
    "light": "translate 0.08; affine translate=0.08 scale=0.1 aspect=free rotate=10 p=0.3; "
    "brightness_contrast 0.1",
    "medium": "hflip; translate 0.1; affine translate=0.1 scale=0.2 aspect=free rotate=15; "
    "brightness_contrast 0.2",
    "strong": "hflip; vflip; affine translate=0.15 scale=0.3 aspect=free rotate=30 p=0.7; "
    "brightness_contrast 0.4 p=0.7; blur 0.5:3 p=0.2; noise 0.02:0.08 p=0.2; "
    "dropout 0.1:0.25 p=0.4",
    "medical": "translate 0.05; affine scale=0.1 rotate=7; brightness 0.1; contrast 0.15; "
    "gamma 0.2 p=0.3; elastic 0.01 p=0.3; noise 0.01:0.03 p=0.3",
}
