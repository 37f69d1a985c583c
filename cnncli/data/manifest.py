"""``splits.csv``: which image is in which split, and what it takes to recognise its file."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnncli.arrays import Array
from cnncli.choices import SPLITS
from cnncli.data.samples import NO_SPLIT, Samples
from cnncli.data.store import FileDigests, hash_files
from cnncli.errors import CnncliError

COLUMNS = ("path", "label", "split", "group", "bytes", "hash")
# The column that `cnncli split --folds` adds.
FOLD = "fold"
# In the place of a split, for an image that the run has not seen.
UNSEEN = -1
# So many rows are written at a time.
_CHUNK = 1 << 16


def save_manifest(
    path: Path, samples: Samples, splits: Array, digests: FileDigests, folds: Array | None = None
) -> None:
    """Write one row per image that has a split, in the order of the samples.

    Args:
        path: The file to write.
        samples: The labelled images.
        splits: (N,) indices into SPLITS, or ``NO_SPLIT``.
        digests: Sizes and hashes of the images' files.
        folds: (N,) fold of each image, from 1; 0 for an image in none. None leaves the column out.
    """
    names = np.array(samples.class_names, dtype=object)
    written = np.flatnonzero(splits != NO_SPLIT)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS if folds is None else (*COLUMNS, FOLD))
        for start in range(0, len(written), _CHUNK):
            rows = written[start : start + _CHUNK]
            columns = [
                samples.paths[rows].tolist(),
                names[samples.targets[rows]].tolist(),
                [SPLITS[split] for split in splits[rows]],
                [""] * len(rows) if samples.groups is None else samples.groups[rows].tolist(),
                digests.sizes[rows].tolist(),
                digests.hashes[rows].tolist(),
            ]
            if folds is not None:
                columns.append([fold or "" for fold in folds[rows].tolist()])
            writer.writerows(zip(*columns, strict=True))


@dataclass(frozen=True)
class Manifest:
    """The images that a run has seen, with the split of each.

    Attributes:
        by_path: For each path: the size of the file in bytes times 4, plus the index of its split.
            One number takes less memory than a tuple: a million tuples are 200 MB.
        by_hash: For each hash of a file's content: the index of its split.
        sizes: Sizes in bytes of the files that have a hash.
    """

    by_path: dict[str, int]
    by_hash: dict[str, int]
    sizes: frozenset[int]

    def has(self, split: int) -> bool:
        """Return whether any image is in the split with this index."""
        return any(known % 4 == split for known in self.by_path.values())

    def look_up_splits(self, samples: Samples) -> Array:
        """Return (N,) the split that each image had in the run, ``UNSEEN`` for a new image.

        An image is recognised by its relative path and its size, or else by its content. The
        content is read only if some file of the run has the same size. Where the folder lies and
        what it is called does not matter.

        Args:
            samples: N images.
        """
        found = np.full(len(samples), UNSEEN, dtype=np.int8)
        for index, path in enumerate(samples.paths):
            found[index] = self._look_up_split(samples, index, path)
        return found

    def _look_up_split(self, samples: Samples, index: int, path: str) -> int:
        try:
            size = samples.source.size(index)
            known = self.by_path.get(path)
            if known is not None and known // 4 == size:
                return known % 4
            if size in self.sizes:
                return self.by_hash.get(hash_files(samples.source.read(index)), UNSEEN)
        except OSError:
            pass  # the error is reported when the image is read to be evaluated
        return UNSEEN


def load_manifest(path: Path) -> Manifest | None:
    """Read a run's ``splits.csv``; None if there is no such file (the checkpoint was moved).

    Raises:
        CnncliError: If the file is not one that a run wrote.
    """
    if not path.is_file():
        return None
    by_path: dict[str, int] = {}
    by_hash: dict[str, int] = {}
    sizes: set[int] = set()
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                split, size = SPLITS.index(row["split"]), int(row["bytes"])
                by_path[row["path"]] = size * 4 + split
                if row["hash"] is None:
                    raise ValueError("a row is cut short")  # noqa: TRY301 - reported below
                if row["hash"]:
                    # Content in two splits counts as in the first: train, val, test.
                    by_hash[row["hash"]] = min(split, by_hash.get(row["hash"], split))
                    sizes.add(size)
    except (KeyError, ValueError, TypeError, OSError, csv.Error) as error:
        raise CnncliError(f"{path}: not the splits.csv of a run ({error!r})") from None
    if not by_path:  # every image that the run was trained on would count as new
        raise CnncliError(f"{path}: not the splits.csv of a run (it names no image)")
    return Manifest(by_path, by_hash, frozenset(sizes))
