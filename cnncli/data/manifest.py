"""``splits.csv``: which file is in which split, and enough of it to know it again."""

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
FOLD = "fold"
# Beside a run's splits.csv: the images that it left out, which have no row there.
UNSEEN = -1
_CHUNK = 1 << 16


def save_manifest(
    path: Path, samples: Samples, splits: Array, digests: FileDigests, folds: Array | None = None
) -> None:
    """Write one row per image that has a split, in the order of the samples.

    Args:
        path: Of the file.
        samples: The labelled images.
        splits: (N,) indices into SPLITS, or ``NO_SPLIT``.
        digests: Sizes and hashes of the files.
        folds: (N,) the fold of each image, from 1; 0 where it is in none. None leaves the column
            out.
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
    """The images a run has seen: split by (path, bytes), and by content.

    Attributes:
        by_path: Bytes and split of each path, as bytes · 4 + split: a million tuples are 200 MB.
        by_hash: Split of each content.
        sizes: In bytes, of the files whose content is known.
    """

    by_path: dict[str, int]
    by_hash: dict[str, int]
    sizes: frozenset[int]

    def has(self, split: int) -> bool:
        """Tell whether any image is in a split."""
        return any(known % 4 == split for known in self.by_path.values())

    def look_up_splits(self, samples: Samples) -> Array:
        """Return (N,) the split in which the run had each image, ``UNSEEN`` for a new one.

        The name of the folder never counts: an image is known by its relative path and size,
        else by its content, which is read only where some known file has the same size.
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
            pass  # told when it is read to be evaluated
        return UNSEEN


def load_manifest(path: Path) -> Manifest | None:
    """Read a run's ``splits.csv``; None where there is none (a checkpoint that was moved).

    Raises:
        CnncliError: If the file is not what a run wrote.
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
                    raise ValueError("a row is cut short")  # noqa: TRY301 - told below
                if row["hash"]:
                    # The same content in two splits counts as trained on.
                    by_hash[row["hash"]] = min(split, by_hash.get(row["hash"], split))
                    sizes.add(size)
    except (KeyError, ValueError, TypeError, OSError, csv.Error) as error:
        raise CnncliError(f"{path}: not the splits.csv of a run ({error!r})") from None
    if not by_path:  # else every image the run was trained on would count as new
        raise CnncliError(f"{path}: not the splits.csv of a run (it names no image)")
    return Manifest(by_path, by_hash, frozenset(sizes))
