"""Preprocessed images by number: all of them in memory where they fit, else read on demand."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from cnncli.arrays import Array
from cnncli.data.samples import ImageSource, Samples, text_array
from cnncli.images.header import ImageError
from cnncli.images.preprocess import FULL_SCALE, Preprocess

# Images that cannot be used: number to reason.
Bad = dict[int, str]

T = TypeVar("T")
R = TypeVar("R")

# Of the memory that is free, what the cache may take; the rest is for the network and the user.
_CACHE_SHARE = 0.3


def hash_files(files: Sequence[bytes]) -> str:
    """Return 32 hex digits that name the content of a sample's files (BLAKE2b, 128 bits)."""
    digest = hashlib.blake2b(digest_size=16)
    for data in files:
        digest.update(data)
    return digest.hexdigest()


@dataclass(frozen=True)
class ImageStore:
    """Preprocessed images of a set of samples.

    Attributes:
        source: Gives the files' bytes.
        preprocess: Turns bytes into (H, W, C) arrays.
        cached: (N, H, W, C) tensor, or None where they are read on demand. A tensor, since
            loader processes share its memory, also where they are spawned.
        cut: (N,) shares of the values beyond the windows, 0–1; None where read on demand.
    """

    source: ImageSource
    preprocess: Preprocess
    cached: torch.Tensor | None = None
    cut: Array | None = None

    def __getitem__(self, index: int) -> Array:
        """Return an image (H, W, C); raises ImageError where it is read now and cannot be."""
        if self.cached is not None:
            return np.asarray(self.cached[index].numpy())
        try:
            return self.preprocess(self.source.read(index))
        except OSError as error:
            raise ImageError(describe_failure(error)) from None


@dataclass(frozen=True)
class FileDigests:
    """What ``splits.csv`` keeps of each file, so that it is known again.

    Attributes:
        sizes: (N,) in bytes.
        hashes: (N,) texts; empty where the files are too many to be read for it.
    """

    sizes: Array
    hashes: Array


def map_in_threads(function: Callable[[T], R], items: Iterable[T], threads: int) -> Iterator[R]:
    """Yield ``function(item)`` in the order of the items, few of them in flight at a time."""
    with ThreadPoolExecutor(threads) as pool:
        waiting = iter(items)
        running = [pool.submit(function, item) for item in islice(waiting, 4 * threads)]
        while running:
            result = running.pop(0).result()
            running += [pool.submit(function, item) for item in islice(waiting, 1)]
            yield result


def fits_in_memory(count: int, preprocess: Preprocess) -> bool:
    """Tell whether ``count`` preprocessed images may stay in memory."""
    size = np.dtype(preprocess.dtype).itemsize * preprocess.channels
    size *= preprocess.height * preprocess.width
    return count * size <= _CACHE_SHARE * _free_memory()


def _free_memory() -> int:
    """Return the free memory in bytes (the container's limit counts), 4 GiB where unknown."""
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
    """Read, check and preprocess every image, and keep them in memory.

    Returns:
        The store (black where an image cannot be used), facts on the files, and what cannot.
    """

    def load(index: int) -> tuple[Array | str, float, int, str]:
        try:
            files = samples.source.read(index)
            return *preprocess.read(files), sum(map(len, files)), hash_files(files)
        except (ImageError, OSError) as error:
            return describe_failure(error), 0.0, 0, ""

    shape = (len(samples), preprocess.height, preprocess.width, preprocess.channels)
    cached = np.zeros(shape, dtype=preprocess.dtype)
    cuts, sizes = np.zeros(len(samples)), np.zeros(len(samples), dtype=np.int64)
    hashes: list[str] = []
    bad: Bad = {}
    for index, (image, cut, size, digest) in enumerate(
        map_in_threads(load, range(len(samples)), threads)
    ):
        if isinstance(image, str):
            bad[index] = image
        else:
            cached[index] = image
        cuts[index], sizes[index] = cut, size
        hashes.append(digest)
        advance(1)
    store = ImageStore(samples.source, preprocess, torch.from_numpy(cached), cuts)
    return store, FileDigests(sizes, text_array(hashes)), bad


def describe_failure(error: ImageError | OSError) -> str:
    """Return why a sample cannot be read, without its path."""
    return str(error) if isinstance(error, ImageError) else f"cannot be read ({error.strerror})"


def open_images(samples: Samples, preprocess: Preprocess) -> tuple[ImageStore, FileDigests, Bad]:
    """Read images on demand: for sets that do not fit in memory; only sizes are known.

    Returns:
        The store, facts on the files, and the images that are gone or closed.
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
    """Return the store's preprocessing with mean and std of (up to ``most``) training images.

    Both are per channel and fractions of full scale; a std below 0.02 (a constant image) counts
    as 0.02, so that nothing is blown up.
    """
    chosen = indices[np.linspace(0, len(indices) - 1, min(most, len(indices))).astype(int)]
    sums, counted = np.zeros((2, store.preprocess.channels)), 0
    for index in chosen.tolist():
        try:
            image = store[index]
        except ImageError:
            continue  # told in the first epoch
        pixels = image.reshape(-1, store.preprocess.channels).astype(np.float64)
        pixels /= FULL_SCALE[store.preprocess.dtype]
        sums += pixels.mean(axis=0), (pixels**2).mean(axis=0)
        counted += 1
    mean, square = sums / max(1, counted)
    std = np.sqrt(np.maximum(square - mean**2, 0.02**2))

    def plain(values: Any) -> tuple[float, ...]:
        return tuple(round(float(value), 6) for value in values)

    return replace(store.preprocess, mean=plain(mean), std=plain(std))
