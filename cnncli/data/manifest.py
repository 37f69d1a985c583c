"""``splits.csv``: which file is in which split, and enough of it to know it again."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnncli.choices import SPLITS
from cnncli.data.sources import Array, Samples
from cnncli.data.store import FileFacts, hash_files
from cnncli.errors import CnncliError

COLUMNS = ("path", "label", "split", "group", "bytes", "hash")
UNSEEN = -1


def save_manifest(path: Path, samples: Samples, splits: Array, facts: FileFacts) -> None:
    """Write one row per image, in the order of the samples."""
    groups = samples.groups if samples.groups is not None else [""] * len(samples)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in range(len(samples)):
            writer.writerow(
                (
                    samples.paths[row],
                    samples.class_names[samples.targets[row]],
                    SPLITS[splits[row]],
                    groups[row],
                    facts.sizes[row],
                    facts.hashes[row],
                )
            )


@dataclass(frozen=True)
class Manifest:
    """The images a run has seen: split by (path, bytes), and by content."""

    by_path: dict[tuple[str, int], int]
    by_hash: dict[str, int]
    sizes: frozenset[int]

    def find_splits(self, samples: Samples) -> Array:
        """Return (N,) the split in which the run had each image, ``UNSEEN`` for a new one.

        The name of the folder never counts: an image is known by its relative path and size,
        else by its content, which is read only where some known file has the same size.
        """
        found = np.full(len(samples), UNSEEN, dtype=np.int8)
        for index, path in enumerate(samples.paths):
            found[index] = self._find_split(samples, index, path)
        return found

    def _find_split(self, samples: Samples, index: int, path: str) -> int:
        try:
            size = samples.source.size(index)
            known = self.by_path.get((path, size))
            if known is None and size in self.sizes:
                known = self.by_hash.get(hash_files(samples.source.read(index)))
        except OSError:
            return UNSEEN  # told when it is read to be evaluated
        return UNSEEN if known is None else known


def load_manifest(path: Path) -> Manifest | None:
    """Read a run's ``splits.csv``; None where there is none (a checkpoint that was moved).

    Raises:
        CnncliError: If the file is not what a run wrote.
    """
    if not path.is_file():
        return None
    by_path: dict[tuple[str, int], int] = {}
    by_hash: dict[str, int] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                split = SPLITS.index(row["split"])
                by_path[row["path"], int(row["bytes"])] = split
                if row["hash"] is None:
                    raise ValueError("a row is cut short")  # noqa: TRY301 - told below
                if row["hash"]:
                    # The same content in two splits counts as trained on.
                    by_hash[row["hash"]] = min(split, by_hash.get(row["hash"], split))
    except (KeyError, ValueError, TypeError, OSError, csv.Error) as error:
        raise CnncliError(f"{path}: not the splits.csv of a run ({error!r})") from None
    if not by_path:  # else every image the run was trained on would count as new
        raise CnncliError(f"{path}: not the splits.csv of a run (it names no image)")
    return Manifest(by_path, by_hash, frozenset(size for _, size in by_path))
