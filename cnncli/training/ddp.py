"""DistributedDataParallel, which averages gradients over the processes that train together."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from cnncli.models.build import Classifier
from cnncli.models.head import Output
from cnncli.training.feature_head import HeadClassifier


class _Outputs(nn.Module):
    """A classifier up to its logits, as the module that DDP wraps."""

    def __init__(self, classifier: Classifier | HeadClassifier) -> None:
        """Wrap a classifier.

        Args:
            classifier: The classifier that is trained.
        """
        super().__init__()
        self.classifier = classifier

    def forward(self, images: torch.Tensor) -> Output:
        return self.classifier.outputs(images)


def wrap(classifier: Classifier | HeadClassifier, device: torch.device) -> DistributedDataParallel:
    """Return a module from images to logits whose backward pass averages over all processes.

    It only handles the parameters that are trainable when this is called: after freezing or
    unfreezing, call it again.

    Args:
        classifier: The classifier that is trained.
        device: The device it is on.
    """
    return DistributedDataParallel(
        _Outputs(classifier), device_ids=[device] if device.type == "cuda" else None
    )
