"""Random augmentation of training images.

Pipelines run on images that are already at the network's size: an epoch over cached images
then costs a tenth of a millisecond per image, and what is drawn depends on nothing but
(seed, epoch, index).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from typing import Literal

import numpy as np

from cnncli.arrays import Array
from cnncli.augmentation.classes import build_class
from cnncli.augmentation.notation import Pipeline, parse_augment
from cnncli.augmentation.operations import Form, Operation, build_word

Augment = Callable[[Array, int, int, int], Array]


def build_augment(steps: Pipeline | Literal["none"] | str) -> Augment | None:
    """Return ``augment(image, seed, epoch, index)``, or None for ``none``.

    The image is (H, W, C), uint8, or float32 in [0, 1], and keeps shape, dtype and range. The same
    four arguments give the same picture in any process, whatever was drawn before: Albumentations
    2.0.8 by itself gives every loader worker the same stream and repeats it each epoch.

    Args:
        steps: As ``cnncli.augmentation.notation.parse_augment`` takes or returns them.

    Raises:
        CnncliError: If the steps are none.
    """
    steps = parse_augment(steps)
    return None if steps == "none" else Augmenter(steps)


class Augmenter:
    """A pipeline by its steps; it is built in the process that uses it, so that it can be sent."""

    def __init__(self, steps: Pipeline) -> None:
        self.text = json.dumps(steps)

    def __call__(self, image: Array, seed: int, epoch: int, index: int) -> Array:
        operations = _build(self.text, Form.of(image))
        # One seed per step: Compose.set_random_seed gives all of them the same one, so that a
        # picture is mirrored, moved and lit by the same draw, or left alone by every step.
        seeds = np.random.SeedSequence((seed, epoch, index)).generate_state(len(operations))
        image = image.copy()  # some classes write into what they get, and it may be a cache
        for operation, state in zip(operations, seeds.tolist(), strict=True):
            image = bring_back(operation(image, state))
        return image


def bring_back(image: Array) -> Array:
    """Cut what interpolation or noise has put beside [0, 1]; levels of uint8 cannot leave."""
    return np.clip(image, 0, 1) if image.dtype == np.float32 else image


def build_operations(steps: Pipeline, form: Form) -> tuple[Operation, ...]:
    """Build the steps for images of one form.

    Raises:
        CnncliError: If Albumentations has no such class, or the class no such argument.
    """
    return _build(json.dumps(steps), form)


@lru_cache(maxsize=32)
def _build(text: str, form: Form) -> tuple[Operation, ...]:
    operations = []
    for step in json.loads(text):
        ((name, arguments),) = step.items()
        operations.append(build_word(name, arguments, form) or build_class(name, arguments))
    return tuple(operations)
