"""From the steps of a pipeline to a function that augments an image.

Pipelines run on images that already have the network's size. An epoch over cached images then
costs a tenth of a millisecond per image, and the result depends only on the image and on
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

# Takes an image (H, W, C), the seed of the run, the epoch and the number of the image.
Augment = Callable[[Array, int, int, int], Array]


def build_augment(steps: Pipeline | Literal["none"] | str) -> Augment | None:
    """Build the function that augments an image.

    The same arguments give the same picture in any process, whatever was drawn before. (By itself,
    Albumentations 2.0.8 gives every worker process the same random numbers, and the same again in
    every epoch.)

    Args:
        steps: What :func:`cnncli.augmentation.notation.parse_augment` takes or returns.

    Returns:
        ``augment(image, seed, epoch, index)``, which takes an image (H, W, C) of uint8, or of
        float32 in [0, 1], and returns another one of the same shape, type and range. None if the
        steps are ``none``.

    Raises:
        CnncliError: If the steps cannot be parsed.
    """
    steps = parse_augment(steps)
    return None if steps == "none" else Augmenter(steps)


class Augmenter:
    """A pipeline that can be sent to another process.

    It holds the steps as text; each process builds the operations when it first uses them.
    """

    def __init__(self, steps: Pipeline) -> None:
        self.text = json.dumps(steps)

    def __call__(self, image: Array, seed: int, epoch: int, index: int) -> Array:
        """Return an augmented copy of ``image``; see :func:`build_augment`."""
        operations = _build(self.text, Form.of(image))
        # Each step has a seed of its own. Albumentations' Compose.set_random_seed gives the same
        # seed to all, so that their draws depend on each other: every step or none is applied.
        seeds = np.random.SeedSequence((seed, epoch, index)).generate_state(len(operations))
        # Some classes write into the array they get, and it may be the cached image.
        image = image.copy()
        for operation, state in zip(operations, seeds.tolist(), strict=True):
            image = clip_fractions(operation(image, state))
        return image


def clip_fractions(image: Array) -> Array:
    """Return a float32 image clipped to [0, 1], which interpolation or noise may leave.

    A uint8 image is returned unchanged.
    """
    return np.clip(image, 0, 1) if image.dtype == np.float32 else image


def build_operations(steps: Pipeline, form: Form) -> tuple[Operation, ...]:
    """Build the operation of each step.

    Args:
        steps: What :func:`cnncli.augmentation.notation.parse_augment` returned.
        form: The size, channels and number type of the images.

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
