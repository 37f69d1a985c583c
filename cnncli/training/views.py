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
    """Return a function from images (N, H, W, C) to their views, each (N, H, W, C).

    Args:
        tta: ``flips``: the image and its left-right mirror image, and both of them upside down
            where training mirrored up-down too; K: the image and K - 1 draws of ``augment``.
        augment: The steps the network was trained with; empty for none.

    Raises:
        CnncliError: If draws are asked for and there is nothing to draw from.
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
    # By content: an image gets the same views wherever it stands in a list, a batch or a split.
    seeds = [
        int.from_bytes(hashlib.blake2b(image.tobytes(), digest_size=16).digest(), "little")
        for image in images
    ]
    yield images
    for number in range(1, count):
        yield np.stack(
            [augmenter(image, seed, 0, number) for image, seed in zip(images, seeds, strict=True)]
        )
