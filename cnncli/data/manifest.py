"""``splits.csv``: which image is in which split, and what it takes to recognise its file."""

from __future__ import annotations

import csv
import hashlib
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

import numpy as np

from cnncli.arrays import Array
from cnncli.choices import SPLITS
from cnncli.choices.missing import is_missing
from cnncli.data.relabelled import tell_other_labels
from cnncli.data.samples import NO_SPLIT, Samples, TextColumn
from cnncli.data.store import FileDigests, hash_files, map_in_threads
from cnncli.errors import CnncliError
from cnncli.files import check_table, open_csv_writer

COLUMNS = ("path", "label", "split", "group", "bytes", "hash")
# The column that `cnncli split --folds` adds.
FOLD = "fold"
# In the place of a split, for an image that the run has not seen.
UNSEEN = -1
# So many rows are written at a time.
_CHUNK = 1 << 16
# `digest_files` computes hashes only if all files together have at most this many bytes.
_MOST_BYTES = 1 << 30


def digest_files(samples: Samples, *, threads: int, indices: Array | None = None) -> FileDigests:
    """Return the sizes of the images' files, and their hashes.

    The hashes are left empty if all the files together have more than 1 GiB.

    Args:
        samples: The images.
        threads: Number of threads that read files.
        indices: (M,) numbers of the images to take; None takes all of them.

    Raises:
        CnncliError: If a file does not exist or cannot be read.
    """
    chosen = range(len(samples)) if indices is None else indices.tolist()
    try:
        sizes = np.fromiter(map(samples.source.size, chosen), np.int64, len(chosen))
        hashes = TextColumn()
        if sizes.sum() <= _MOST_BYTES:
            for digest in map_in_threads(
                lambda index: hash_files(samples.source.read(index)), chosen, threads
            ):
                hashes.append(digest)
        else:
            for _ in chosen:
                hashes.append("")
    except OSError as error:
        raise CnncliError(f"--data: {error.filename}: cannot be read ({error.strerror})") from None
    return FileDigests(sizes, hashes.array())


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
    with open_csv_writer(path) as writer:
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


def digest_splits(rows: Iterable[tuple[str, str, int]]) -> str:
    """Return a hash of images' paths, labels and splits: 32 hex digits (BLAKE2b, 128 bits)."""
    digest = hashlib.blake2b(digest_size=16)
    for path, label, split in rows:
        digest.update(f"{path}\0{label}\0{split}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


@dataclass(frozen=True)
class Manifest:
    """The M images that a run has seen, with the split of each.

    Attributes:
        by_path: For each path: its number, 0 to M - 1.
        by_hash: For each hash of a file's content: the number of the image, of several with the
            same content that of the first split.
        splits: M indices into SPLITS.
        class_names: The labels that occur, in the order in which they come.
        targets: M indices into ``class_names``.
        sizes: M sizes of the files in bytes.
        hashes: M hashes of the files' content; empty where it is not known.
        groups: M names of the images' groups; empty texts where there are none.
    """

    by_path: dict[str, int]
    by_hash: dict[str, int]
    splits: Sequence[int]
    class_names: Sequence[str]
    targets: Sequence[int]
    sizes: Sequence[int]
    hashes: Sequence[str]
    groups: Sequence[str] = ()

    @property
    def unhashed(self) -> int:
        """Number of images whose content is not known."""
        return self.hashes.count("")

    def digest(self) -> str:
        """Return the hash of the paths, labels and splits, as `digest_splits` does."""
        rows = self.by_path.items()
        return digest_splits(
            (path, self.class_names[self.targets[row]], self.splits[row]) for path, row in rows
        )

    def has(self, split: int) -> bool:
        """Return whether any image is in the split with this index."""
        return split in self.splits

    def find_splits(self, rows: Array) -> Array:
        """Return (N,) the split of each image, ``UNSEEN`` for a new image.

        Args:
            rows: (N,) what `look_up` returned.
        """
        splits = np.asarray(self.splits, np.int8)
        return np.where(rows == UNSEEN, np.int8(UNSEEN), splits[rows])

    def find_groups(self, samples: Samples, rows: Array) -> Array | None:
        """Return (N,) the group of each image in the run; None if the run knows none of them.

        Args:
            samples: N images. A new one is a group by itself.
            rows: (N,) what `look_up` returned for them.
        """
        known = np.flatnonzero(rows != UNSEEN)
        found = [self.groups[row] for row in rows[known].tolist()] if self.groups else []
        found = ["" if is_missing(name) else name for name in found]  # earlier versions wrote NA
        if not any(found):
            return None
        names = samples.paths.copy()
        for index, name in zip(known.tolist(), found, strict=True):
            names[index] = name or names[index]
        return names

    def tell_relabelled(self, samples: Samples, rows: Array) -> str:
        """Return how many images have another label than in the run; an empty text for none.

        Args:
            samples: N images.
            rows: (N,) what `look_up` returned for them.
        """
        known = np.flatnonzero(rows != UNSEEN)
        numbers = np.asarray(self.targets)[rows[known]]
        return tell_other_labels(samples, known, self.class_names, numbers)

    def look_up(self, samples: Samples, *, threads: int = 1) -> Array:
        """Return (N,) the number that each image had in the run, ``UNSEEN`` for a new image.

        An image is recognised by its content, wherever it lies and whatever it is called. It is
        read only if some file of the run has the same size. Where the content of the run's file is
        not known, path and size must do.

        Args:
            samples: N images.
            threads: Number of threads that read and hash.
        """
        found = np.full(len(samples), UNSEEN)
        hashed = set(compress(self.sizes, self.hashes))
        to_read = []
        for index, path in enumerate(samples.paths):
            try:
                size = samples.source.size(index)
            except OSError:
                continue  # it is reported when the image is read to be evaluated
            row = self.by_path.get(path)
            if row is not None and not self.hashes[row] and self.sizes[row] == size:
                found[index] = row
            elif size in hashed:
                to_read.append(index)

        def look_up(index: int) -> int:
            return self._look_up_content(samples, index)

        found[to_read] = list(map_in_threads(look_up, to_read, threads))
        return found

    def _look_up_content(self, samples: Samples, index: int) -> int:
        try:
            content = hash_files(samples.source.read(index))
        except OSError:
            return UNSEEN
        row = self.by_path.get(str(samples.paths[index]))
        if row is not None and self.hashes[row] == content:
            return row
        return self.by_hash.get(content, UNSEEN)


def load_manifest(path: Path) -> Manifest | None:
    """Read a run's ``splits.csv``; None if there is no such file (the checkpoint was moved).

    Raises:
        CnncliError: If the file is not one that a run wrote.
    """
    if not path.exists():
        return None
    check_table(path, str(path))
    by_path: dict[str, int] = {}
    by_hash: dict[str, int] = {}
    classes: dict[str, int] = {}
    splits, targets, sizes, hashes = array("b"), array("i"), array("q"), []
    groups: list[str] = []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                split = SPLITS.index(row["split"])
                by_path[row["path"]] = len(splits)
                splits.append(split)
                targets.append(classes.setdefault(row.get("label") or "", len(classes)))
                sizes.append(int(row["bytes"]))
                if row["hash"] is None:
                    raise ValueError("a row is cut short")  # noqa: TRY301 - reported below
                hashes.append(row["hash"])
                groups.append(row.get("group") or "")
                number, content = len(splits) - 1, row["hash"]
                # Content in two splits counts as in the first: train, val, test.
                if content and split < splits[by_hash.setdefault(content, number)]:
                    by_hash[content] = number
    except (KeyError, ValueError, TypeError, OverflowError, OSError, csv.Error) as error:
        raise CnncliError(f"{path}: not the splits.csv of a run ({error!r})") from None
    if not by_path:  # every image that the run was trained on would count as new
        raise CnncliError(f"{path}: not the splits.csv of a run (it names no image)")
    return Manifest(by_path, by_hash, splits, list(classes), targets, sizes, hashes, groups)
