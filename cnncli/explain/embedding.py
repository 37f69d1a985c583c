"""Images as points in a network's feature space: features, neighbours, and two-dimensional maps.

Source: L. van der Maaten, G. Hinton (2008), Visualizing Data using t-SNE, JMLR 9.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from cnncli.arrays import Array
from cnncli.errors import CnncliError
from cnncli.explain.units import Grid, run_layers

LEAST = 5  # images, for a map
PERPLEXITY = 30.0
# t-SNE measures distances between so many principal components; its noise goes with the others.
_COMPONENTS = 50


@dataclass(frozen=True)
class Map:
    """Points in two dimensions.

    Attributes:
        points: (N, 2) float64.
        perplexity: How many neighbours of a point t-SNE keeps near, about; None for PCA.
        variance: Share of the variance that each axis holds, for PCA; empty for t-SNE.
    """

    points: Array
    perplexity: float | None = None
    variance: tuple[float, ...] = ()


def compute_features(
    network: nn.Module, images: torch.Tensor, head: str, layer: str | None, grid: Grid | None
) -> tuple[Array, torch.Tensor]:
    """Return the features of images, and the network's output.

    Args:
        network: In eval mode.
        images: (N, C, H, W), normalised.
        head: Path of the network's last layer.
        layer: The layer whose output is taken; None takes the input of the head.
        grid: Where the channels lie in the output of ``layer``; not needed for the head.

    Returns:
        (N, D) float32, averaged over the positions of a map, and what the network returned.
    """
    kept: list[torch.Tensor] = []
    with torch.no_grad():
        if layer is not None:
            assert grid is not None
            outputs = run_layers(network, images, [layer, ""])  # "" is the network itself
            features, dim, logits = outputs[layer], grid.channel + 1, outputs[""]
        else:
            hook = network.get_submodule(head).register_forward_pre_hook(
                lambda module, inputs: kept.append(inputs[0].clone())
            )
            try:
                logits = network(images)
            finally:
                hook.remove()
            features, dim = kept.pop(), 1
    by_channel = features.movedim(dim, 1)
    means: Array = by_channel.reshape(*by_channel.shape[:2], -1).mean(dim=2).numpy()
    return means, logits


def check_features(features: Array) -> None:
    """Refuse features of which no map can be drawn.

    Raises:
        CnncliError: If there are too few images or features, or if all images have the same.
    """
    count, size = features.shape
    if count < LEAST:
        raise CnncliError(
            f"{count} images; a map needs at least {LEAST}: --split all or --data give more"
        )
    if size < 2:
        raise CnncliError("--layer: the layer has one channel; a map needs at least two")
    if not np.isfinite(features).all():
        raise CnncliError("the network's features are not finite (NaN or infinity): no map")
    if not (features != features[0]).any():
        raise CnncliError("all images have the same features: there is nothing to map")


def draw_map(features: Array, method: str, seed: int) -> Map:
    """Bring features to two dimensions.

    Args:
        features: (N, D), as `check_features` takes them.
        method: ``t-sne`` or ``pca``.
        seed: Seed of t-SNE, and of PCA where it draws random directions.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    count, size = features.shape
    values = features.astype(np.float64)
    if method == "pca":
        pca = PCA(2, random_state=seed)
        points = pca.fit_transform(values)
        return Map(points, variance=tuple(float(part) for part in pca.explained_variance_ratio_))
    if min(size, count) > _COMPONENTS:
        values = PCA(_COMPONENTS, random_state=seed).fit_transform(values)
    perplexity = min(PERPLEXITY, (count - 1) / 3)
    # Several threads add up in another order every time, and t-SNE makes the difference large.
    with threadpool_limits(1):
        tsne = TSNE(2, perplexity=perplexity, init="pca", random_state=seed, n_jobs=1)
        points = tsne.fit_transform(values)
    return Map(points.astype(np.float64), perplexity=perplexity)


def score_neighbours(features: Array, targets: Array, most: int) -> tuple[float | None, int]:
    """Return how often an image's nearest neighbours, other than itself, vote for its class.

    There are no more neighbours than the smallest class has other images, since otherwise the
    images of small classes would be outvoted wherever they lie. A class of one image has no other
    that could vote for it; its image votes, and is not counted.

    Args:
        features: (N, D); nearness is cosine similarity.
        targets: (N,) class numbers.
        most: Number of neighbours, at most.

    Returns:
        The accuracy, 0 to 1, or None if no class has two images, and the number of neighbours. Of
        classes with equally many votes the one with the nearest neighbour wins.
    """
    from sklearn.neighbors import NearestNeighbors

    _, class_of, sizes = np.unique(targets, return_inverse=True, return_counts=True)
    counted = sizes[class_of] > 1
    if not counted.any():
        return None, 0
    k = int(min(most, sizes[sizes > 1].min() - 1))
    search = NearestNeighbors(n_neighbors=k, metric="cosine").fit(features)
    nearest = targets[search.kneighbors(return_distance=False)]  # without the image itself
    right = 0
    for votes, target in zip(nearest, targets, strict=True):
        classes, first, counts = np.unique(votes, return_index=True, return_counts=True)
        best = counts == counts.max()
        right += classes[best][first[best].argmin()] == target  # never true of a single image
    return float(right / counted.sum()), k


def find_neighbours(features: Array, query: Array, most: int) -> tuple[Array, Array]:
    """Return the images whose features point into the direction nearest to a query's.

    Args:
        features: (N, D).
        query: (D,) features of one image.
        most: Number of images to return.

    Returns:
        Their numbers and cosine similarities (-1 to 1), the nearest first.
    """
    lengths = np.linalg.norm(features, axis=1) * np.linalg.norm(query)
    products = features.astype(np.float64) @ query.astype(np.float64)
    similarity = products / np.where(lengths > 0, lengths, 1)
    order = np.argsort(-similarity, kind="stable")[:most]
    return order, similarity[order]
