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

from cnncli.data.sources import Array, ImageSource, Samples, text_array
from cnncli.errors import CnncliError
from cnncli.images.decode import ImageError, decode, is_grey
from cnncli.images.preprocess import FULL_SCALE, Preprocess

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
        paths: (N,) texts for messages, or None.
    """

    source: ImageSource
    preprocess: Preprocess
    cached: torch.Tensor | None = None
    paths: Array | None = None

    def __getitem__(self, index: int) -> Array:
        """Return an image (H, W, C); raises CnncliError where it is read now and cannot be."""
        if self.cached is not None:
            return np.asarray(self.cached[index].numpy())
        try:
            return self.preprocess(self.source.read(index))
        except (ImageError, OSError) as error:
            name = f"image {index}" if self.paths is None else str(self.paths[index])
            raise CnncliError(_tell_bad([f"{name} {_reason(error)}"])) from None


@dataclass(frozen=True)
class FileFacts:
    """What ``splits.csv`` keeps of each file, so that it is known again.

    Attributes:
        sizes: (N,) in bytes.
        hashes: (N,) texts; empty where the files are too many to be read for it.
    """

    sizes: Array
    hashes: Array


@dataclass(frozen=True)
class Look:
    """What a sample of the images is like.

    Attributes:
        sides: Median (height, width) in pixels.
        channels: 1 if at least nine in ten look grey, else 3.
    """

    sides: tuple[int, int]
    channels: int


def map_in_threads(function: Callable[[T], R], items: Iterable[T], threads: int) -> Iterator[R]:
    """Yield ``function(item)`` in the order of the items, few of them in flight at a time."""
    with ThreadPoolExecutor(threads) as pool:
        waiting = iter(items)
        running = [pool.submit(function, item) for item in islice(waiting, 4 * threads)]
        while running:
            result = running.pop(0).result()
            running += [pool.submit(function, item) for item in islice(waiting, 1)]
            yield result


def look_at(samples: Samples, *, threads: int, most: int = 96) -> Look:
    """Look at up to ``most`` images, evenly spread, for their size and colour.

    Raises:
        CnncliError: If none of them can be read.
    """
    indices = np.unique(np.linspace(0, len(samples) - 1, most).astype(int))

    def look(index: int) -> tuple[int, int, bool] | None:
        try:
            image = decode(samples.source.read(index)[0])
        except (ImageError, OSError):
            return None  # told later, with all the others
        return image.shape[0], image.shape[1], is_grey(image)

    seen = [s for s in map_in_threads(look, indices.tolist(), threads) if s is not None]
    if not seen:
        raise CnncliError(f"--data: none of {len(indices)} images looked at can be read")
    heights, widths, grey = zip(*seen, strict=True)
    return Look((int(np.median(heights)), int(np.median(widths))), 1 if np.mean(grey) >= 0.9 else 3)


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
) -> tuple[ImageStore, FileFacts]:
    """Read, check and preprocess every image, and keep them in memory.

    Raises:
        CnncliError: If images cannot be read; it names them.
    """

    def load(index: int) -> tuple[Array | str, int, str]:
        try:
            files = samples.source.read(index)
            return preprocess(files), sum(map(len, files)), hash_files(files)
        except (ImageError, OSError) as error:
            return _reason(error), 0, ""

    shape = (len(samples), preprocess.height, preprocess.width, preprocess.channels)
    cached = np.zeros(shape, dtype=preprocess.dtype)
    sizes = np.zeros(len(samples), dtype=np.int64)
    hashes: list[str] = []
    bad: list[str] = []
    for index, (image, size, digest) in enumerate(
        map_in_threads(load, range(len(samples)), threads)
    ):
        if isinstance(image, str):
            bad.append(f"{samples.paths[index]} {image}")
        else:
            cached[index] = image
        sizes[index] = size
        hashes.append(digest)
        advance(1)
    if bad:
        raise CnncliError(_tell_bad(bad))
    store = ImageStore(samples.source, preprocess, torch.from_numpy(cached), samples.paths)
    return store, FileFacts(sizes, text_array(hashes))


def _reason(error: ImageError | OSError) -> str:
    return str(error) if isinstance(error, ImageError) else f"cannot be read ({error.strerror})"


def _tell_bad(bad: Sequence[str]) -> str:
    images = "1 image" if len(bad) == 1 else f"{len(bad)} images"
    listed = "; ".join(bad[:20]) + (f"; and {len(bad) - 20} more" if len(bad) > 20 else "")
    return f"--data: {images} cannot be used: {listed}. Mend or remove them"


def open_images(samples: Samples, preprocess: Preprocess) -> tuple[ImageStore, FileFacts]:
    """Read images on demand: for sets that do not fit in memory; only sizes are known.

    Raises:
        CnncliError: If files are gone or closed; it names them.
    """
    sizes = np.zeros(len(samples), dtype=np.int64)
    bad: list[str] = []

    def measure(index: int) -> None:
        try:
            sizes[index] = samples.source.size(index)
        except OSError as error:
            bad.append(f"{samples.paths[index]} {_reason(error)}")

    for index in range(len(samples)):
        measure(index)
    if bad:
        raise CnncliError(_tell_bad(bad))
    hashes = text_array([""] * len(samples))
    return ImageStore(samples.source, preprocess, None, samples.paths), FileFacts(sizes, hashes)


def fit_normalisation(store: ImageStore, indices: Array, *, most: int = 2000) -> Preprocess:
    """Return the store's preprocessing with mean and std of (up to ``most``) training images.

    Both are per channel and fractions of full scale; a std below 0.02 (a constant image) counts
    as 0.02, so that nothing is blown up.
    """
    chosen = indices[np.linspace(0, len(indices) - 1, min(most, len(indices))).astype(int)]
    sums = np.zeros((2, store.preprocess.channels))
    for index in chosen.tolist():
        pixels = store[index].reshape(-1, store.preprocess.channels).astype(np.float64)
        pixels /= FULL_SCALE[store.preprocess.dtype]
        sums += pixels.mean(axis=0), (pixels**2).mean(axis=0)
    mean, square = sums / len(chosen)
    std = np.sqrt(np.maximum(square - mean**2, 0.02**2))

    def plain(values: Any) -> tuple[float, ...]:
        return tuple(round(float(value), 6) for value in values)

    return replace(store.preprocess, mean=plain(mean), std=plain(std))
