"""The words of ``--augment`` as operations on images.

Those of the levels ``light`` and ``medium`` are in :mod:`cnncli.augmentation.light_steps`; most
others are classes of Albumentations. Three are written here, because in Albumentations 2.0.8
elastic deformation draws a displacement for every pixel, contrast scales the distance to black, and
CLAHE rounds to 8 bits and takes 1 or 3 channels only. RandAugment and TrivialAugment, which it has
not, are in :mod:`cnncli.augmentation.automatic`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np

from cnncli.arrays import Array
from cnncli.augmentation.automatic import randaugment, trivialaugment
from cnncli.augmentation.borders import BORDERS, move_pixels
from cnncli.augmentation.clahe import equalise
from cnncli.augmentation.classes import AlbumentationsStep, import_albumentations
from cnncli.augmentation.light_steps import build_light_step

Arguments = Mapping[str, Any]


class Operation(Protocol):
    """One step of a pipeline, as a function."""

    def __call__(self, image: Array, state: int, *, force: bool = False) -> Array:
        """Return a changed image, or the same one, by the step's probability.

        Args:
            image: Array (H, W, C) of uint8, or of float32 in [0, 1].
            state: Seed of the step's random numbers; they depend on nothing else.
            force: Whether to apply the step whatever its probability.
        """


@dataclass(frozen=True)
class Form:
    """What all images of a run have in common.

    Attributes:
        height: Height in pixels.
        width: Width in pixels.
        channels: Number of channels.
        dtype: Number type, ``uint8`` or ``float32``.
    """

    height: int
    width: int
    channels: int
    dtype: str

    @classmethod
    def of(cls, image: Array) -> Form:
        """Return the form of an image (H, W, C)."""
        height, width, channels = image.shape
        return cls(height, width, channels, image.dtype.name)

    @property
    def full_scale(self) -> float:
        """The value of white: 255 for uint8, 1 for float32."""
        return 255.0 if self.dtype == "uint8" else 1.0


def build_word(name: str, arguments: Arguments, form: Form) -> Operation | None:
    """Build the operation of a word; return None if the name is no word.

    Args:
        name: Name of the step.
        arguments: All arguments of the word, as :mod:`cnncli.augmentation.notation` returns them.
        form: The form of the images that the operation will get.
    """
    if name in _OWN:
        return OwnStep(_OWN[name], arguments)
    light = build_light_step(name, arguments)
    if light is not None:
        return light
    if name in _ALBUMENTATIONS:
        class_name, translate = _ALBUMENTATIONS[name]
        kind = getattr(import_albumentations(), class_name)
        return AlbumentationsStep(kind(**translate(arguments, form), p=arguments["p"]))
    return None


def _crop(arguments: Arguments, form: Form) -> dict[str, Any]:
    own = form.width / form.height
    return {
        "size": (form.height, form.width),
        "scale": tuple(arguments["area"]),
        "ratio": tuple(own * end for end in arguments["ratio"]),
    }


def _dropout(arguments: Arguments, form: Form) -> dict[str, Any]:
    # Albumentations takes 1 for one pixel, not for the whole side.
    size = tuple(float(min(end, 0.9999)) for end in arguments["size"])
    return {
        "hole_height_range": size,
        "hole_width_range": size,
        "num_holes_range": tuple(arguments["holes"]),
        "fill": arguments["fill"] * form.full_scale,
    }


# Takes the arguments of a word and the form of the images, and returns the class's arguments.
_Translate = Callable[[Arguments, Form], dict[str, Any]]
_ALBUMENTATIONS: Mapping[str, tuple[str, _Translate]] = {
    "rot90": ("RandomRotate90", lambda found, form: {}),
    "grid": (
        "GridDistortion",
        lambda found, form: {
            "distort_limit": tuple(found["amount"]),
            "num_steps": found["cells"],
            "border_mode": BORDERS[found["border"]],
        },
    ),
    "crop": ("RandomResizedCrop", _crop),
    "blur": (
        "GaussianBlur",
        lambda found, form: {"blur_limit": 0, "sigma_limit": tuple(found["sigma"])},
    ),
    "noise": ("GaussNoise", lambda found, form: {"std_range": tuple(found["std"])}),
    "gamma": (
        "RandomGamma",
        lambda found, form: {"gamma_limit": tuple(100 * end for end in found["exponent"])},
    ),
    "saturation": (
        "ColorJitter",
        lambda found, form: {
            "brightness": (1, 1),
            "contrast": (1, 1),
            "saturation": tuple(found["factor"]),
            "hue": (0, 0),
        },
    ),
    "hue": (
        "ColorJitter",
        lambda found, form: {
            "brightness": (1, 1),
            "contrast": (1, 1),
            "saturation": (1, 1),
            "hue": tuple(found["shift"]),
        },
    ),
    "dropout": ("CoarseDropout", _dropout),
}


@dataclass(frozen=True)
class OwnStep:
    """A step that is computed here and not by Albumentations.

    Attributes:
        function: Takes an image (H, W, C), the arguments and a random generator, and returns the
            changed image.
        arguments: All arguments of the word, with its probability ``p``.
    """

    function: Callable[[Array, Arguments, np.random.Generator], Array]
    arguments: Arguments

    def __call__(self, image: Array, state: int, *, force: bool = False) -> Array:
        """Return a changed image; see :class:`Operation`."""
        generator = np.random.default_rng(state)
        if generator.random() >= self.arguments["p"] and not force:
            return image
        return self.function(image, self.arguments, generator)


def _elastic(image: Array, arguments: Arguments, generator: np.random.Generator) -> Array:
    """Move the pixels by random displacements of a coarse grid, interpolated between its points.

    Source: Ronneberger, Fischer, Brox (2015), U-Net, section 3.1: a 3×3 grid, Gaussian with 10
    pixels standard deviation, bicubic.
    """
    height, width = image.shape[:2]
    cells = arguments["cells"]
    spread = generator.uniform(*arguments["amount"]) * min(height, width)
    grid = generator.normal(0, spread, (cells, cells, 2)).astype(np.float32)
    field = cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    map_x = np.asarray(columns + field[..., 0], np.float32)
    map_y = np.asarray(rows + field[..., 1], np.float32)
    border = BORDERS[arguments["border"]]
    return move_pixels(
        image, lambda part: cv2.remap(part, map_x, map_y, cv2.INTER_LINEAR, borderMode=border)
    )


def _contrast(image: Array, arguments: Arguments, generator: np.random.Generator) -> Array:
    """Multiply the distance of each value to the image's mean by a random factor."""
    factor = generator.uniform(*arguments["factor"])
    mean = image.mean(dtype=np.float64)
    changed = image * np.float32(factor) + np.float32(mean * (1 - factor))
    if image.dtype == np.uint8:
        changed = np.rint(np.clip(changed, 0, 255))
    return np.asarray(changed, image.dtype)


def _clahe(image: Array, arguments: Arguments, generator: np.random.Generator) -> Array:
    """Even out the contrast tile by tile: of the lightness of colours, else of each channel."""
    limit, tiles = generator.uniform(*arguments["limit"]), arguments["tiles"]
    if image.shape[2] == 3:
        lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
        # OpenCV's lightness is 0–255 for uint8, and 0–100 for float32.
        lab[..., 0] = equalise(lab[..., 0], limit, tiles, white=100)
        return np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB))
    return np.stack([equalise(c, limit, tiles) for c in np.moveaxis(image, 2, 0)], axis=2)


_OWN: Mapping[str, Callable[[Array, Arguments, np.random.Generator], Array]] = {
    "elastic": _elastic,
    "contrast": _contrast,
    "clahe": _clahe,
    "randaugment": randaugment,
    "trivialaugment": trivialaugment,
}
