"""Reads images ahead of the network, in threads, in the order in which they are named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty, Queue
from threading import Event, Lock, Thread

from cnncli.arrays import Array
from cnncli.files import MOST_OF_IMAGE, read_file
from cnncli.images.header import ImageError
from cnncli.images.preprocess import Preprocess
from cnncli.training.cores import count_cpus

# The path of an image, the image (H, W, C) in each form or why it cannot be read, how much of it
# was cut in the first form, and whether it lost its colour in one of them.
LoadedImage = tuple[str, "tuple[Array, ...] | str", float, bool]


# So many images at most are read in a row by one thread: to hand over a small one takes longer than
# to read it.
_MOST_OF_CHUNK = 16


def read_batches(
    inputs: Iterator[tuple[str, ...]], forms: Sequence[Preprocess], batch_size: int
) -> Iterator[list[LoadedImage]]:
    """Yield the images in order, in batches of those that are ready.

    One thread goes through the inputs, several decode, and this one takes what is ready: the first
    row does not wait for a full batch or for the end of stdin.

    Args:
        inputs: The paths of the files of each image.
        forms: What each image is turned into.
        batch_size: Largest number of images of a batch.
    """
    most = max(1, min(_MOST_OF_CHUNK, batch_size // 2))
    # The queue holds two batches at most; the walking thread then waits, which limits the memory.
    queue: Queue[Future[list[LoadedImage]] | BaseException | None] = Queue(2 * batch_size // most)
    stop = Event()

    def walk() -> None:
        try:
            chunk: _Chunk | None = None
            for files in inputs:
                if stop.is_set():
                    return
                if chunk is None or not chunk.add(files, most):
                    chunk = _Chunk(files)
                    queue.put(pool.submit(chunk.read, forms))
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


class _Chunk:
    """Images that one thread reads in a row; some may be added until it begins.

    Where inputs come slowly each is read at once, and where they come fast the chunks are full.
    """

    def __init__(self, files: tuple[str, ...]) -> None:
        self._lock = Lock()
        self._inputs = [files]
        self._has_begun = False

    def add(self, files: tuple[str, ...], most: int) -> bool:
        """Add an image; return whether there was room for it.

        Args:
            files: The paths of its files.
            most: Most images of the chunk.
        """
        with self._lock:
            if self._has_begun or len(self._inputs) == most:
                return False
            self._inputs.append(files)
            return True

    def read(self, forms: Sequence[Preprocess]) -> list[LoadedImage]:
        """Read all of them, and take no more."""
        with self._lock:
            self._has_begun = True
        return [_read(files, forms) for files in self._inputs]


def _collect(
    queue: Queue[Future[list[LoadedImage]] | BaseException | None], batch_size: int
) -> Iterator[list[LoadedImage]]:
    """Yield batches from a queue of chunks, which ends with None or with an error to raise."""
    batch: list[LoadedImage] = []
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
            batch += item.result()
            while len(batch) >= batch_size:
                yield batch[:batch_size]
                batch = batch[batch_size:]
            continue
        if batch:
            yield batch
            batch = []
        if item is None:
            return
        if isinstance(item, BaseException):
            raise item


def _read(files: tuple[str, ...], forms: Sequence[Preprocess]) -> LoadedImage:
    """Read an image of one or several files, and bring it into each form."""
    path = "|".join(files)  # as splits.csv names a sample of several files
    try:
        content = [read_file(file, most=MOST_OF_IMAGE) for file in files]
        if len(forms) == 1:
            image, cut, is_coloured = forms[0].read(content)
            return path, (image,), cut, is_coloured
        images, cuts, coloured = zip(*(form.read(content) for form in forms), strict=True)
        return path, images, cuts[0], any(coloured)
    except ImageError as error:
        reason = str(error)
    except (OSError, ValueError) as error:  # a path with a null byte is a ValueError: find -print0
        reason = f"cannot be read: {getattr(error, 'strerror', None) or error}"
    return path, reason, 0.0, False
