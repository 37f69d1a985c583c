"""A dry run of a pipeline before training, which finds the steps that do not fit the images."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnncli.arrays import Array
from cnncli.augmentation.build import build_operations, clip_fractions
from cnncli.augmentation.notation import Pipeline, format_step
from cnncli.augmentation.operations import Form, Operation
from cnncli.augmentation.words import WORDS
from cnncli.choices import format_channels
from cnncli.errors import CnncliError

# Number of times that each step is tried on each image.
_DRAWS = 6
# Interpolation and noise may leave [0, 1] a little, and are clipped. A step that goes further has
# changed the scale of the values, and is refused.
_LOWEST, _HIGHEST = -0.5, 1.5


def check_pipeline(steps: Pipeline, image: Array) -> None:
    """Try every step by itself, whatever its probability, and refuse one that does not fit.

    A step is tried several times on the image and on noise of the same shape and type. The noise
    shows faults that a constant image, or an 8-bit image stored as fractions, does not show.

    Args:
        steps: What :func:`cnncli.augmentation.notation.parse_augment` returned, other than
            ``none``.
        image: An image of the data, (H, W, C): uint8, or float32 in [0, 1].

    Raises:
        CnncliError: If a step fails, returns an image of another type, shape, number of channels
            or range, or rounds float32 values to 8 bits.
    """
    form = Form.of(image)
    scale = 1 if image.dtype == np.float32 else np.iinfo(image.dtype).max
    noise = np.asarray(np.random.default_rng(0).random(image.shape) * scale, image.dtype)
    for number, (step, operation) in enumerate(
        zip(steps, build_operations(steps, form), strict=True), start=1
    ):
        (name,) = step
        wanted = WORDS[name].channels if name in WORDS else None
        problem = (
            f"works on {wanted} channels (colour)"
            if wanted not in (None, form.channels)
            else _try_step(operation, (image, noise))
        )
        if problem:
            text = format_step(step, defaults=False)
            raise CnncliError(
                f"--augment: step {number} {text!r} {problem}; the images are {_describe(form)}"
            )


def _describe(form: Form) -> str:
    """Return size, channels, type and range of images as text."""
    values = " from 0 to 1" if form.dtype == "float32" else ""
    channels = format_channels(form.channels)
    return f"{form.height}×{form.width}, {channels}, {form.dtype}{values}"


def _try_step(operation: Operation, images: tuple[Array, ...]) -> str:
    """Return what is wrong with a step, or an empty text if nothing is."""
    for image in images:
        for state in range(_DRAWS):
            try:
                changed = operation(image.copy(), state, force=True)
            except Exception as error:  # each library raises errors of its own
                # OpenCV's attribute ``err`` has the message without the place in its source.
                reason = getattr(error, "err", None) or str(error)
                return f"fails on such images ({' '.join(reason.split())[:200]})"
            problem = _compare(image, changed)
            if problem:
                return problem
    if images[-1].dtype == np.float32 and _in_8_bits(operation, images[-1]):
        return "works in 8 bits, and what is finer would be lost"
    return ""


def _compare(image: Array, changed: Any) -> str:
    """Return what a changed image has not kept of the original, or an empty text."""
    if not isinstance(changed, np.ndarray):
        return f"gives no image but {type(changed).__name__}"
    if changed.dtype != image.dtype:
        return f"gives {changed.dtype} for {image.dtype}"
    if changed.ndim != 3 or changed.shape[2] != image.shape[2]:
        channels = changed.shape[2] if changed.ndim == 3 else 1
        return f"gives {format_channels(channels)} for {image.shape[2]}"
    if changed.shape != image.shape:
        return f"gives {changed.shape[0]}×{changed.shape[1]} pixels; the size must stay"
    if image.dtype.kind != "f":
        return ""
    if not np.isfinite(changed).all():
        return "gives values that are not finite"
    low, high = float(changed.min()), float(changed.max())
    if low < _LOWEST or high > _HIGHEST:
        return f"gives values from {low:.3g} to {high:.3g}"
    return ""


def _in_8_bits(operation: Operation, noise: Array) -> bool:
    """Return whether a step rounds float32 noise, whose values are all different, to 256 levels."""
    for state in range(_DRAWS):
        levels = clip_fractions(operation(noise.copy(), state, force=True)) * np.float32(255)
        if np.abs(levels - np.rint(levels)).max() > 1e-3:
            return False
    return True
