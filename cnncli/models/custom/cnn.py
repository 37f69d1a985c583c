"""The CNN of the course exercise."""

from __future__ import annotations

import torch
from torch import nn


class CNN(nn.Module):
    """Conv 32 – pool – conv 32 – pool – dense 256 – dense 256 – dropout – dense K.

    The convolutions are 3×3 without padding, the pooling is 2×2 max pooling, the activation ReLU.

    Shapes: (N, C, H, W) to (N, K); H and W at least 10.

    Source: the exercise "CNN on MNIST" of a lecture on CNNs and ResNets, at 28×28×1.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 1,
        *,
        image_size: tuple[int, int] = (28, 28),
        dropout: float = 0.4,
    ) -> None:
        super().__init__()
        height, width = (((side - 2) // 2 - 2) // 2 for side in image_size)
        if height < 1 or width < 1:
            raise ValueError("the course CNN needs images of at least 10×10 pixels")
        self.conv1 = nn.Conv2d(in_channels, 32, 3)
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(32, 32, 3)
        self.pool2 = nn.MaxPool2d(2)
        self.fc1 = nn.Linear(32 * height * width, 256)
        self.fc2 = nn.Linear(256, 256)
        self.dropout = nn.Dropout(dropout)
        self.fc3 = nn.Linear(256, num_classes)
        self.activation = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (N, K) of images (N, C, H, W)."""
        x = self.pool1(self.activation(self.conv1(x)))
        x = self.pool2(self.activation(self.conv2(x)))
        x = self.activation(self.fc1(x.flatten(1)))
        x = self.dropout(self.activation(self.fc2(x)))
        logits: torch.Tensor = self.fc3(x)
        return logits
