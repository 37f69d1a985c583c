"""Features of images that several runs share: the folds of a cross-validation."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

from cnncli.arrays import Array

T = TypeVar("T")


@dataclass
class KeptFeatures:
    """What frozen layers gave for all images of all folds.

    They are computed for all images at once, in one order and in the same batches whichever fold
    asks first, so that a cross-validation that was interrupted computes the same.

    Attributes:
        found: What was computed, by all that it depends on.
        threads: The number of threads that the last run ended with, which the next one begins
            with; 0 before the first has ended.
    """

    found: dict[Hashable, Any] = field(default_factory=dict)
    threads: int = 0

    def take(self, key: Hashable, compute: Callable[[], T]) -> tuple[T, bool]:
        """Return what ``compute`` returns, and whether an earlier run computed it.

        Only what was computed last is kept of each kind, which is the key's first part.

        Args:
            key: All that the features depend on, the kind of them first.
            compute: Computes the features.
        """
        if key in self.found:
            return self.found[key], True
        kind = key[0]  # type: ignore[index]
        self.found = {known: value for known, value in self.found.items() if known[0] != kind}  # type: ignore[index]
        self.found[key] = compute()
        return self.found[key], False


def digest_layers(network: nn.Module, without: tuple[str, ...], numbers: Array) -> str:
    """Return a digest of a network's tensors, but for some layers, and of the images' numbers.

    Args:
        network: The network.
        without: Paths of the layers that do not count, such as the head.
        numbers: (M,) numbers of the images.
    """
    digest = hashlib.blake2b(
        np.ascontiguousarray(numbers, dtype=np.int64).tobytes(), digest_size=16
    )
    for name, tensor in sorted(network.state_dict().items()):
        if not any(name == path or name.startswith(f"{path}.") for path in without):
            digest.update(f"{name}\0{tensor.dtype}\0".encode())
            plain = tensor.detach().cpu().contiguous().reshape(-1)
            digest.update(plain.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
