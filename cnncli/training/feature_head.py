"""The head of a network by itself: the layers that run on features of a frozen backbone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from cnncli.data.loader import Loader
from cnncli.models.build import Classifier
from cnncli.models.freeze import Frozen
from cnncli.models.registry import find_model
from cnncli.models.stages import network_head
from cnncli.training.device import Compute


@dataclass(frozen=True)
class Head:
    """The layers at the end of a network that are trained on features.

    Attributes:
        paths: The paths of these layers in the network: the dropout before the head, if there is
            one and it is not frozen, the layer that gives the logits, and those behind it, as where
            SqueezeNet averages the maps of its head.
        flat: Whether the network makes vectors of what the last layer gives.
    """

    paths: tuple[str, ...]
    flat: bool = False

    def module(self, network: nn.Module) -> nn.Module:
        """Return the layers as one module, which shares the network's parameters."""
        layers = [network.get_submodule(path) for path in self.paths]
        return nn.Sequential(*layers, *[nn.Flatten()] * self.flat)


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
        The layers; None where the network does more after its head than the layers of the same
        ``nn.Sequential`` and a flattening.
    """
    network = classifier.network
    paths = [network_head(model, network)]
    dropout = find_model(model).head_dropout
    if dropout is not None and not frozen.holds(dropout):
        paths.insert(0, dropout)
    behind = _paths_behind(network, network_head(model, network))
    heads = [Head((*paths,)), Head((*paths, *behind)), Head((*paths, *behind), flat=True)]
    was_training = {module: module.training for module in classifier.modules()}
    classifier.eval()
    images, _ = next(iter(loader.epoch(1)), (None, None))
    if images is None:
        raise loader.none_left()
    with torch.no_grad(), compute.autocast():
        images = images.to(compute.device)
        features, logits = observe_features(classifier, heads[0], images)
        fitting = [h for h in heads if torch.equal(h.module(network)(features), logits)]
    for module, training in was_training.items():
        module.training = training
    return fitting[0] if fitting else None


def _paths_behind(network: nn.Module, path: str) -> tuple[str, ...]:
    """Return the paths of the layers behind one in the same ``nn.Sequential``."""
    above, _, name = path.rpartition(".")
    parent = network.get_submodule(above)
    if not isinstance(parent, nn.Sequential):
        return ()
    names = [child for child, _ in parent.named_children()]
    return tuple(f"{above}.{child}".lstrip(".") for child in names[names.index(name) + 1 :])


def observe_features(
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
