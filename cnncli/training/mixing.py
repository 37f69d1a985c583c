"""Mixup and CutMix: batches whose images and targets are blends of two.

They work on a batch as it is stored, on the device, before it is normalised: normalising is affine,
so that a blend of stored images is the blend of normalised ones. What is drawn depends on (seed,
epoch, batch) alone.

Each image's partner is the one before it in the batch, as in torchvision: training batches are
shuffled, so that this is a random pairing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

# (top, left, bottom, right) in pixels, the last two exclusive.
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Mixing:
    """Draws what to do to a batch, and does it.

    Attributes:
        num_classes: K.
        seed: Of the run.
        mixup: α of Mixup's Beta(α, α), 0 for no Mixup.
        cutmix: α of CutMix's, 0 for no CutMix; where both are on, one of them is drawn per batch.
    """

    num_classes: int
    seed: int
    mixup: float = 0.0
    cutmix: float = 0.0

    def __bool__(self) -> bool:
        return bool(self.mixup or self.cutmix)

    def __call__(
        self, images: torch.Tensor, targets: torch.Tensor, *, epoch: int, batch: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mixed images and shares of the classes.

        Args:
            images: (N, H, W, C) in any dtype.
            targets: (N,) int64, or shares (N, K).
            epoch: From 1.
            batch: Number of the batch in its epoch, each accumulated one counted.

        Returns:
            Images (N, H, W, C) in float32 and in the units that came in, shares (N, K) in float32.
        """
        # The last number keeps these draws apart from those of others with the same key.
        rng = np.random.default_rng((self.seed, epoch, batch, 1))
        with_cutmix = bool(self.cutmix) and (not self.mixup or rng.random() < 0.5)
        alpha = self.cutmix if with_cutmix else self.mixup
        kept = float(rng.beta(alpha, alpha))
        if not with_cutmix:
            return mixup(images, self._soft_targets(targets), kept)
        height, width = images.shape[1:3]
        centre = int(rng.integers(height)), int(rng.integers(width))
        return cutmix(images, self._soft_targets(targets), cut_box(height, width, kept, centre))

    def _soft_targets(self, targets: torch.Tensor) -> torch.Tensor:
        if targets.ndim == 1:
            targets = functional.one_hot(targets, self.num_classes)
        return targets.float()


def mixup(
    images: torch.Tensor, shares: torch.Tensor, kept: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Blend each image and its shares with those of the one before.

    Args:
        images: (N, H, W, C).
        shares: (N, K).
        kept: λ, the share of the image itself, 0–1.

    Source: H. Zhang et al. (2018), mixup: Beyond Empirical Risk Minimization, arXiv:1710.09412;
    α is 0.1–0.4 there on ImageNet, 1 on CIFAR.
    """
    images = images.float()
    return _blend(images, kept), _blend(shares, kept)


def cutmix(
    images: torch.Tensor, shares: torch.Tensor, box: Box
) -> tuple[torch.Tensor, torch.Tensor]:
    """Put the box of the image before into each image; blend the shares by the areas.

    Args:
        images: (N, H, W, C).
        shares: (N, K).
        box: Within the image; it may be empty.

    Source: S. Yun et al. (2019), CutMix, arXiv:1905.04899; α is 1 there.
    """
    top, left, bottom, right = box
    height, width = images.shape[1:3]
    before = images.float()
    mixed = before.clone()
    mixed[:, top:bottom, left:right] = before.roll(1, 0)[:, top:bottom, left:right]
    # What the image's border has cut off the box counts for the image itself.
    return mixed, _blend(shares, 1 - (bottom - top) * (right - left) / (height * width))


def cut_box(height: int, width: int, kept: float, centre: tuple[int, int]) -> Box:
    """Return a box of the image's shape and a share ``1 - kept`` of its area, cut at the border.

    Args:
        height: Of the image, in pixels.
        width: Likewise.
        kept: λ, 0–1.
        centre: (row, column) within the image.
    """
    half = 0.5 * math.sqrt(1 - kept)
    half_height, half_width = int(half * height), int(half * width)
    row, column = centre
    return (
        max(0, row - half_height),
        max(0, column - half_width),
        min(height, row + half_height),
        min(width, column + half_width),
    )


def _blend(values: torch.Tensor, kept: float) -> torch.Tensor:
    return values.roll(1, 0).mul_(1 - kept).add_(values, alpha=kept)
