"""The table of words that ``--augment`` knows, and the levels, which are written in these words.

:mod:`cnncli.augmentation.notation` parses texts by this table,
:mod:`cnncli.augmentation.operations` builds the operations, and ``docs/augmentation.md`` and
``cnncli augment --list`` show the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

# The kind of an argument. The first four are ranges, of which a value is drawn for each image; they
# differ in the range that a single number A stands for.
#   signed: -A:A.  factor: 1-A:1+A.  share: A:1.  exact: A:A.
# A number and a count (a whole number) are single values, and a choice is one of several texts.
Kind = Literal["signed", "factor", "share", "exact", "number", "count", "choice"]
RANGES: tuple[Kind, ...] = ("signed", "factor", "share", "exact")

Border = Literal["reflect", "edge", "black"]
Aspect = Literal["keep", "free"]


@dataclass(frozen=True)
class Argument:
    """One argument of a word.

    Attributes:
        name: Name as it is written before the ``=``.
        kind: What kind of value it takes.
        default: The value if none is given: a number, both ends of a range, or one of ``choices``.
        low: Smallest allowed value.
        high: Greatest allowed value.
        about: What the argument means, with its unit, as the documentation shows it.
        choices: The allowed texts, if the kind is a choice.
        whole: Whether both ends of a range must be whole numbers.
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
    """One operation on images.

    Attributes:
        about: What it does to an image, as the documentation shows it.
        arguments: Its arguments, except for the probability ``p``, which every word has:
            ``all_arguments`` has that too.
        channels: The only number of channels that it works on; None means any.
        has_main: Whether the name of the first argument may be left out.
        mirrors: The axes along which it mirrors images: ``h`` exchanges left and right, ``v`` top
            and bottom.
        p: The probability with which it is applied where none is given.
    """

    about: str
    arguments: tuple[Argument, ...] = ()
    channels: int | None = None
    has_main: bool = True
    mirrors: str = ""
    p: float = 0.5

    @property
    def main(self) -> Argument | None:
        """The argument whose name may be left out, or None if there is none."""
        return self.arguments[0] if self.arguments and self.has_main else None

    @property
    def all_arguments(self) -> tuple[Argument, ...]:
        """The arguments and the probability."""
        p = Argument("p", "number", self.p, about="probability, each image drawn anew")
        return (*self.arguments, p)


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
    "randaugment": Word(
        "RandAugment: operations drawn from 14, all of one strength",
        (
            Argument("operations", "count", 2, 1, 14, "how many an image gets"),
            Argument("magnitude", "number", 9, 0, 30, "strength, 0 to 30"),
            _BORDER,
        ),
        p=1,
    ),
    "trivialaugment": Word(
        "TrivialAugment: one operation drawn from 14, of any strength",
        (_BORDER,),
        has_main=False,
        p=1,
    ),
}

# Tuned on several data sets. `light` and `medical` do not mirror images, so that they are safe for
# digits, text and anatomy; `medical` adds the changes that scanners, detectors and breathing cause.
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
