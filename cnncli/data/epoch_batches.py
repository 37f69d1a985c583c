"""Which images make up each batch of an epoch, and in which order."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cnncli.arrays import Array


@dataclass(frozen=True)
class BatchShard:
    """The part of each batch that one of several training processes gets.

    Attributes:
        rank: Number of the process, from 0.
        processes: Number of processes.
        min_images: Smallest number of images, of all processes together, in the last batch of an
            epoch. Fewer images are added to the batch before.
    """

    rank: int = 0
    processes: int = 1
    min_images: int = 2

    def cut(self, batch: Array) -> Array:
        """Return this process's part of a batch: consecutive items, as many as others ± 1."""
        start, stop = (len(batch) * rank // self.processes for rank in (self.rank, self.rank + 1))
        return batch[start:stop]


# The part of a process that trains alone.
WHOLE_BATCH = BatchShard()


class EpochBatches:
    """Which images make up the batches of an epoch, in which order.

    The order is shuffled or drawn by seed and epoch, or the order of the images themselves. A
    batch is a list of pairs (epoch, position), as `SplitDataset` takes them: the r-th repeat of a
    position is written as position + r · count. A last batch of a single image is added to the
    batch before, since BatchNorm cannot train on one image. With several processes, each batch is
    cut into consecutive parts whose lengths differ by one at most.

    Attributes:
        epoch: The epoch whose batches come next, from 1; to be set before each epoch.
        skip: Number of batches to leave out at the beginning of the epoch, when training goes on
            in the middle of one.
    """

    def __init__(
        self,
        count: int,
        batch_size: int,
        *,
        seed: int | None,
        balanced: Array | None = None,
        shard: BatchShard = WHOLE_BATCH,
    ) -> None:
        """Set what decides the order.

        Args:
            count: Number of images.
            batch_size: Number of images of this process in every batch but the last one.
            seed: Seed of the order; None keeps the order of the images.
            balanced: (count,) class indices. If given, images are drawn with replacement, each
                class with the same probability. None takes every image once.
            shard: The part of each batch that this process gets.
        """
        self.count = count
        self.batch_size = batch_size * shard.processes  # the images of all processes together
        self.shard = shard
        self.seed = seed
        self.balanced = balanced
        self.epoch = 1
        self.skip = 0

    def __len__(self) -> int:
        full, rest = divmod(self.count, self.batch_size)
        return max(min(1, self.count), full + (rest >= self.shard.min_images))

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch, order = self.epoch, self._order()
        cuts = [number * self.batch_size for number in range(len(self))] + [self.count]
        for start, stop in itertools.islice(itertools.pairwise(cuts), self.skip, None):
            yield [(epoch, int(position)) for position in self.shard.cut(order[start:stop])]

    def _order(self) -> Array:
        """Return (count,) positions in the order of the epoch."""
        order = np.arange(self.count)
        if self.seed is None:
            return order
        rng = np.random.default_rng((self.seed, self.epoch))
        if self.balanced is not None:
            return _number_repeats(_draw_balanced(self.balanced, rng))
        rng.shuffle(order)
        return order


def _draw_balanced(targets: Array, rng: np.random.Generator) -> Array:
    """Draw N positions with replacement: each time a class, then one of its images, uniformly."""
    by_class = np.argsort(targets, kind="stable")
    _, starts, counts = np.unique(targets[by_class], return_index=True, return_counts=True)
    classes = rng.integers(len(counts), size=len(targets))
    return np.asarray(by_class[starts[classes] + rng.integers(counts[classes])])


def _number_repeats(positions: Array) -> Array:
    """Add N to the second occurrence of a position, 2 N to its third, and so on.

    Args:
        positions: (N,) positions, 0 to N - 1, with repeats.
    """
    order = np.argsort(positions, kind="stable")
    _, starts, counts = np.unique(positions[order], return_index=True, return_counts=True)
    repeats = np.empty_like(positions)
    repeats[order] = np.arange(len(positions)) - np.repeat(starts, counts)
    return np.asarray(positions + repeats * len(positions))
