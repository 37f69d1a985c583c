"""The probabilities of batches and splits."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

from cnncli.arrays import Array
from cnncli.data.loader import Loader
from cnncli.models.build import Classifier
from cnncli.training.device import Compute
from cnncli.training.feature_head import HeadClassifier
from cnncli.training.features import FeatureLoader
from cnncli.training.views import Views


def predict_batch(
    classifier: Classifier | HeadClassifier, images: torch.Tensor, compute: Compute
) -> Array:
    """Return the probabilities (N, K) in float64 of a batch (N, H, W, C) as loaders give it."""
    with torch.inference_mode(), compute.autocast():
        probabilities = classifier(images.to(compute.device, non_blocking=True))
    return np.asarray(probabilities.double().cpu().numpy())


def predict_views(
    classifier: Classifier | HeadClassifier,
    images: torch.Tensor,
    compute: Compute,
    views: Views | None,
) -> Array:
    """Return the probabilities (N, K) in float64, averaged over the views of each image.

    Args:
        classifier: The classifier, in eval mode.
        images: A batch (N, H, W, C) as loaders give it.
        compute: Device and precision.
        views: Yields the views of the images; None for the images alone.
    """
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
    sliced: bool = False,
) -> tuple[Array, Array]:
    """Return targets (N,) and probabilities (N, K) of a split, in its order.

    Args:
        classifier: The classifier; it is put in eval mode.
        loader: The split.
        compute: Device and precision.
        advance: Called with the number of images of each batch and an empty text.
        views: Yields the views of the images, over which probabilities are averaged; None for the
            images alone.
        sliced: Whether the loader gives only this process's slice of the split. All processes get
            the result for the whole split.
    """
    classifier.eval()

    def batches() -> Iterator[tuple[Array, Array]]:
        for images, targets in loader.epoch(1):
            yield targets.numpy(), predict_views(classifier, images, compute, views)
            advance(len(targets), "")

    answers = list(batches())
    if sliced:
        answers = [pair for part in compute.world.gather(answers) for pair in part]
    if not answers:
        assert isinstance(loader, Loader)  # features of no image are an error already
        raise loader.none_left()
    targets, probabilities = zip(*answers, strict=True)
    return np.concatenate(targets), np.concatenate(probabilities)
