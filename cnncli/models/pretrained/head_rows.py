"""The head of pretrained weights: its rows belong to classes, and follow their names."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from cnncli.errors import shorten
from cnncli.models.pretrained.fit import Tensors
from cnncli.models.registry import ModelEntry
from cnncli.models.stages import network_head

_SHOWN = 3  # class names in a message before "and N more"


def fit_head(
    tensors: Tensors,
    own: Tensors,
    heads: Sequence[str],
    known: Sequence[str] | None,
    class_names: Sequence[str],
) -> tuple[set[str], str]:
    """Bring the rows of heads into the order of the network's classes.

    Row k of a head's weight and bias computes the logit of class k. If the file's classes are the
    network's in another order, the rows are moved. If they are others, or are not known, the rows
    mean nothing to the network.

    Args:
        tensors: Tensors of the file by name; they are changed in place.
        own: Tensors of the network by name.
        heads: Paths of the layers that compute logits, as `find_heads` returns them.
        known: The names of the file's classes in the order of its rows; None if unknown.
        class_names: The names of the network's classes in the order of its logits.

    Returns:
        Names of the tensors that must not be used, and a clause that says what was done; both are
        empty if there is nothing to say.
    """
    names = [f"{head}.{kind}" for head in heads for kind in ("weight", "bias")]
    rows = {n for n in names if n in tensors and n in own and tensors[n].shape == own[n].shape}
    if not rows:
        return set(), ""
    if known is None:
        return rows, "the head is not used, since the file does not name its classes"
    if sorted(known) != sorted(class_names):
        others = [name for name in known if name not in class_names]
        lost = shorten(others, _SHOWN)
        return rows, f"the head is not used, since its classes are others ({lost})"
    if tuple(known) == tuple(class_names):
        return set(), ""
    order = [known.index(name) for name in class_names]
    for name in rows:
        tensors[name] = tensors[name][order]
    return set(), "the rows of the head were put into the order of this run's classes"


def find_heads(entry: ModelEntry, network: nn.Module) -> tuple[str, ...]:
    """Return the paths of all layers of a network that compute logits, auxiliary ones included.

    Args:
        entry: The network's entry in the registry.
        network: The network.
    """
    heads = [network_head(entry.name, network)]
    modules = dict(network.named_modules())
    for path in entry.aux_heads:
        layers = [
            name
            for name, module in modules.items()
            if name.startswith(f"{path}.") and isinstance(module, nn.Linear | nn.Conv2d)
        ]
        heads += layers[-1:]
    return tuple(heads)


def imagenet_classes() -> tuple[str, ...]:
    """Return the names of ImageNet's 1000 classes as torchvision has them."""
    from torchvision.models import ResNet18_Weights

    return tuple(ResNet18_Weights.IMAGENET1K_V1.meta["categories"])
