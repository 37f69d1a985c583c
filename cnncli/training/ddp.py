"""Gradients averaged over the processes that train together."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from cnncli.models.build import Classifier
from cnncli.models.head import Output
from cnncli.training.features import HeadClassifier


class _Outputs(nn.Module):
    """What DDP wraps: a classifier up to its logits."""

    def __init__(self, classifier: Classifier | HeadClassifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, images: torch.Tensor) -> Output:
        return self.classifier.outputs(images)


def wrap(classifier: Classifier | HeadClassifier, device: torch.device) -> DistributedDataParallel:
    """Return what maps images to outputs and averages the gradients over all processes.

    It knows the parameters that are trained when it is made: make it anew when others are.
    """
    return DistributedDataParallel(
        _Outputs(classifier), device_ids=[device] if device.type == "cuda" else None
    )
