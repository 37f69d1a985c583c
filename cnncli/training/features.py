"""Features computed once: a frozen backbone gives the same output for an image in every epoch."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from cnncli.arrays import Array
from cnncli.data.epoch_batches import WHOLE_BATCH, BatchShard, EpochBatches
from cnncli.data.loader import Loader
from cnncli.models.build import Classifier
from cnncli.training.device import Compute
from cnncli.training.feature_head import Head, observe_features

# Bytes; larger features are kept in a file that the kernel pages in and out.
_MEMORY_LIMIT = 2 << 30


@dataclass(frozen=True)
class Features:
    """The input of the head for each image of a split.

    Attributes:
        values: Features (V, N, ...) on the CPU, of V views of each of N images, in the order of
            the split.
        targets: Class numbers (N,) of the images, int64.
        layout: How the backbone lays its output out in memory; dropout draws in that order.
        rows: (N,) the place of each image in ``values``, where that holds more images; None for
            those of the split alone.
    """

    values: torch.Tensor
    targets: torch.Tensor
    layout: torch.memory_format = torch.contiguous_format
    rows: torch.Tensor | None = None

    def select(self, places: Array) -> Features:
        """Return the features of some of the images, without a copy of the values.

        Args:
            places: (M,) the places of the images among those of these features.
        """
        rows = torch.from_numpy(places)
        return Features(self.values, self.targets[rows], self.layout, rows)


def compute_features(
    classifier: Classifier,
    head: Head,
    loader: Loader,
    compute: Compute,
    *,
    views: int = 1,
    spill: Path | None = None,
    advance: Callable[[int, str], None] = lambda count, text: None,
) -> Features:
    """Run the backbone over a split and keep its output, which is the head's input.

    The classifier is left in its mode, so that frozen stages compute what they compute in training.
    In float32 and with the same number of threads, the features are bit by bit those of the
    training loop, whatever batch an image is in, as long as that batch has more than one image.
    What a head makes of maps can differ in the last digits.

    Args:
        classifier: The classifier; its network ends in ``head``.
        head: The layers whose input is kept.
        loader: The split, in its own order; view v of the images is epoch v + 1 of the loader.
        compute: Device and precision.
        views: Number of augmented views of each image.
        spill: Folder for a file of features that are too large for memory; None keeps them in
            memory.
        advance: Called with the number of images of each batch and an empty text.
    """
    # The head runs too, though only its input is wanted. Its dropout must draw no random numbers:
    # training would not have drawn them.
    head.module(classifier.network).eval()
    while True:
        features = _compute_views(classifier, head, loader, compute, views, spill, advance)
        if features is not None:
            return features


def _compute_views(
    classifier: Classifier,
    head: Head,
    loader: Loader,
    compute: Compute,
    views: int,
    spill: Path | None,
    advance: Callable[[int, str], None],
) -> Features | None:
    """Return the features; None if an image of the first view could not be read for another one."""
    values: torch.Tensor | None = None
    layout = torch.contiguous_format
    targets: list[torch.Tensor] = []
    with torch.no_grad(), compute.autocast():
        for view in range(views):
            start = 0
            for images, batch_targets in loader.epoch(view + 1):
                batch, _ = observe_features(classifier, head, images.to(compute.device))
                if values is None:
                    values = _allocate((views, loader.count, *batch.shape[1:]), batch, spill)
                    layout = _find_layout(batch)
                values[view, start : start + len(batch)] = batch.cpu()
                start += len(batch)
                if view == 0:
                    targets.append(batch_targets)
                advance(len(batch), "")
            # Every view must be of the same images, or features and targets would not match.
            if loader.leave_out(loader.bad) and view > 0:
                return None
    if values is None:
        raise loader.none_left()
    kept = torch.cat(targets)
    # Images that cannot be read are not in it.
    return Features(values[:, : len(kept)], kept, layout)


def _find_layout(batch: torch.Tensor) -> torch.memory_format:
    if batch.ndim == 4 and batch.is_contiguous(memory_format=torch.channels_last):
        return torch.channels_last
    return torch.contiguous_format


def _allocate(shape: tuple[int, ...], like: torch.Tensor, folder: Path | None) -> torch.Tensor:
    """Return an empty tensor of a shape, in memory or, if it is large, in a file in the folder."""
    count = torch.Size(shape).numel()
    if folder is None or count * like.element_size() <= _MEMORY_LIMIT:
        return torch.empty(shape, dtype=like.dtype)
    # The file loses its name at once, so that it is gone when this process ends.
    with tempfile.NamedTemporaryFile(dir=folder, prefix="features-") as file:
        flat = torch.from_file(file.name, shared=True, size=count, dtype=like.dtype)
    return flat.view(shape)


class FeatureLoader:
    """Batches of features, in the order in which a :class:`Loader` would give the images.

    Attributes:
        features: The features of a split.
        count: Number of images in the split.
        batches: The order of the images in each epoch.
    """

    def __init__(
        self,
        features: Features,
        batch_size: int,
        *,
        shuffle_seed: int | None,
        balanced: bool = False,
        shard: BatchShard = WHOLE_BATCH,
    ) -> None:
        """Set the order.

        Args:
            features: The features of a split.
            batch_size: Number of images of this process in every batch but the last one.
            shuffle_seed: Seed of the order; None keeps the order of the split.
            balanced: Whether to draw images with replacement, each class with the same
                probability, instead of every image once.
            shard: The part of each batch that this process gets.
        """
        self.features = features
        self.count = len(features.targets)
        targets = features.targets.numpy() if balanced else None
        self.batches = EpochBatches(
            self.count, batch_size, seed=shuffle_seed, balanced=targets, shard=shard
        )

    def __len__(self) -> int:
        return len(self.batches)

    def epoch(self, number: int, *, skip: int = 0) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield the batches of an epoch: features (N, ...) and targets (N,).

        With V views, epochs 1 to V have one view each, and then the views repeat.

        Args:
            number: The epoch's number, from 1.
            skip: Number of batches at its beginning to leave out.
        """
        self.batches.epoch, self.batches.skip = number, skip
        values = self.features.values[(number - 1) % len(self.features.values)]
        for keys in self.batches:
            positions = torch.tensor([position % self.count for _, position in keys])
            rows = positions if self.features.rows is None else self.features.rows[positions]
            batch = values[rows].contiguous(memory_format=self.features.layout)
            yield batch, self.features.targets[positions]
