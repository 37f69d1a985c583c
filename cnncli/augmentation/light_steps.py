"""The words that most pipelines are made of, without what surrounds a transform of Albumentations.

On an image of 28 pixels Albumentations 2.0.8 takes most of its time to make a NumPy generator that
these words never use, a second matrix for boxes, and dictionaries of its parameters. Here the same
numbers are drawn from the same seed, and the same functions of OpenCV are called with them: the
pictures are those of Albumentations bit by bit, in a third of the time, and without its import.

Source: Albumentations 2.0.8 (MIT), Affine and RandomBrightnessContrast.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from cnncli.arrays import Array
from cnncli.augmentation.borders import BORDERS

Arguments = Mapping[str, Any]

_IDENTITY = np.eye(3)
# An affine map as near to the identity as np.allclose calls equal changes nothing.
_NEAR_IDENTITY = 1e-8 + 1e-5 * _IDENTITY


@dataclass(frozen=True)
class LightStep:
    """A step that changes an image by numbers from Python's own generator.

    Attributes:
        change: Takes an image (H, W, C) and the generator, and returns another image.
        p: The probability of the step; with 0 it is never applied, with 1 nothing is drawn for it.
    """

    change: Callable[[Array, random.Random], Array]
    p: float

    def __call__(self, image: Array, state: int, *, force: bool = False) -> Array:
        """Return a changed image; see :class:`cnncli.augmentation.operations.Operation`."""
        if self.p <= 0:
            return image
        generator = random.Random(state)
        if self.p < 1 and not force and generator.random() >= self.p:
            return image
        return self.change(image, generator)


def build_light_step(name: str, arguments: Arguments) -> LightStep | None:
    """Build the step of a word; return None if it is none of those that are computed here.

    Args:
        name: Name of the word.
        arguments: All its arguments.
    """
    if name not in _BUILDERS:
        return None
    return LightStep(_BUILDERS[name](arguments), arguments["p"])


@dataclass(frozen=True)
class _Affine:
    """A random affine map about the middle of the image, of the size of the image.

    Attributes:
        border: OpenCV's number of what comes in from outside.
        translate: Range of the shift, as a fraction of the width and of the height.
        scale: Range of the factors along x and y.
        rotate: Range of the angle in degrees.
        shear: Range of the angles along x and y in degrees.
        keep_ratio: Whether the factor along y is that along x.
        moves_only: Whether it is a shift by whole pixels alone, of which nothing is interpolated.
    """

    border: int
    translate: tuple[float, float] = (0, 0)
    scale: tuple[float, float] = (1, 1)
    rotate: tuple[float, float] = (0, 0)
    shear: tuple[float, float] = (0, 0)
    keep_ratio: bool = True
    moves_only: bool = False

    def __call__(self, image: Array, generator: random.Random) -> Array:
        height, width = image.shape[:2]
        # In the order in which Albumentations draws.
        share_x, share_y = generator.uniform(*self.translate), generator.uniform(*self.translate)
        shift = int(share_x * width), int(share_y * height)
        if self.moves_only:
            matrix = np.array([[1.0, 0, shift[0]], [0, 1, shift[1]]])
            return self._warp(image, matrix, cv2.INTER_NEAREST) if any(shift) else image
        shear = -generator.uniform(*self.shear), -generator.uniform(*self.shear)
        scale = generator.uniform(*self.scale), generator.uniform(*self.scale)
        if self.keep_ratio:
            scale = scale[0], scale[0]
        angle = generator.uniform(*self.rotate)
        matrix = _affine_matrix(shift, shear, scale, angle, (width / 2 - 0.5, height / 2 - 0.5))
        if (np.abs(matrix - _IDENTITY) <= _NEAR_IDENTITY).all():
            return image
        return self._warp(image, matrix[:2], cv2.INTER_LINEAR)

    def _warp(self, image: Array, matrix: Array, interpolation: int) -> Array:
        size = (image.shape[1], image.shape[0])

        def warp(part: Array) -> Array:
            return np.asarray(
                cv2.warpAffine(part, matrix, size, flags=interpolation, borderMode=self.border)
            )

        if image.shape[2] <= 4:
            return warp(image).reshape(image.shape)
        return np.dstack([warp(image[..., start:stop]) for start, stop in _groups(image.shape[2])])


def _groups(channels: int) -> list[tuple[int, int]]:
    """Return the channels that are warped together: OpenCV rounds by their number.

    They are four, and what is left over; of two each by itself.
    """
    groups = [(start, min(start + 4, channels)) for start in range(0, channels, 4)]
    start, stop = groups[-1]
    return [*groups[:-1], (start, start + 1), (start + 1, stop)] if stop - start == 2 else groups


def _affine_matrix(
    shift: tuple[int, int],
    shear: tuple[float, float],
    scale: tuple[float, float],
    angle: float,
    middle: tuple[float, float],
) -> Array:
    """Return the matrix (3, 3) that scales, rotates, shears and shifts about the middle.

    Each pair is of x and y; angles are in degrees. The products are taken in the order of
    Albumentations, since another one gives other last digits.
    """
    turn = np.deg2rad(angle % 360)
    cos, sin = np.cos(turn), np.sin(turn)
    slants = [np.tan(np.deg2rad(each)) for each in shear]
    factors = (
        [[1, 0, middle[0]], [0, 1, middle[1]], [0, 0, 1]],
        [[1, 0, shift[0]], [0, 1, shift[1]], [0, 0, 1]],
        [[1, slants[0], 0], [slants[1], 1, 0], [0, 0, 1]],
        [[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]],
        [[scale[0], 0, 0], [0, scale[1], 0], [0, 0, 1]],
        [[1, 0, -middle[0]], [0, 1, -middle[1]], [0, 0, 1]],
    )
    first, *others = np.array(factors, dtype=np.float64)
    matrix: Array = first
    for factor in others:
        matrix = matrix @ factor
    matrix[2] = 0, 0, 1
    return matrix


@dataclass(frozen=True)
class _Brightness:
    """A random factor for all values, and a random addend; both are clipped to the range.

    Attributes:
        addend: Range of the addend, as a fraction of full scale.
        factor: Range of the change of the factor, which is 1 without it.
        is_safe: Whether both are cut to what needs no clipping.
    """

    addend: tuple[float, float]
    factor: tuple[float, float] = (0, 0)
    is_safe: bool = False

    def __call__(self, image: Array, generator: random.Random) -> Array:
        white = 255 if image.dtype == np.uint8 else 1.0
        factor = 1.0 + generator.uniform(*self.factor)
        addend = generator.uniform(*self.addend) * white
        if self.is_safe and factor > 0:
            addend = min(max(addend, 0), white)
            factor = min(factor, (white - addend) / white)
        elif self.is_safe:
            addend = min(addend, white)
            factor = max(factor, -addend / white)
        if image.dtype == np.uint8:
            levels = np.arange(256, dtype=np.float32) * factor + addend
            table = np.clip(levels, 0, 255).astype(np.uint8)
            flat = image.reshape(len(image), -1)  # OpenCV knows no more than 512 channels
            return np.asarray(cv2.LUT(flat, table)).reshape(image.shape)
        changed = image.astype(np.float64) * float(np.float32(factor)) + addend
        return np.clip(changed, 0, 1).astype(np.float32)


def _mirror(axis: int) -> Callable[[Array, random.Random], Array]:
    return lambda image, generator: np.ascontiguousarray(np.flip(image, axis))


def _affine(found: Arguments, **more: Any) -> _Affine:
    parts: dict[str, Any] = {
        name: tuple(found[name])
        for name in ("translate", "scale", "rotate", "shear")
        if name in found
    }
    keeps = found.get("aspect", "keep") == "keep"
    return _Affine(BORDERS[found["border"]], **parts, keep_ratio=keeps, **more)


_BUILDERS: Mapping[str, Callable[[Arguments], Callable[[Array, random.Random], Array]]] = {
    "hflip": lambda found: _mirror(1),
    "vflip": lambda found: _mirror(0),
    # By whole pixels: nothing is interpolated, so that fine texture stays as sharp as in the
    # images of val and test, which are not augmented.
    "translate": lambda found: _affine({**found, "translate": found["amount"]}, moves_only=True),
    "rotate": lambda found: _affine({**found, "rotate": found["angle"]}),
    "scale": lambda found: _affine({**found, "scale": found["factor"]}),
    "shear": lambda found: _affine({**found, "shear": found["angle"]}),
    "affine": _affine,
    "brightness": lambda found: _Brightness(tuple(found["amount"])),
    "brightness_contrast": lambda found: _Brightness(
        tuple(found["amount"]), tuple(found["amount"]), is_safe=True
    ),
}
