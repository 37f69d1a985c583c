"""A network of three layers, a few random images and a trainer for them."""

import numpy as np
import torch
from torch import nn

from cnncli.data.loader import Loader, SplitDataset
from cnncli.models.build import Classifier
from cnncli.training.device import Compute
from cnncli.training.loop import Trainer

CPU = Compute(torch.device("cpu"), "fp32")


MEAN, STD = (0.4, 0.5), (0.2, 0.3)


class Tiny(nn.Module):
    """(N, 2, 3, 3) to (N, 3): a convolution, BatchNorm and a linear layer."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 2)
        self.norm = nn.BatchNorm2d(4)
        self.fc = nn.Linear(16, 3)

    def forward(self, x):
        return self.fc(self.norm(self.conv(x)).relu().flatten(1))


class Store:
    """Images by number, as the image store gives them."""

    def __init__(self, images):
        self.images = images

    def __getitem__(self, index):
        return self.images[index]


def data(count=11, seed=0):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, 3, 3, 2), dtype=np.uint8)
    return images, rng.integers(0, 3, count)


def loader(images, targets, batch_size, indices=None, **options):
    indices = np.arange(len(targets)) if indices is None else indices
    return Loader(SplitDataset(Store(images), indices, targets), batch_size, **options)


def trainer(network, lr=0.01, weight_decay=0.1, smoothing=0.1, clip=None):
    """Build a trainer whose matrices decay; the optimizer's own lr must never be used."""
    groups = [
        {"params": [p for p in network.parameters() if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in network.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    classifier = Classifier(network, MEAN, STD, 255.0)
    return Trainer(
        classifier=classifier,
        optimizer=torch.optim.AdamW(groups, lr=123.0),
        train_mode=classifier.train,
        lr_at=lambda step: lr / (1 + step),
        criterion=nn.CrossEntropyLoss(label_smoothing=smoothing),
        compute=CPU,
        max_grad_norm=clip,
    )
