"""Probabilities over batches and splits, in eval mode."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

from cnncli.arrays import Array
from cnncli.data.loader import Loader
from cnncli.models.build import Classifier
from cnncli.training.device import Compute
from cnncli.training.features import FeatureLoader, HeadClassifier
from cnncli.training.views import Views


def predict_batch(
    classifier: Classifier | HeadClassifier, images: torch.Tensor, compute: Compute
) -> Array:
    """Return probabilities (N, K) in float64 of a batch (N, H, W, C) as it is stored."""
    with torch.inference_mode(), compute.autocast():
        probabilities = classifier(images.to(compute.device, non_blocking=True))
    return np.asarray(probabilities.double().cpu().numpy())


def predict_views(
    classifier: Classifier | HeadClassifier,
    images: torch.Tensor,
    compute: Compute,
    views: Views | None,
) -> Array:
    """Return the mean of :func:`predict_batch` over the views of each image, in float64."""
    if views is None:
        return predict_batch(classifier, images, compute)
    answers = [
        predict_batch(classifier, torch.from_numpy(view), compute) for view in views(images.numpy())
    ]
    return np.asarray(np.mean(answers, axis=0))


def predict_split(
    classifier: Classifier | HeadClassifier,
    loader: Loader | FeatureLoader,
    compute: Compute,
    advance: Callable[[int, str], None] = lambda count, text: None,
    views: Views | None = None,
    *,
    shared: bool = False,
) -> tuple[Array, Array]:
    """Return targets (N,) and probabilities (N, K) of a split, in its order, in eval mode.

    Args:
        classifier: What answers.
        loader: The split.
        compute: Device and precision.
        advance: Told of each batch.
        views: Averages over these views of each image; None looks at the image alone.
        shared: Whether the loader gives this process's share, in the order of the ranks; all
            processes get the answers to all.
    """
    classifier.eval()

    def batches() -> Iterator[tuple[Array, Array]]:
        for images, targets in loader.epoch(1):
            yield targets.numpy(), predict_views(classifier, images, compute, views)
            advance(len(targets), "")

    answers = list(batches())
    if shared:
        answers = [pair for share in compute.world.gather(answers) for pair in share]
    targets, probabilities = zip(*answers, strict=True)
    return np.concatenate(targets), np.concatenate(probabilities)
