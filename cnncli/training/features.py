"""Features computed once: with the backbone frozen, every epoch trains on the same ones."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from cnncli.data.loader import WHOLE, BatchShard, EpochBatches, Loader
from cnncli.models.build import Classifier
from cnncli.models.freeze import Frozen
from cnncli.models.registry import find_model
from cnncli.models.stages import network_head
from cnncli.training.device import Compute

# Above this, the features lie in a file that the kernel pages in and out.
_MEMORY_LIMIT = 2 << 30


@dataclass(frozen=True)
class Features:
    """What the head was given for each image of a split.

    Attributes:
        values: (V, N, …) on the CPU: V views, N images in the split's order.
        targets: (N,) int64.
    """

    values: torch.Tensor
    targets: torch.Tensor


@dataclass(frozen=True)
class Head:
    """The end of a network that trains on kept features.

    Attributes:
        paths: A dropout, if it is not frozen, and the layer that gives the logits.
    """

    paths: tuple[str, ...]

    def module(self, network: nn.Module) -> nn.Module:
        """Return it as one module, which shares the network's parameters."""
        return nn.Sequential(*(network.get_submodule(path) for path in self.paths))


def detect_head(
    classifier: Classifier, model: str, loader: Loader, frozen: Frozen, compute: Compute
) -> Head | None:
    """Find what must run again on features to give the network's logits.

    Returns:
        None where the network does more after its head (SqueezeNet pools the head's maps), as
        tried on the loader's first batch.
    """
    network = classifier.network
    paths = [network_head(model, network)]
    dropout = find_model(model).head_dropout
    if dropout is not None and not frozen.holds(dropout):
        paths.insert(0, dropout)
    head = Head(tuple(paths))
    was_training = {module: module.training for module in classifier.modules()}
    classifier.eval()
    images, _ = next(iter(loader.epoch(1)))
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
    """Return what reached the head, and the logits."""
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
    """Run the backbone over a split and keep what reaches the head.

    The classifier is used in the mode it is in, so that frozen stages give what they give in the
    loop. In float32 and with the same number of threads the features equal the loop's bit by bit,
    whatever batch an image is in, as long as that batch has more than one image.

    Args:
        classifier: Its network ends in ``head``.
        head: Where the features are taken.
        loader: In the split's own order; view v is its epoch v + 1.
        compute: Device and precision.
        views: Augmented views of each image.
        spill: Folder of the file that large features lie in; None keeps them in memory.
        advance: Told the number of images done.
    """
    # The head runs behind its input for nothing; its dropout must not draw random numbers, which
    # the loop would not have drawn.
    head.module(classifier.network).eval()
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
    assert values is not None
    kept = torch.cat(targets)
    return Features(values[:, : len(kept)], kept)  # without images that cannot be read


def _allocate(shape: tuple[int, ...], like: torch.Tensor, folder: Path | None) -> torch.Tensor:
    count = torch.Size(shape).numel()
    if folder is None or count * like.element_size() <= _MEMORY_LIMIT:
        return torch.empty(shape, dtype=like.dtype)
    # An unnamed file on the run's disk: the kernel pages it in and out, and it goes with us.
    with tempfile.NamedTemporaryFile(dir=folder, prefix="features-") as file:
        flat = torch.from_file(file.name, shared=True, size=count, dtype=like.dtype)
    return flat.view(shape)


class FeatureLoader:
    """Batches of features in the order in which a :class:`Loader` would give the images."""

    def __init__(
        self,
        features: Features,
        batch_size: int,
        *,
        shuffle_seed: int | None,
        balanced: bool = False,
        shard: BatchShard = WHOLE,
    ) -> None:
        self.features = features
        self.count = len(features.targets)
        targets = features.targets.numpy() if balanced else None
        self.batches = EpochBatches(
            self.count, batch_size, seed=shuffle_seed, balanced=targets, share=shard
        )

    def __len__(self) -> int:
        return len(self.batches)

    def epoch(self, number: int, *, skip: int = 0) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield an epoch's (features, targets); view 1 in epoch 1, and so on, then again."""
        self.batches.epoch, self.batches.skip = number, skip
        values = self.features.values[(number - 1) % len(self.features.values)]
        for keys in self.batches:
            positions = torch.tensor([position % self.count for _, position in keys])
            yield values[positions], self.features.targets[positions]


class HeadClassifier(nn.Module):
    """The head alone, with the interface of :class:`Classifier`, on features instead of images."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.network = head

    def outputs(self, features: torch.Tensor) -> torch.Tensor:
        """Return (N, K) unnormalised scores."""
        output: torch.Tensor = self.network(features)
        return output

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return (N, K) probabilities in float32."""
        return self.outputs(features).float().softmax(dim=1)
