"""Batches: what is drawn depends on (seed, epoch, index) alone, never on the workers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from cnncli.data.sources import Array
from cnncli.data.store import ImageStore
from cnncli.errors import CnncliError

if TYPE_CHECKING:
    Batch = tuple[torch.Tensor, torch.Tensor]

Augment = Callable[[Array, int, int, int], Array]


class SplitDataset(Dataset["tuple[Array, int]"]):
    """One split's images; asked for by (epoch, position), so that augmentation knows both."""

    def __init__(
        self,
        store: ImageStore,
        indices: Array,
        targets: Array,
        *,
        augment: Augment | None = None,
        seed: int = 0,
    ) -> None:
        self.store = store
        self.indices = indices
        self.targets = targets
        self.augment = augment
        self.seed = seed

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, key: tuple[int, int]) -> tuple[Array, int]:
        epoch, position = key
        index = int(self.indices[position])
        image = self.store[index]
        if self.augment is not None:
            image = self.augment(image, self.seed, epoch, index)
        return image, int(self.targets[index])


class EpochBatches:
    """The order of one epoch: shuffled by (seed, epoch) or as it is.

    A last batch of one image joins the one before: BatchNorm cannot train on one image.

    Attributes:
        epoch: Set before each epoch.
    """

    def __init__(self, count: int, batch_size: int, *, seed: int | None) -> None:
        self.count = count
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 1

    def __len__(self) -> int:
        full, rest = divmod(self.count, self.batch_size)
        return max(min(1, self.count), full + (rest > 1))

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        order, epoch = np.arange(self.count), self.epoch
        if self.seed is not None:
            np.random.default_rng((self.seed, epoch)).shuffle(order)
        cuts = [number * self.batch_size for number in range(len(self))] + [self.count]
        for start, stop in itertools.pairwise(cuts):
            yield [(epoch, int(position)) for position in order[start:stop]]


class Loader:
    """A split in batches: uint8 (or stored dtype) images (N, H, W, C) and int64 targets (N,)."""

    def __init__(
        self,
        dataset: SplitDataset,
        batch_size: int,
        *,
        shuffle_seed: int | None = None,
        workers: int = 0,
        pin_memory: bool = False,
        start_method: str | None = None,
    ) -> None:
        self.batches = EpochBatches(len(dataset), batch_size, seed=shuffle_seed)
        self.count = len(dataset)
        self._loader = DataLoader(
            dataset,
            batch_sampler=self.batches,
            num_workers=workers,
            collate_fn=collate,
            worker_init_fn=_start_worker,
            persistent_workers=workers > 0,
            pin_memory=pin_memory,
            multiprocessing_context=start_method if workers else None,
            # It draws a number per epoch that nobody uses: not from the network's random state.
            generator=torch.Generator(),
        )

    def __len__(self) -> int:
        return len(self.batches)

    def epoch(self, number: int) -> Iterator[Batch]:
        """Yield the batches of an epoch, counted from 1.

        Raises:
            CnncliError: If an image is read now and cannot be.
        """
        self.batches.epoch = number
        try:
            yield from self._loader
        except CnncliError as error:
            # What a worker raises comes with the worker's traceback as its text.
            last_line = str(error).strip().rsplit("\n", 1)[-1]
            raise CnncliError(last_line.removeprefix("cnncli.errors.CnncliError: ")) from None


def collate(items: Sequence[tuple[Array, int]]) -> Batch:
    """Stack images and targets; the images stay NHWC, which is channels-last for the network."""
    images, targets = zip(*items, strict=True)
    return torch.from_numpy(np.stack(images)), torch.tensor(targets, dtype=torch.int64)


def _start_worker(number: int) -> Any:
    import cv2

    cv2.setNumThreads(0)  # one core per worker; OpenCV would start a pool in each
