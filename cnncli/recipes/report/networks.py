"""Which network has judged an image: that of the run, or that of the fold that did not see it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from torch import nn

from cnncli.arrays import Array
from cnncli.explain.map_layer import MapLayer
from cnncli.training.checkpoint import Checkpoint, load_checkpoint

_MOST_IN_MEMORY = 8  # networks of a cross-validation; of more, some are read again


@dataclass
class Judging:
    """A network that has judged images.

    Attributes:
        network: In eval mode, on the CPU.
        checkpoint: The classifier that it is of.
        layer: The layer of its heat maps; None before the first one.
    """

    network: nn.Module
    checkpoint: Checkpoint
    layer: MapLayer | None = None


FindJudging = Callable[[int], Judging | None]


def find_by_fold(files: Sequence[Path], folds: Array) -> FindJudging:
    """Return a function that finds the network of a cross-validation that has judged an image.

    Args:
        files: The checkpoints of its K networks.
        folds: (N,) fold of each image, from 1; 0 for one that the mean of all networks judged, of
            which there is no single one.
    """

    @lru_cache(maxsize=_MOST_IN_MEMORY)
    def load(fold: int) -> Judging:
        return Judging(*load_checkpoint(files[fold - 1]))

    return lambda index: load(int(folds[index])) if folds[index] else None
