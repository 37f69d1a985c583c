"""Test-time augmentation: the views of an image whose probabilities are averaged."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

import numpy as np

from cnncli.arrays import Array
from cnncli.augmentation.build import Augmenter
from cnncli.augmentation.notation import Pipeline, Tta, list_mirrors
from cnncli.errors import CnncliError

Views = Callable[[Array], Iterator[Array]]


def build_views(tta: Tta, augment: Pipeline) -> Views:
    """Return a function that takes images (N, H, W, C) and yields views of them, each (N, H, W, C).

    Args:
        tta: ``flips`` for the image and its left-right mirror image, and both of them upside down
            if training mirrored images up-down too; a number K for the image and K - 1 random
            augmentations of it.
        augment: The augmentation the network was trained with; empty for none.

    Raises:
        CnncliError: If augmentations are asked for and the network was trained without any.
    """
    if tta == "flips":
        upside_down = "v" in list_mirrors(augment)
        return lambda images: _flips(images, upside_down=upside_down)
    if not augment:
        raise CnncliError(
            f"--tta {tta}: the network was trained without augmentation, so there is nothing to "
            "draw views from; use --tta flips, or train with --augment"
        )
    augmenter, count = Augmenter(augment), tta
    return lambda images: _draws(images, augmenter, count)


def _flips(images: Array, *, upside_down: bool) -> Iterator[Array]:
    for view in (images, images[:, ::-1]) if upside_down else (images,):
        yield np.ascontiguousarray(view)
        yield np.ascontiguousarray(view[:, :, ::-1])


def _draws(images: Array, augmenter: Augmenter, count: int) -> Iterator[Array]:
    # Seeded by its content, an image gets the same views in whatever list, batch or split it is.
    seeds = [
        int.from_bytes(hashlib.blake2b(image.tobytes(), digest_size=16).digest(), "little")
        for image in images
    ]
    yield images
    for number in range(1, count):
        yield np.stack(
            [augmenter(image, seed, 0, number) for image, seed in zip(images, seeds, strict=True)]
        )
