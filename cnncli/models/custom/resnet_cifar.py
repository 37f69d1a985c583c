"""The residual networks for small images: ResNet-20 and ResNet-32."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class Shortcut(nn.Module):
    """The shortcut of a block that changes size and channels, without parameters.

    It takes every second pixel and adds channels of zeros ("option A" of the paper).

    Shapes: (N, C, H, W) to (N, out_channels, ⌈H / 2⌉, ⌈W / 2⌉).
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.new_channels = out_channels - in_channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the maps of the shortcut for x (N, C, H, W)."""
        before = self.new_channels // 2
        after = self.new_channels - before
        return functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, before, after))


class BasicBlock(nn.Module):
    """Two 3×3 convolutions with BatchNorm and a shortcut around them: ``relu(x + f(x))``.

    Shapes: (N, C, H, W) to (N, out_channels, ⌈H / stride⌉, ⌈W / stride⌉).
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.activation = nn.ReLU()
        same = stride == 1 and in_channels == out_channels
        self.shortcut = nn.Identity() if same else Shortcut(in_channels, out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the maps of the block for x (N, C, H, W)."""
        y = self.activation(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        out: torch.Tensor = self.activation(y + self.shortcut(x))
        return out


class ResNetCIFAR(nn.Module):
    """A stem, three residual stages of 16, 32 and 64 filters, global pooling, one dense layer.

    The first stage works at full resolution; the second and the third halve the size. The network
    has 6·blocks + 2 layers, and at 10 classes and 3 channels 269,722 parameters with 3 blocks and
    464,154 with 5.

    Shapes: (N, C, H, W) to (N, K); H and W at least 8.

    Source: K. He, X. Zhang, S. Ren, J. Sun (2015), Deep Residual Learning for Image Recognition,
    arXiv:1512.03385, section 4.2 and table 6 (0.27 M and 0.46 M parameters); weights start as in
    K. He et al. (2015), Delving Deep into Rectifiers.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        *,
        blocks: int,
        image_size: tuple[int, int] = (32, 32),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if min(image_size) < 8:
            raise ValueError("the residual networks need images of at least 8×8 pixels")
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()
        )
        self.layer1 = _stage(16, 16, blocks, stride=1)
        self.layer2 = _stage(16, 32, blocks, stride=2)
        self.layer3 = _stage(32, 64, blocks, stride=2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(64, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (N, K) of images (N, C, H, W)."""
        x = self.layer3(self.layer2(self.layer1(self.stem(x))))
        logits: torch.Tensor = self.fc(self.dropout(self.pool(x).flatten(1)))
        return logits


def _stage(in_channels: int, out_channels: int, blocks: int, *, stride: int) -> nn.Sequential:
    first = BasicBlock(in_channels, out_channels, stride)
    rest = (BasicBlock(out_channels, out_channels, 1) for _ in range(blocks - 1))
    return nn.Sequential(first, *rest)


def resnet20(
    num_classes: int, in_channels: int = 3, *, image_size: tuple[int, int] = (32, 32)
) -> ResNetCIFAR:
    """Return the residual network with 20 layers; see `ResNetCIFAR`."""
    return ResNetCIFAR(num_classes, in_channels, blocks=3, image_size=image_size)


def resnet32(
    num_classes: int, in_channels: int = 3, *, image_size: tuple[int, int] = (32, 32)
) -> ResNetCIFAR:
    """Return the residual network with 32 layers; see `ResNetCIFAR`."""
    return ResNetCIFAR(num_classes, in_channels, blocks=5, image_size=image_size)
