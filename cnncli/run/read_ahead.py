"""Reads images ahead of the network, in threads, in the order in which they are named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty, Queue
from threading import Event, Thread

from cnncli.arrays import Array
from cnncli.files import MOST_OF_IMAGE, read_file
from cnncli.images.header import ImageError
from cnncli.images.preprocess import Preprocess
from cnncli.training.cores import count_cpus

# The path of an image, the image (H, W, C) in each form or why it cannot be read, how much of it
# was cut in the first form, and whether it lost its colour in one of them.
Loaded = tuple[str, "tuple[Array, ...] | str", float, bool]


def read_batches(
    inputs: Iterator[tuple[str, ...]], forms: Sequence[Preprocess], batch_size: int
) -> Iterator[list[Loaded]]:
    """Yield the images in order, in batches of those that are ready.

    One thread goes through the inputs, several decode, and this one takes what is ready: the first
    row does not wait for a full batch or for the end of stdin.

    Args:
        inputs: The paths of the files of each image.
        forms: What each image is turned into.
        batch_size: Largest number of images of a batch.
    """
    # The queue holds two batches at most; the walking thread then waits, which limits the memory.
    queue: Queue[Future[Loaded] | BaseException | None] = Queue(maxsize=2 * batch_size)
    stop = Event()

    def walk() -> None:
        try:
            for files in inputs:
                if stop.is_set():
                    return
                queue.put(pool.submit(_read, files, forms))
            queue.put(None)
        except BaseException as error:  # raised again in the main thread
            queue.put(error)

    with ThreadPoolExecutor(count_cpus()) as pool:
        Thread(target=walk, daemon=True).start()
        try:
            yield from _collect(queue, batch_size)
        finally:
            stop.set()
            while not queue.empty():  # the walking thread may wait for room in it
                queue.get_nowait()


def _collect(
    queue: Queue[Future[Loaded] | BaseException | None], batch_size: int
) -> Iterator[list[Loaded]]:
    """Yield batches from a queue of images, which ends with None or with an error to raise."""
    batch: list[Loaded] = []
    while True:
        try:
            # Wait long only for the first image of a batch. Where images come fast, the queue is
            # always full, and so are the batches.
            item = queue.get() if not batch else queue.get(timeout=0.02)
        except Empty:
            yield batch
            batch = []
            continue
        if isinstance(item, Future):
            batch.append(item.result())
            if len(batch) < batch_size:
                continue
        if batch:
            yield batch
            batch = []
        if item is None:
            return
        if isinstance(item, BaseException):
            raise item


def _read(files: tuple[str, ...], forms: Sequence[Preprocess]) -> Loaded:
    """Read an image of one or several files, and bring it into each form."""
    path = "|".join(files)  # as splits.csv names a sample of several files
    try:
        content = [read_file(file, most=MOST_OF_IMAGE) for file in files]
        images, cuts, coloured = zip(*(form.read(content) for form in forms), strict=True)
        return path, images, cuts[0], any(coloured)
    except ImageError as error:
        reason = str(error)
    except (OSError, ValueError) as error:  # a path with a null byte is a ValueError: find -print0
        reason = f"cannot be read: {getattr(error, 'strerror', None) or error}"
    return path, reason, 0.0, False
