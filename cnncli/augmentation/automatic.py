"""RandAugment and TrivialAugment: operations and strengths drawn from a fixed table.

Nothing is to be chosen but how many operations an image gets and how strong they are, or not even
that. The operations and their ranges are those of the papers and of torchvision, with two
differences: images may have any number of channels and be fractions, and what comes in from outside
is reflected unless ``border`` says otherwise.

Source: E. D. Cubuk et al. (2019), RandAugment, arXiv:1909.13719; S. G. Müller & F. Hutter (2021),
TrivialAugment, arXiv:2103.10158, its wide space.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np

from cnncli.arrays import Array
from cnncli.augmentation.borders import BORDERS, move_pixels

# Strengths are numbered from 0 to this one, in equal steps.
GREATEST = 30
_LEVELS = 256
# Smooths an image before it is subtracted from itself, as in Pillow's SMOOTH.
_SMOOTH = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]], np.float32) / 13

# What each operation reaches at the greatest strength: degrees, shares of the side, of full scale,
# or bits. Operations with a sign draw it.
_RANDAUGMENT = {
    "identity": 0.0,
    "shear_x": 0.3,
    "shear_y": 0.3,
    "translate_x": 150 / 331,
    "translate_y": 150 / 331,
    "rotate": 30.0,
    "brightness": 0.9,
    "color": 0.9,
    "contrast": 0.9,
    "sharpness": 0.9,
    "posterize": 4.0,
    "solarize": 1.0,
    "autocontrast": 0.0,
    "equalize": 0.0,
}
_TRIVIALAUGMENT = {
    **_RANDAUGMENT,
    "shear_x": 0.99,
    "shear_y": 0.99,
    "translate_x": 32 / 224,
    "translate_y": 32 / 224,
    "rotate": 135.0,
    "brightness": 0.99,
    "color": 0.99,
    "contrast": 0.99,
    "sharpness": 0.99,
    "posterize": 6.0,
}
_UNSIGNED = ("identity", "posterize", "solarize", "autocontrast", "equalize")


def randaugment(
    image: Array, arguments: Mapping[str, Any], generator: np.random.Generator
) -> Array:
    """Change an image by some random operations of one strength.

    Args:
        image: (H, W, C) of uint8, or of float32 in [0, 1].
        arguments: ``operations``, how many; ``magnitude``, their strength, 0-30; ``border``.
        generator: Draws the operations and their signs.
    """
    for _ in range(arguments["operations"]):
        image = _change(image, _RANDAUGMENT, arguments["magnitude"], arguments["border"], generator)
    return image


def trivialaugment(
    image: Array, arguments: Mapping[str, Any], generator: np.random.Generator
) -> Array:
    """Change an image by one random operation of a random strength.

    Args:
        image: (H, W, C) of uint8, or of float32 in [0, 1].
        arguments: ``border``.
        generator: Draws the operation, its strength and its sign.
    """
    magnitude = int(generator.integers(GREATEST + 1))
    return _change(image, _TRIVIALAUGMENT, magnitude, arguments["border"], generator)


def _change(
    image: Array,
    table: Mapping[str, float],
    magnitude: float,
    border: str,
    generator: np.random.Generator,
) -> Array:
    name = list(table)[generator.integers(len(table))]
    amount = table[name] * magnitude / GREATEST
    if name not in _UNSIGNED and generator.random() < 0.5:
        amount = -amount
    if name == "color" and image.shape[2] != 3:
        return image
    changed = OPERATIONS[name](image, amount, border)
    return np.ascontiguousarray(changed.reshape(image.shape))


def _white(image: Array) -> int:
    return 255 if image.dtype == np.uint8 else 1


def _as_image(values: Array, like: Array) -> Array:
    """Cut values to the range of an image, round those of uint8, and return them in its dtype."""
    values = np.clip(values, 0, _white(like))
    return np.asarray(np.rint(values) if like.dtype == np.uint8 else values, like.dtype)


def _affine(image: Array, linear: Array, shift: tuple[float, float], border: str) -> Array:
    """Map an image by ``linear`` (2, 2) about its middle, then shift it by (x, y) pixels."""
    height, width = image.shape[:2]
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    matrix = np.column_stack([linear, middle - linear @ middle + shift])
    return move_pixels(
        image,
        lambda part: cv2.warpAffine(
            part, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=BORDERS[border]
        ),
    )


def _shear_x(image: Array, amount: float, border: str) -> Array:
    return _affine(image, np.array([[1, amount], [0, 1]]), (0, 0), border)


def _shear_y(image: Array, amount: float, border: str) -> Array:
    return _affine(image, np.array([[1, 0], [amount, 1]]), (0, 0), border)


def _translate_x(image: Array, amount: float, border: str) -> Array:
    return _affine(image, np.eye(2), (round(amount * image.shape[1]), 0), border)


def _translate_y(image: Array, amount: float, border: str) -> Array:
    return _affine(image, np.eye(2), (0, round(amount * image.shape[0])), border)


def _rotate(image: Array, degrees: float, border: str) -> Array:
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return _affine(image, np.array([[cos, -sin], [sin, cos]]), (0, 0), border)


def _blend(image: Array, other: Array, amount: float) -> Array:
    """Return ``other`` plus the difference of the image to it, times ``1 + amount``."""
    values = image.astype(np.float32)
    return _as_image(other + np.float32(1 + amount) * (values - other), image)


def _brightness(image: Array, amount: float, border: str) -> Array:
    return _blend(image, np.zeros_like(image, np.float32), amount)


def _grey(image: Array) -> Array:
    """Return the grey values (H, W, 1) of a colour image, and the mean of other channels."""
    values = image.astype(np.float32)
    if image.shape[2] != 3:
        return np.asarray(values.mean(axis=2, keepdims=True))
    return np.asarray(values @ np.array([[0.2989], [0.587], [0.114]], np.float32))


def _color(image: Array, amount: float, border: str) -> Array:
    return _blend(image, _grey(image), amount)


def _contrast(image: Array, amount: float, border: str) -> Array:
    return _blend(image, _grey(image).mean(keepdims=True), amount)


def _sharpness(image: Array, amount: float, border: str) -> Array:
    smooth = image.astype(np.float32)
    if min(image.shape[:2]) > 2:
        inside = move_pixels(smooth, lambda part: cv2.filter2D(part, -1, _SMOOTH))
        smooth[1:-1, 1:-1] = inside[1:-1, 1:-1]  # the outermost pixels stay as they are
    return _blend(image, smooth, amount)


def _posterize(image: Array, lost: float, border: str) -> Array:
    """Keep the first bits of 8, all but so many."""
    bits = 8 - round(lost)
    if image.dtype == np.uint8:
        return image & np.uint8(256 - (1 << (8 - bits)))
    levels = 1 << bits
    return np.asarray(np.minimum(np.floor(image * levels), levels - 1) / levels, np.float32)


def _solarize(image: Array, amount: float, border: str) -> Array:
    """Invert what is at least as bright as ``1 - amount`` of full scale."""
    white = _white(image)
    inverted = (white - image).astype(image.dtype)
    return np.where(image >= white * (1 - amount), inverted, image)


def _autocontrast(image: Array, amount: float, border: str) -> Array:
    """Stretch each channel from black to white."""
    low = image.min(axis=(0, 1), keepdims=True).astype(np.float32)
    high = image.max(axis=(0, 1), keepdims=True).astype(np.float32)
    flat = high <= low
    scale = _white(image) / np.where(flat, 1, high - low)
    return np.where(flat, image, _as_image((image - low) * scale, image))


def _equalize(image: Array, amount: float, border: str) -> Array:
    """Give each channel as many pixels of each level, as far as its levels allow it."""
    return np.dstack([_equalize_channel(channel) for channel in np.moveaxis(image, 2, 0)])


def _equalize_channel(channel: Array) -> Array:
    levels = channel if channel.dtype == np.uint8 else np.rint(channel * 255).astype(np.uint8)
    counts = np.bincount(levels.ravel(), minlength=_LEVELS)
    step = (counts.sum() - counts[np.flatnonzero(counts)[-1]]) // 255
    if step == 0:
        return channel
    below = np.concatenate([[0], counts.cumsum()[:-1]])
    table = np.minimum((below + step // 2) // step, 255)
    if channel.dtype == np.uint8:
        return np.asarray(table[levels], np.uint8)
    # Fractions between two levels get values between those of the two.
    return np.asarray(np.interp(channel * 255, np.arange(_LEVELS), table / 255), np.float32)


# Each takes an image (H, W, C), an amount and the border.
OPERATIONS: Mapping[str, Callable[[Array, float, str], Array]] = {
    "identity": lambda image, amount, border: image,
    "shear_x": _shear_x,
    "shear_y": _shear_y,
    "translate_x": _translate_x,
    "translate_y": _translate_y,
    "rotate": _rotate,
    "brightness": _brightness,
    "color": _color,
    "contrast": _contrast,
    "sharpness": _sharpness,
    "posterize": _posterize,
    "solarize": _solarize,
    "autocontrast": _autocontrast,
    "equalize": _equalize,
}
