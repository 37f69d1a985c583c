"""Mixup and CutMix: each image of a batch and its target are blended with another image's.

The images are blended on the device before they are normalised. Since normalising is affine, the
result is the blend of the normalised images. The random numbers depend only on the seed, the epoch
and the number of the batch.

Each image is blended with the one before it in the batch, as in torchvision: training batches are
shuffled, so that these are random pairs.
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
    """Applies Mixup or CutMix to batches; if both are on, one of them is drawn for each batch.

    Attributes:
        num_classes: Number of classes K.
        seed: The run's seed.
        mixup: α of the distribution Beta(α, α) of Mixup's λ; 0 turns Mixup off.
        cutmix: α of the distribution Beta(α, α) of CutMix's λ; 0 turns CutMix off.
    """

    num_classes: int
    seed: int
    mixup: float = 0.0
    cutmix: float = 0.0

    def __bool__(self) -> bool:
        """Return whether Mixup or CutMix is on."""
        return bool(self.mixup or self.cutmix)

    def __call__(
        self, images: torch.Tensor, targets: torch.Tensor, *, epoch: int, batch: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return blended images and targets.

        Args:
            images: (N, H, W, C) in any dtype.
            targets: Class numbers (N,) int64, or probabilities (N, K).
            epoch: The epoch's number, from 1.
            batch: The number of the batch in its epoch, from 0.

        Returns:
            Images (N, H, W, C) in float32 and in the units of ``images``, and target probabilities
            (N, K) in float32.
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
        """Return class numbers (N,) or probabilities (N, K) as probabilities (N, K)."""
        if targets.ndim == 1:
            targets = functional.one_hot(targets, self.num_classes)
        return targets.float()


def mixup(
    images: torch.Tensor, targets: torch.Tensor, kept: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return each image and its target blended with those of the image before.

    Args:
        images: (N, H, W, C).
        targets: Target probabilities (N, K).
        kept: λ, the weight of the image itself, 0-1; the other image has weight 1 - λ.

    Source: H. Zhang et al. (2018), mixup: Beyond Empirical Risk Minimization, arXiv:1710.09412;
    α is 0.1–0.4 there on ImageNet, 1 on CIFAR.
    """
    images = images.float()
    return _blend(images, kept), _blend(targets, kept)


def cutmix(
    images: torch.Tensor, targets: torch.Tensor, box: Box
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return each image with a box of the image before in it; targets are blended by area.

    Args:
        images: (N, H, W, C).
        targets: Target probabilities (N, K).
        box: The box, within the image; it may be empty.

    Source: S. Yun et al. (2019), CutMix, arXiv:1905.04899; α is 1 there.
    """
    top, left, bottom, right = box
    height, width = images.shape[1:3]
    before = images.float()
    mixed = before.clone()
    mixed[:, top:bottom, left:right] = before.roll(1, 0)[:, top:bottom, left:right]
    # The target goes by the area of the box as it is, cut at the image's border.
    return mixed, _blend(targets, 1 - (bottom - top) * (right - left) / (height * width))


def cut_box(height: int, width: int, kept: float, centre: tuple[int, int]) -> Box:
    """Return a box with the image's aspect ratio and ``1 - kept`` times its area.

    What of the box lies outside the image is cut off.

    Args:
        height: Height of the image in pixels.
        width: Width of the image in pixels.
        kept: λ, the fraction of the area that stays, 0-1.
        centre: Row and column of the box's centre, within the image.
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
    """Return values (N, ...), each blended with the one before; ``kept`` is its own weight."""
    return values.roll(1, 0).mul_(1 - kept).add_(values, alpha=kept)
