"""Batches: what is drawn depends on (seed, epoch, index) alone, never on the workers."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from cnncli.arrays import Array
from cnncli.data.store import Bad, ImageStore
from cnncli.errors import RUNTIME_FAILURE, CnncliError
from cnncli.images.header import ImageError

if TYPE_CHECKING:
    Batch = tuple[torch.Tensor, torch.Tensor]

Augment = Callable[[Array, int, int, int], Array]


@dataclass(frozen=True)
class BatchShard:
    """The part of each batch that one of several processes has.

    Attributes:
        number: Of the process, from 0.
        of: Processes.
        least: Images that a last batch of its own has.
    """

    number: int = 0
    of: int = 1
    least: int = 2

    def cut(self, batch: Array) -> Array:
        """Return this process's part of a batch, in a row."""
        start, stop = (len(batch) * number // self.of for number in (self.number, self.number + 1))
        return batch[start:stop]


WHOLE = BatchShard()


class SplitDataset(Dataset["tuple[Array | str, int]"]):
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

    def __getitem__(self, key: tuple[int, int]) -> tuple[Array | str, int]:
        """Return an image and its target, or why there is none and the image's number."""
        epoch, number = key
        repeat, position = divmod(number, len(self))
        index = int(self.indices[position])
        try:
            image = self.store[index]
        except ImageError as error:
            return str(error), index
        if self.augment is not None:
            # An image drawn twice in an epoch is augmented in two ways.
            draw = index + repeat * len(self.targets)
            image = self.augment(image, self.seed, epoch, draw)
        return image, int(self.targets[index])


class EpochBatches:
    """The order of one epoch: shuffled by (seed, epoch), drawn by them, or as it is.

    Batches hold (epoch, position); the r-th repeat of a position is told as position + r · count.
    A last batch of one image joins the one before: BatchNorm cannot train on one image. Several
    processes cut each batch into their shares, in a row and of the same length up to one.

    Attributes:
        epoch: Set before each epoch.
        skip: Batches at its beginning that have been seen before.
    """

    def __init__(
        self,
        count: int,
        batch_size: int,
        *,
        seed: int | None,
        balanced: Array | None = None,
        share: BatchShard = WHOLE,
    ) -> None:
        """Set what decides the order.

        Args:
            count: Images.
            batch_size: Images of this process in all batches but the last.
            seed: None for the images' own order.
            balanced: (count,) targets; images are drawn with replacement, so that each class is
                as likely as the others. None draws every image once.
            share: Of each batch, this process's.
        """
        self.count = count
        self.batch_size = batch_size * share.of  # of all processes
        self.share = share
        self.seed = seed
        self.balanced = balanced
        self.epoch = 1
        self.skip = 0

    def __len__(self) -> int:
        full, rest = divmod(self.count, self.batch_size)
        return max(min(1, self.count), full + (rest >= self.share.least))

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch, order = self.epoch, self._order()
        cuts = [number * self.batch_size for number in range(len(self))] + [self.count]
        for start, stop in itertools.islice(itertools.pairwise(cuts), self.skip, None):
            yield [(epoch, int(position)) for position in self.share.cut(order[start:stop])]

    def _order(self) -> Array:
        order = np.arange(self.count)
        if self.seed is None:
            return order
        rng = np.random.default_rng((self.seed, self.epoch))
        if self.balanced is not None:
            return _number_repeats(_draw_balanced(self.balanced, rng))
        rng.shuffle(order)
        return order


def _draw_balanced(targets: Array, rng: np.random.Generator) -> Array:
    """Draw N positions: first a class, all alike, then one of its images, all alike."""
    by_class = np.argsort(targets, kind="stable")
    _, starts, counts = np.unique(targets[by_class], return_index=True, return_counts=True)
    classes = rng.integers(len(counts), size=len(targets))
    return np.asarray(by_class[starts[classes] + rng.integers(counts[classes])])


def _number_repeats(positions: Array) -> Array:
    """Add N to a position's second occurrence, 2 N to its third, and so on."""
    order = np.argsort(positions, kind="stable")
    _, starts, counts = np.unique(positions[order], return_index=True, return_counts=True)
    repeats = np.empty_like(positions)
    repeats[order] = np.arange(len(positions)) - np.repeat(starts, counts)
    return np.asarray(positions + repeats * len(positions))


class Loader:
    """A split in batches: uint8 (or stored dtype) images (N, H, W, C) and int64 targets (N,).

    Attributes:
        count: Images in the split.
        bad: Those that could not be read so far, by number in the store, and why; only images that
            are read on demand can be among them.
    """

    def __init__(
        self,
        dataset: SplitDataset,
        batch_size: int,
        *,
        shuffle_seed: int | None = None,
        workers: int = 0,
        pin_memory: bool = False,
        start_method: str | None = None,
        balanced: bool = False,
        share: BatchShard = WHOLE,
    ) -> None:
        targets = dataset.targets[dataset.indices] if balanced else None
        self.batches = EpochBatches(
            len(dataset), batch_size, seed=shuffle_seed, balanced=targets, share=share
        )
        self.count = len(dataset)
        self._shuffled = shuffle_seed is not None
        self.bad: Bad = {}
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

    def epoch(self, number: int, *, skip: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch without the images that cannot be read.

        Args:
            number: Of the epoch, from 1.
            skip: Batches at its beginning to leave out.

        Raises:
            CnncliError: If a loader process dies.
        """
        self.batches.epoch, self.batches.skip = number, skip
        for batch, bad in self._batches():
            self.bad.update(bad)
            if self.batches.share.of > 1:
                if batch is None:  # the others would wait for this step
                    raise CnncliError(
                        f"no image of a batch can be read ({next(iter(bad.values()))}); several "
                        "processes need one at least in each: see cnncli check-data"
                    )
                yield batch
                continue
            # BatchNorm cannot train on the one image that may be left of a batch.
            if batch is not None and not (bad and self._shuffled and len(batch[1]) == 1):
                yield batch

    def close(self) -> None:
        """End the loader processes, if there are any, and wait for them; the next epoch starts new.

        Python does not end them in time by itself: a loader in a reference cycle lives until the
        process exits. There multiprocessing kills its processes, and torch, which watches over
        them, takes that for a failure and raises.
        """
        iterator: Any = self._loader._iterator
        if iterator is not None:  # torch keeps it only where there are processes
            iterator._shutdown_workers()
            self._loader._iterator = None

    def _batches(self) -> Iterator[tuple[Batch | None, Bad]]:
        with deaths_told():
            yield from self._loader


@contextmanager
def deaths_told() -> Iterator[None]:
    """Say in one line that a loader process has died.

    torch hears of it by a signal and raises wherever the main process is then, also in a step.

    Raises:
        CnncliError: In the place of torch's error.
    """
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise CnncliError(_tell_death(str(error)), exit_code=RUNTIME_FAILURE) from error


def _tell_death(said: str) -> str:
    """Return why a loader process is gone, and what would help."""
    if "Bus error" in said or "shared memory" in said:
        return (
            "a loader process has died: /dev/shm is too small for its batches; make it larger "
            "(docker run --shm-size 2g) or use --workers 0"
        )
    return (
        "a loader process was killed, often because the memory is full; use fewer --workers, or 0 "
        "to load in the process itself"
    )


def collate(items: Sequence[tuple[Array | str, int]]) -> tuple[Batch | None, Bad]:
    """Stack images and targets; the images stay NHWC, which is channels-last for the network.

    Returns:
        The batch, None if no image of it can be read; and those that cannot, never replaced.
    """
    good = [(image, target) for image, target in items if not isinstance(image, str)]
    bad = {index: reason for reason, index in items if isinstance(reason, str)}
    if not good:
        return None, bad
    images, targets = zip(*good, strict=True)
    batch = torch.from_numpy(np.stack(images))
    if get_worker_info() is not None:
        # Its way to the main process. Left to the queue's own thread, an error is lost in there
        # and the main process waits for ever.
        batch.share_memory_()  # type: ignore[no-untyped-call]
    return (batch, torch.tensor(targets, dtype=torch.int64)), bad


def _start_worker(number: int) -> Any:
    import cv2

    # A terminal's Ctrl-C reaches every process of the run: the main one saves and ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # torchrun sends SIGTERM to all of them too.
    launched = "TORCHELASTIC_RUN_ID" in os.environ
    signal.signal(signal.SIGTERM, signal.SIG_IGN if launched else signal.SIG_DFL)

    cv2.setNumThreads(0)  # one core per worker; OpenCV would start a pool in each
