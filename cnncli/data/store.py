"""Preprocessed images by number: all of them in memory if they fit, else read on demand."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from cnncli.arrays import Array
from cnncli.data.samples import ImageSource, Samples, text_array
from cnncli.errors import CnncliError
from cnncli.images.header import ImageError
from cnncli.images.preprocess import FULL_SCALE, Preprocess

if TYPE_CHECKING:
    import torch

# For the number of each image that cannot be used: the reason.
Bad = dict[int, str]

T = TypeVar("T")
R = TypeVar("R")

# Fraction of the free memory that images may take. The rest is for the network and other programs.
_MEMORY_FRACTION = 0.3


def hash_files(files: Sequence[bytes]) -> str:
    """Return a hash of the content of a sample's files: 32 hex digits (BLAKE2b, 128 bits)."""
    digest = hashlib.blake2b(digest_size=16)
    for data in files:
        digest.update(data)
    return digest.hexdigest()


class NoneReadableError(CnncliError):
    """Not a single image of a split can be read."""


@dataclass(frozen=True)
class ImageStore:
    """The preprocessed images of N samples.

    Attributes:
        source: Gives the content of the files.
        preprocess: Turns the files of a sample into an array (H, W, C).
        cached: (N, H, W, C) all images, or None if they are read on demand. It is a tensor, since
            worker processes share the memory of a tensor, even if they are spawned.
        cut: (N,) fraction of each image's stored values that lie outside the intensity window,
            0–1; None if the images are read on demand.
        coloured: (N,) whether each image is a colour picture that was made grey; None likewise.
    """

    source: ImageSource
    preprocess: Preprocess
    cached: torch.Tensor | None = None
    cut: Array | None = None
    coloured: Array | None = None

    def __getitem__(self, index: int) -> Array:
        """Return an image (H, W, C); raises ImageError if it is read on demand and cannot be."""
        if self.cached is not None:
            return np.asarray(self.cached[index].numpy())
        try:
            return self.preprocess(self.source.read(index))
        except OSError as error:
            raise ImageError(describe_failure(error)) from None


@dataclass(frozen=True)
class FileDigests:
    """Sizes and hashes of the files of N samples, by which ``splits.csv`` recognises them.

    Attributes:
        sizes: (N,) size of each sample's files together in bytes.
        hashes: (N,) hash of the content of each sample's files, from `hash_files`. It is empty if
            the files were not read for it, or cannot be read.
    """

    sizes: Array
    hashes: Array


def map_in_threads(function: Callable[[T], R], items: Iterable[T], threads: int) -> Iterator[R]:
    """Yield ``function(item)`` for each item, in the order of the items.

    At most four items per thread are waiting or being worked on at a time, so that results of a
    large set do not pile up in memory.
    """
    with ThreadPoolExecutor(threads) as pool:
        waiting = iter(items)
        running = [pool.submit(function, item) for item in islice(waiting, 4 * threads)]
        while running:
            result = running.pop(0).result()
            running += [pool.submit(function, item) for item in islice(waiting, 1)]
            yield result


def fits_in_memory(count: int, preprocess: Preprocess) -> bool:
    """Return whether so many preprocessed images may be kept in memory."""
    size = np.dtype(preprocess.dtype).itemsize * preprocess.channels
    size *= preprocess.height * preprocess.width
    return count * size <= _MEMORY_FRACTION * free_memory()


def free_memory() -> int:
    """Return the free memory in bytes, within the limit of a container; 4 GiB if unknown."""
    free = 4 << 30
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                free = int(line.split()[1]) * 1024
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
        free = min(free, int(limit) - used) if limit != "max" else free
    except (OSError, ValueError):
        pass
    return free


def load_images(
    samples: Samples,
    preprocess: Preprocess,
    *,
    threads: int,
    advance: Callable[[int], None] = lambda count: None,
) -> tuple[ImageStore, FileDigests, Bad]:
    """Read and preprocess every image, and keep all of them in memory.

    Args:
        samples: The images.
        preprocess: Turns the files of a sample into an array (H, W, C).
        threads: Number of threads that read and decode.
        advance: Called with 1 after each image.

    Returns:
        The store, in which an image that cannot be read is black; the digests of the files; and
        the images that cannot be read.
    """

    def load(index: int) -> tuple[Array | str, float, bool, int, str]:
        try:
            files = samples.source.read(index)
            return *preprocess.read(files), sum(map(len, files)), hash_files(files)
        except (ImageError, OSError) as error:
            return describe_failure(error), 0.0, False, 0, ""

    shape = (len(samples), preprocess.height, preprocess.width, preprocess.channels)
    cached = np.zeros(shape, dtype=preprocess.dtype)
    cuts, sizes = np.zeros(len(samples)), np.zeros(len(samples), dtype=np.int64)
    coloured = np.zeros(len(samples), dtype=bool)
    hashes: list[str] = []
    bad: Bad = {}
    for index, (image, cut, is_coloured, size, digest) in enumerate(
        map_in_threads(load, range(len(samples)), threads)
    ):
        if isinstance(image, str):
            bad[index] = image
        else:
            cached[index] = image
        cuts[index], coloured[index], sizes[index] = cut, is_coloured, size
        hashes.append(digest)
        advance(1)
    import torch  # what only reads lists of images needs none

    store = ImageStore(samples.source, preprocess, torch.from_numpy(cached), cuts, coloured)
    return store, FileDigests(sizes, text_array(hashes)), bad


def describe_failure(error: ImageError | OSError) -> str:
    """Return why a sample cannot be read, without its path, for a message that names it."""
    return str(error) if isinstance(error, ImageError) else f"cannot be read ({error.strerror})"


def open_images(samples: Samples, preprocess: Preprocess) -> tuple[ImageStore, FileDigests, Bad]:
    """Return a store that reads images on demand, for sets that do not fit in memory.

    Args:
        samples: The images.
        preprocess: Turns the files of a sample into an array (H, W, C).

    Returns:
        The store; the digests of the files, with sizes but without hashes; and the images whose
        files do not exist or cannot be accessed.
    """
    sizes = np.zeros(len(samples), dtype=np.int64)
    bad: Bad = {}

    def measure(index: int) -> None:
        try:
            sizes[index] = samples.source.size(index)
        except OSError as error:
            bad[index] = describe_failure(error)

    for index in range(len(samples)):
        measure(index)
    hashes = text_array([""] * len(samples))
    return ImageStore(samples.source, preprocess), FileDigests(sizes, hashes), bad


def fit_normalisation(store: ImageStore, indices: Array, *, most: int = 2000) -> Preprocess:
    """Return the preprocessing of a store with the mean and std of some of its images.

    Both are per channel, as fractions of full scale (0–1). A std below 0.02, as that of constant
    images, becomes 0.02, so that division by it does not amplify noise.

    Args:
        store: Preprocessed images.
        indices: (M,) numbers of the training images.
        most: Largest number of images to use, evenly spread over ``indices``.
    """
    chosen = indices[np.linspace(0, len(indices) - 1, min(most, len(indices))).astype(int)]
    sums, counted = np.zeros((2, store.preprocess.channels)), 0
    for index in chosen.tolist():
        try:
            image = store[index]
        except ImageError:
            continue  # reported in the first epoch
        pixels = image.reshape(-1, store.preprocess.channels).astype(np.float64)
        pixels /= FULL_SCALE[store.preprocess.dtype]
        sums += pixels.mean(axis=0), (pixels**2).mean(axis=0)
        counted += 1
    mean, square = sums / max(1, counted)
    std = np.sqrt(np.maximum(square - mean**2, 0.02**2))

    def plain(values: Any) -> tuple[float, ...]:
        return tuple(round(float(value), 6) for value in values)

    return replace(store.preprocess, mean=plain(mean), std=plain(std))
