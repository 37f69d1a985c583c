"""The default network: a small residual network that a laptop trains from scratch."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

# Image sides, in pixels, from which on the stem and layer1 halve the resolution. Small images keep
# every pixel; large images lose resolution early, where a convolution costs most.
HALVE_IN_STEM_FROM = 48
HALVE_IN_LAYER1_FROM = 96


def _conv_norm(in_channels: int, out_channels: int, kernel_size: int, stride: int) -> nn.Sequential:
    # Batch normalisation subtracts the mean, so a bias in the convolution would have no effect.
    return nn.Sequential(
        nn.Conv2d(
            in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2, bias=False
        ),
        nn.BatchNorm2d(out_channels),
    )


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut around them: ``relu(x + f(x))``.

    Where the size changes, the shortcut averages 2×2 pixels before its 1×1 convolution: a strided
    1×1 convolution alone would skip three of four pixels.

    Shapes: (N, C, H, W) to (N, out_channels, ⌈H / stride⌉, ⌈W / stride⌉).

    Source: K. He, X. Zhang, S. Ren, J. Sun (2016), Deep Residual Learning for Image Recognition;
    the shortcut is that of ResNet-D, T. He et al. (2019), Bag of Tricks for Image Classification.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = _conv_norm(in_channels, out_channels, 3, stride)
        self.conv2 = _conv_norm(out_channels, out_channels, 3, 1)
        self.activation = nn.ReLU()
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            # ceil_mode rounds odd sides up, as the padded convolution beside it does.
            halve = nn.AvgPool2d(stride, ceil_mode=True) if stride != 1 else nn.Identity()
            self.shortcut = nn.Sequential(halve, *_conv_norm(in_channels, out_channels, 1, 1))
        # f(x) starts at zero, so that a block starts as its shortcut; this allows a higher learning
        # rate.
        nn.init.zeros_(cast(torch.Tensor, self.conv2[1].weight))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the maps of the block for x (N, C, H, W)."""
        y = self.conv2(self.activation(self.conv1(x)))
        out: torch.Tensor = self.activation(y + self.shortcut(x))
        return out


class ResNetSmall(nn.Module):
    """A stem, four residual stages, global average pooling and one linear layer.

    With the default widths and one block per stage it has 1.2 million parameters.
    ``image_size`` changes only strides and no weight's shape. If the shorter side is below 48
    pixels, layer2 gets the full resolution; from 48 pixels on the stem halves it, and from 96 on
    layer1 halves it once more. A network that was built for one size therefore runs at any other.

    Shapes: (N, C, H, W) to (N, K); any H and W of at least 8. At 112×112 the stages give 28, 14,
    7 and 4 pixels a side; at 32×32 they give 32, 16, 8 and 4.

    In training mode a batch needs at least two images if the maps of layer4 have one pixel, because
    batch normalisation has no variance over a single value.

    Args:
        num_classes: K, at least 2.
        in_channels: C, 1 for grey images and 3 for colour.
        image_size: Height and width in pixels that the network is meant for.
        dropout: Probability, in [0, 1), of dropping a pooled feature before the linear layer.
        widths: Channels of layer1 to layer4.
        blocks: Residual blocks in layer1 to layer4.

    Raises:
        ValueError: If a side of ``image_size`` is below 8 pixels.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        *,
        image_size: tuple[int, int] = (112, 112),
        dropout: float = 0.0,
        widths: tuple[int, int, int, int] = (32, 64, 128, 256),
        blocks: tuple[int, int, int, int] = (1, 1, 1, 1),
    ) -> None:
        super().__init__()
        side = min(image_size)
        if side < 8:
            raise ValueError("the small residual network needs images of at least 8×8 pixels")
        stem_stride = 2 if side >= HALVE_IN_STEM_FROM else 1
        stride = 2 if side >= HALVE_IN_LAYER1_FROM else 1
        self.stem = nn.Sequential(*_conv_norm(in_channels, widths[0], 3, stem_stride), nn.ReLU())
        self.layer1 = _stage(widths[0], widths[0], blocks[0], stride)
        self.layer2 = _stage(widths[0], widths[1], blocks[1], stride=2)
        self.layer3 = _stage(widths[1], widths[2], blocks[2], stride=2)
        self.layer4 = _stage(widths[2], widths[3], blocks[3], stride=2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(widths[3], num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (N, K) of images (N, C, H, W)."""
        x = self.stem(x)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        logits: torch.Tensor = self.fc(self.dropout(self.pool(x).flatten(1)))
        return logits


def _stage(in_channels: int, out_channels: int, blocks: int, stride: int) -> nn.Sequential:
    first = ResidualBlock(in_channels, out_channels, stride)
    rest = (ResidualBlock(out_channels, out_channels) for _ in range(blocks - 1))
    return nn.Sequential(first, *rest)
