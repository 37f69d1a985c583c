"""A small VGG."""

from __future__ import annotations

import torch
from torch import nn


class VGGSmall(nn.Module):
    """Three blocks of two 3×3 convolutions and a 2×2 max pooling, then two dense layers.

    The blocks have 32, 64 and 128 filters, with BatchNorm and ReLU behind every convolution. The
    original flattens its last maps for dense layers of 4096 units; here global average pooling
    comes before a dense layer of 256 units, so that the same weights fit any image size.

    Shapes: (N, C, H, W) to (N, K); H and W at least 8.

    Source: K. Simonyan, A. Zisserman (2014), Very Deep Convolutional Networks for Large-Scale
    Image Recognition, arXiv:1409.1556: the blocks.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        *,
        image_size: tuple[int, int] = (32, 32),
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if min(image_size) < 8:
            raise ValueError("the small VGG needs images of at least 8×8 pixels")
        self.block1 = _block(in_channels, 32)
        self.block2 = _block(32, 64)
        self.block3 = _block(64, 128)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Linear(128, 256)
        self.activation = nn.ReLU()
        self.dropout = nn.Dropout(dropout)
        self.fc2 = nn.Linear(256, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (N, K) of images (N, C, H, W)."""
        x = self.block3(self.block2(self.block1(x)))
        x = self.activation(self.fc1(self.pool(x).flatten(1)))
        logits: torch.Tensor = self.fc2(self.dropout(x))
        return logits


def _block(in_channels: int, filters: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (in_channels, filters):
        # BatchNorm subtracts the mean, so that a bias in the convolution would have no effect.
        layers += [
            nn.Conv2d(channels, filters, 3, padding=1, bias=False),
            nn.BatchNorm2d(filters),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers, nn.MaxPool2d(2))
