"""Random augmentation of training images; the only module that reaches Albumentations.

Pipelines run on images that are already at the network's size: an epoch over cached images
then costs a tenth of a millisecond per image, and what is drawn depends on nothing but
(seed, epoch, index).
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from cnncli.choices import Augment
from cnncli.images.decode import Array


def build_augment(level: Augment) -> Callable[[Array, int, int, int], Array] | None:
    """Return ``augment(image, seed, epoch, index)`` for a level, or None for ``none``.

    The image is (H, W, C) uint8 and keeps shape and dtype. The same four arguments give the
    same picture in any process, whatever was drawn before: Albumentations 2.0.8 by itself gives
    every loader worker the same stream and repeats it each epoch.

    Args:
        level: ``light`` moves, turns and lights an image a little and never mirrors it, which
            is safe for digits, text and anatomy; ``medium`` also mirrors left and right;
            ``strong`` adds up-down flips, blur, noise and erased patches.
    """
    return None if level == "none" else Augmenter(level)


class Augmenter:
    """A pipeline by name; it is built in the process that uses it, so that it can be sent."""

    def __init__(self, level: Augment) -> None:
        self.level = level

    def __call__(self, image: Array, seed: int, epoch: int, index: int) -> Array:
        pipeline = _build_pipeline(self.level)
        # One seed per step: Compose.set_random_seed gives all of them the same one, so that a
        # picture is mirrored, moved and lit by the same draw, or left alone by every step.
        seeds = np.random.SeedSequence((seed, epoch, index)).generate_state(len(pipeline))
        for step, state in zip(pipeline, seeds.tolist(), strict=True):
            step.set_random_seed(state)
        return np.asarray(pipeline(image=image)["image"])


@cache
def _build_pipeline(level: Augment) -> Any:
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # it asks the network at import otherwise
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import albumentations as A  # noqa: N812 - the name its own documentation uses

    import cv2

    def shift(amount: float, p: float) -> Any:
        # By whole pixels: nothing is interpolated, so fine texture stays as sharp as it will be
        # in the images that are judged.
        return A.Affine(
            translate_percent=(-amount, amount),
            interpolation=cv2.INTER_NEAREST,
            border_mode=cv2.BORDER_REFLECT_101,
            p=p,
        )

    def affine(amount: float, scale: float, angle: float, p: float) -> Any:
        return A.Affine(
            translate_percent=(-amount, amount),
            scale=(1 - scale, 1 + scale),
            rotate=(-angle, angle),
            border_mode=cv2.BORDER_REFLECT_101,
            p=p,
        )

    def light(amount: float, p: float) -> Any:
        return A.RandomBrightnessContrast(
            brightness_limit=amount, contrast_limit=amount, p=p, ensure_safe_range=True
        )

    steps = {
        "light": [shift(0.08, 0.5), affine(0.08, 0.1, 10, 0.3), light(0.1, 0.5)],
        "medium": [
            A.HorizontalFlip(p=0.5),
            shift(0.1, 0.5),
            affine(0.1, 0.2, 15, 0.5),
            light(0.2, 0.5),
        ],
        "strong": [
            A.HorizontalFlip(p=0.5),
            A.VerticalFlip(p=0.5),
            affine(0.15, 0.3, 30, 0.7),
            light(0.4, 0.7),
            A.GaussianBlur(p=0.2),
            A.GaussNoise(std_range=(0.02, 0.08), p=0.2),
            A.CoarseDropout(hole_height_range=(0.1, 0.25), hole_width_range=(0.1, 0.25), p=0.4),
        ],
    }
    return A.Compose(steps[level])
