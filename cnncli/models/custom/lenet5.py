"""LeNet-5, the first convolutional network in wide use."""

from __future__ import annotations

import torch
from torch import nn


class LeNet5(nn.Module):
    """LeNet-5 with the pooling, activations and connections in use today.

    Two 5×5 convolutions, each followed by 2×2 average pooling, then dense layers of 120, 84 and
    K units. The original learns a scale for its pooling, connects the maps of layer C3 by a table
    and ends in radial basis functions; here the pooling is plain, all maps are connected and the
    output is linear.

    Shapes: (N, C, H, W) to (N, K); H and W at least 16. At 32×32 the second pooling leaves
    16×5×5 values, as in the paper.

    Source: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner (1998), Gradient-Based Learning Applied
    to Document Recognition, Proc. IEEE 86(11), fig. 2.
    """

    def __init__(
        self, num_classes: int, in_channels: int = 1, *, image_size: tuple[int, int] = (32, 32)
    ) -> None:
        super().__init__()
        height, width = (((side - 4) // 2 - 4) // 2 for side in image_size)
        if height < 1 or width < 1:
            raise ValueError("LeNet-5 needs images of at least 16×16 pixels")
        self.conv1 = nn.Conv2d(in_channels, 6, 5)
        self.pool1 = nn.AvgPool2d(2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.pool2 = nn.AvgPool2d(2)
        self.fc1 = nn.Linear(16 * height * width, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, num_classes)
        self.activation = nn.Tanh()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (N, K) of images (N, C, H, W)."""
        x = self.pool1(self.activation(self.conv1(x)))
        x = self.pool2(self.activation(self.conv2(x)))
        x = self.activation(self.fc1(x.flatten(1)))
        x = self.activation(self.fc2(x))
        logits: torch.Tensor = self.fc3(x)
        return logits
