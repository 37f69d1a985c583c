"""Batches of preprocessed images.

Order and augmentation depend on the seed, the epoch and the number of the image alone, never on
how many worker processes load the images.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from cnncli.arrays import Array
from cnncli.data.epoch_batches import WHOLE_BATCH, BatchShard, EpochBatches
from cnncli.data.socket_folder import choose_socket_folder
from cnncli.data.store import Bad, ImageStore, NoneReadableError
from cnncli.errors import RUNTIME_FAILURE, CnncliError, count_of
from cnncli.images.header import ImageError

if TYPE_CHECKING:
    Batch = tuple[torch.Tensor, torch.Tensor]

# Changes an image (H, W, C), given the seed, the epoch, and a number that differs between draws.
Augment = Callable[[Array, int, int, int], Array]


class SplitDataset(Dataset["tuple[Array | str, int]"]):
    """The images of one split, by epoch and position, so that augmentation knows both."""

    def __init__(
        self,
        store: ImageStore,
        indices: Array,
        targets: Array,
        *,
        augment: Augment | None = None,
        seed: int = 0,
    ) -> None:
        """Set which images belong to the split.

        Args:
            store: Preprocessed images by number.
            indices: (M,) numbers in the store of the split's images.
            targets: (N,) class indices of all images in the store.
            augment: Changes an image before it is returned; None leaves it as it is.
            seed: Seed of the augmentation.
        """
        self.store = store
        self.indices = indices
        self.targets = targets
        self.augment = augment
        self.seed = seed
        self.left_out: Bad = {}  # numbers in the store of images that are not read, and why

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, key: tuple[int, int]) -> tuple[Array | str, int]:
        """Return one image of the split.

        Args:
            key: The epoch, from 1, and a position in the split. Where an image is drawn more than
                once in an epoch, its further draws have its position plus multiples of the length
                of the split.

        Returns:
            The image (H, W, C) and its class index. If it cannot be read: the reason, and the
            number of the image in the store.
        """
        epoch, number = key
        repeat, position = divmod(number, len(self))
        index = int(self.indices[position])
        if index in self.left_out:
            return self.left_out[index], index
        try:
            image = self.store[index]
        except ImageError as error:
            return str(error), index
        if self.augment is not None:
            # An image that is drawn twice in an epoch is augmented in two different ways.
            draw = index + repeat * len(self.targets)
            image = self.augment(image, self.seed, epoch, draw)
        return image, int(self.targets[index])


class Loader:
    """The images of a split in batches of images (N, H, W, C) and int64 targets (N,).

    Images have the dtype of the store: uint8 levels or float32 fractions.

    Attributes:
        batches: The order of the images.
        count: Number of images in the split.
        bad: Images that could not be read so far: their number in the store, and the reason. Only
            images that are read on demand can be among them.
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
        shard: BatchShard = WHOLE_BATCH,
    ) -> None:
        """Set which images come in what order, and how they are loaded.

        Args:
            dataset: The images of the split.
            batch_size: Number of images of this process in every batch but the last one.
            shuffle_seed: Seed of the order; None keeps the order of the images.
            workers: Number of processes that load images; 0 loads them in this process.
            pin_memory: Whether to put batches into pinned memory, from which they are copied to a
                GPU faster.
            start_method: How worker processes are started, ``fork`` or ``spawn``; None is the
                system's default.
            bad: Where to note images that cannot be read; None makes a new dictionary.
            balanced: Whether to draw images with replacement, each class with the same
                probability, instead of every image once.
            shard: The part of each batch that this process gets.
        """
        targets = dataset.targets[dataset.indices] if balanced else None
        self.batches = EpochBatches(
            len(dataset), batch_size, seed=shuffle_seed, balanced=targets, shard=shard
        )
        self.count = len(dataset)
        self._dataset = dataset
        self._shuffled = shuffle_seed is not None
        self.bad: Bad = {}
        if workers:
            choose_socket_folder(workers)
        self._loader = DataLoader(
            dataset,
            batch_sampler=self.batches,
            num_workers=workers,
            collate_fn=collate,
            worker_init_fn=_start_worker,
            persistent_workers=workers > 0,
            pin_memory=pin_memory,
            multiprocessing_context=start_method if workers else None,
            # DataLoader draws an unused number in each epoch. From a generator of its own, this
            # does not change the random state that the network uses.
            generator=torch.Generator(),
        )

    def __len__(self) -> int:
        return len(self.batches)

    def epoch(self, number: int, *, skip: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch, without the images that cannot be read.

        Args:
            number: Number of the epoch, from 1.
            skip: Number of batches to leave out at its beginning.

        Raises:
            CnncliError: If a worker process dies, or if one of several training processes has a
                batch without any image that can be read.
        """
        self.batches.epoch, self.batches.skip = number, skip
        for batch, bad in self._batches():
            self.bad.update(bad)
            if self.batches.shard.processes > 1:
                if batch is None:  # the other processes would wait for this step for ever
                    raise CnncliError(
                        f"no image of a batch can be read ({next(iter(bad.values()))}); several "
                        "processes need one at least in each: see cnncli check-data"
                    )
                yield batch
                continue
            # If bad images leave only one image in a training batch, the batch is left out:
            # BatchNorm cannot train on one image.
            if batch is not None and not (bad and self._shuffled and len(batch[1]) == 1):
                yield batch

    def leave_out(self, found: Bad) -> bool:
        """Leave images out from the next epoch on, even if they can be read again.

        Args:
            found: Their numbers in the store, and why they are left out.

        Returns:
            Whether any of them was not left out before.
        """
        new = found.keys() - self._dataset.left_out.keys()
        if new:
            self._dataset.left_out.update(found)
            self.close()  # the loader processes have a copy of the data set as it was
        return bool(new)

    def none_left(self) -> NoneReadableError:
        """Return the error to raise where not a single image of the split can be read."""
        reason = f" ({next(iter(self.bad.values()))})" if self.bad else ""
        return NoneReadableError(
            f"--data: none of {count_of(self.count, 'image')} can be read{reason}; cnncli "
            "check-data names them"
        )

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
        with explain_worker_death():
            yield from self._loader


@contextmanager
def explain_worker_death() -> Iterator[None]:
    """Turn torch's error about a dead worker process into one line that says what would help.

    torch learns of the death by a signal, and raises wherever the main process is at that moment.
    So this context must hold the whole training, not only the loading of a batch.

    Raises:
        CnncliError: In place of torch's RuntimeError, or of the error of a socket whose other end
            is gone, which may be seen before torch hears of the death.
    """
    try:
        yield
    except (ConnectionResetError, ConnectionRefusedError) as error:
        raise CnncliError(_describe_death(str(error)), exit_code=RUNTIME_FAILURE) from error
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise CnncliError(_describe_death(str(error)), exit_code=RUNTIME_FAILURE) from error


def _describe_death(message: str) -> str:
    """Return why a worker process has died, and what would help, from torch's message."""
    if "Bus error" in message or "shared memory" in message:
        return (
            "a loader process has died: /dev/shm is too small for its batches; make it larger "
            "(docker run --shm-size 2g) or use --workers 0"
        )
    return (
        "a loader process was killed, often because the memory is full; use fewer --workers, or 0 "
        "to load in the process itself"
    )


def collate(items: Sequence[tuple[Array | str, int]]) -> tuple[Batch | None, Bad]:
    """Stack images and targets to a batch, without the images that cannot be read.

    The images stay (N, H, W, C), which the network sees as channels-last memory.

    Args:
        items: What `SplitDataset` returns for each image of the batch.

    Returns:
        The images and targets, or None if no image of the batch can be read; and the images that
        cannot be read, by their number in the store, with the reason.
    """
    good = [(image, target) for image, target in items if not isinstance(image, str)]
    bad = {index: reason for reason, index in items if isinstance(reason, str)}
    if not good:
        return None, bad
    images, targets = zip(*good, strict=True)
    batch = torch.from_numpy(np.stack(images))
    if get_worker_info() is not None:
        # The batch goes to the main process through shared memory. If the queue's own thread moved
        # it there, an error (no space left) would be lost, and the main process wait for ever.
        batch.share_memory_()  # type: ignore[no-untyped-call]
    return (batch, torch.tensor(targets, dtype=torch.int64)), bad


def _start_worker(number: int) -> Any:
    """Set up a worker process: which signals it ignores, and its number of threads."""
    import cv2

    # Ctrl-C in a terminal reaches every process of the run. The main one saves the run, and then
    # ends the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGHUP"):  # so does the end of the terminal
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # torchrun sends SIGTERM to all processes as well.
    launched = "TORCHELASTIC_RUN_ID" in os.environ
    signal.signal(signal.SIGTERM, signal.SIG_IGN if launched else signal.SIG_DFL)

    cv2.setNumThreads(0)  # one core per worker; OpenCV would start as many threads in each
