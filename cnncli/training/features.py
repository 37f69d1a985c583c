"""Features computed once: a frozen backbone gives the same output for an image in every epoch."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from cnncli.arrays import Array
from cnncli.data.epoch_batches import WHOLE_BATCH, BatchShard, EpochBatches
from cnncli.data.loader import Loader
from cnncli.models.build import Classifier
from cnncli.models.freeze import Frozen
from cnncli.models.registry import find_model
from cnncli.models.stages import network_head
from cnncli.training.device import Compute

# Bytes; larger features are kept in a file that the kernel pages in and out.
_MEMORY_LIMIT = 2 << 30


@dataclass(frozen=True)
class Features:
    """The input of the head for each image of a split.

    Attributes:
        values: Features (V, N, ...) on the CPU, of V views of each of N images, in the order of
            the split.
        targets: Class numbers (N,) of the images, int64.
        rows: (N,) the place of each image in ``values``, where that holds more images; None for
            those of the split alone.
    """

    values: torch.Tensor
    targets: torch.Tensor
    rows: torch.Tensor | None = None

    def select(self, places: Array) -> Features:
        """Return the features of some of the images, without a copy of the values.

        Args:
            places: (M,) the places of the images among those of these features.
        """
        rows = torch.from_numpy(places)
        return Features(self.values, self.targets[rows], rows)


@dataclass(frozen=True)
class Head:
    """The layers at the end of a network that are trained on features.

    Attributes:
        paths: The paths of these layers in the network: the dropout before the head, if there is
            one and it is not frozen, and the layer that gives the logits.
    """

    paths: tuple[str, ...]

    def module(self, network: nn.Module) -> nn.Module:
        """Return the layers as one module, which shares the network's parameters."""
        return nn.Sequential(*(network.get_submodule(path) for path in self.paths))


def detect_head(
    classifier: Classifier, model: str, loader: Loader, frozen: Frozen, compute: Compute
) -> Head | None:
    """Return the layers that must run on the features of a frozen backbone, if there are such.

    Whether running them on their input gives the network's logits is tried on a batch.

    Args:
        classifier: The classifier, on the device of ``compute``.
        model: The network's name in the registry.
        loader: Gives the batch.
        frozen: What is frozen during the whole run.
        compute: Device and precision.

    Returns:
        The layers; None where the network does more after its head. SqueezeNet, for example, pools
        the maps of its head.
    """
    network = classifier.network
    paths = [network_head(model, network)]
    dropout = find_model(model).head_dropout
    if dropout is not None and not frozen.holds(dropout):
        paths.insert(0, dropout)
    head = Head(tuple(paths))
    was_training = {module: module.training for module in classifier.modules()}
    classifier.eval()
    images, _ = next(iter(loader.epoch(1)), (None, None))
    if images is None:
        raise loader.none_left()
    with torch.no_grad(), compute.autocast():
        images = images.to(compute.device)
        features, logits = _run(classifier, head, images)
        same = torch.equal(head.module(network)(features), logits)
    for module, training in was_training.items():
        module.training = training
    return head if same else None


def _run(
    classifier: Classifier, head: Head, images: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the input of the head's first layer, and the logits."""
    kept: list[torch.Tensor] = []
    first = classifier.network.get_submodule(head.paths[0])
    handle = first.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0].detach()))
    try:
        logits = classifier.logits(images)
    finally:
        handle.remove()
    return kept.pop(), logits


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
    targets: list[torch.Tensor] = []
    with torch.no_grad(), compute.autocast():
        for view in range(views):
            start = 0
            for images, batch_targets in loader.epoch(view + 1):
                batch, _ = _run(classifier, head, images.to(compute.device))
                if values is None:
                    values = _allocate((views, loader.count, *batch.shape[1:]), batch, spill)
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
    return Features(values[:, : len(kept)], kept)  # images that cannot be read are not in it


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
            yield values[rows], self.features.targets[positions]


class HeadClassifier(nn.Module):
    """The head alone, used like a :class:`Classifier` but on features instead of images.

    Attributes:
        network: The head.
    """

    def __init__(self, head: nn.Module) -> None:
        """Take a head.

        Args:
            head: From features (N, ...) to logits (N, K).
        """
        super().__init__()
        self.network = head

    def outputs(self, features: torch.Tensor) -> torch.Tensor:
        """Return the logits (N, K)."""
        output: torch.Tensor = self.network(features)
        return output

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the probabilities (N, K) in float32."""
        return self.outputs(features).float().softmax(dim=1)
