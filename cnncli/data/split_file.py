"""A split that a file gives: ``--splits FILE``, as ``cnncli split`` or an earlier run wrote it."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cnncli.arrays import Array
from cnncli.choices import SPLITS
from cnncli.data.manifest import FOLD
from cnncli.data.samples import NO_SPLIT, SPLIT_NAMES, Samples, TextColumn
from cnncli.data.splits import TRAIN, VAL
from cnncli.data.store import FileDigests, hash_files, map_in_threads
from cnncli.data.table_rows import read_records
from cnncli.errors import CnncliError, shorten
from cnncli.files import BAD_IMAGES_FILE, SPLITS_FILE, check_table, expand_path

# In the place of a fold, for an image that is in none.
NO_FOLD = -1
# Hashes are computed only if all files together have at most this many bytes.
_MOST_BYTES = 1 << 30
# In the place of a size, where the file does not say it.
_UNKNOWN = -1
# In the place of a row number, for an image that has no row in the file.
_NO_ROW = -1


@dataclass(frozen=True)
class SplitFile:
    """The content of a file of splits: M rows, one per image.

    Attributes:
        name: The file as the user named it, for messages.
        paths: (M,) paths of the images, no path twice.
        splits: (M,) indices into SPLITS; ``NO_SPLIT`` for a row that has only a fold.
        folds: (M,) numbers of the folds; ``NO_FOLD`` for a row without one.
        groups: (M,) names of the groups; empty for a row without one.
        sizes: (M,) sizes of the images' files in bytes; -1 for a row without one.
        hashes: (M,) hashes of the images' files; empty for a row without one.
        left_out: Paths of images that a run left out, since it could not use them. They have no
            row.
    """

    name: str
    paths: Array
    splits: Array
    folds: Array
    groups: Array
    sizes: Array
    hashes: Array
    left_out: frozenset[str] = frozenset()


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


def apply_split_file(samples: Samples, given: str, fold: int | None, *, threads: int) -> Samples:
    """Return the samples with the splits of a file, and with its groups if they have none.

    An image that the run which wrote the file has left out, since it could not be read, gets no
    split.

    Args:
        samples: The images. Their own splits are replaced.
        given: Path of the file, or of the run folder that it is in.
        fold: The fold that becomes val, while the others become train; None for a file without
            folds.
        threads: Number of threads that read files.

    Raises:
        CnncliError: If the file does not name exactly these images, if they have changed since,
            or if the fold does not fit the file.
    """
    file = load_split_file(given)
    splits = _splits_with_fold(file, fold)
    rows = _match(samples, file, threads)
    known = rows != _NO_ROW
    groups = samples.groups
    if groups is None and (file.groups != "").any():
        groups = np.where(known, file.groups[rows], "")
        groups = np.where(groups == "", samples.paths, groups)
    left = np.flatnonzero(~known)
    remark = f"left out, as in the run of --splits: {len(left)} ({_list_some(samples.paths, left)})"
    return replace(
        samples,
        splits=np.where(known, splits[rows], NO_SPLIT).astype(np.int8),
        groups=groups,
        remarks=(*samples.remarks, remark) if len(left) else samples.remarks,
    )


def load_split_file(given: str) -> SplitFile:
    """Read a CSV of splits.

    It has the columns ``path``, and ``split`` or ``fold`` or both. The columns ``bytes``, ``hash``
    and ``group`` are optional.

    Args:
        given: Path of the file, or of the run folder that it is in.

    Raises:
        CnncliError: If there is no such file, or if it is not such a CSV.
    """
    path = expand_path(given)
    if path.is_dir():
        path = path / SPLITS_FILE
    if not path.exists():
        raise CnncliError(f"--splits {given}: no such file; `cnncli split` writes one")
    check_table(path, f"--splits {given}")
    records = read_records(path)
    _, header = next(records, (0, []))
    if "path" not in header or not {"split", FOLD} & set(header):
        raise CnncliError(f"--splits {given}: needs the columns path and split (or fold)")
    at = {name: number for number, name in enumerate(header)}
    texts = {name: TextColumn() for name in ("path", "group", "hash")}
    numbers = {name: array("q") for name in ("split", FOLD, "bytes")}
    for line, row in records:
        where = f"--splits {given}, line {line}"
        if len(row) != len(header):
            raise CnncliError(f"{where}: {len(row)} fields where the header has {len(header)}")
        for name, column in texts.items():
            column.append(row[at[name]] if name in at else "")
        fold = row[at[FOLD]] if FOLD in at else ""
        split = row[at["split"]].strip().lower() if "split" in at else ""
        known = SPLIT_NAMES.get(split)
        if known is None and (split or not fold):
            raise CnncliError(f"{where}: split {split!r} is none of train, val, test")
        if fold and known == "test":
            raise CnncliError(f"{where}: test, and in fold {fold}; it can be in one only")
        numbers["split"].append(NO_SPLIT if known is None else SPLITS.index(known))
        numbers[FOLD].append(_parse_whole_number(fold, NO_FOLD, where))
        numbers["bytes"].append(
            _parse_whole_number(row[at["bytes"]] if "bytes" in at else "", _UNKNOWN, where)
        )
    paths = texts["path"].array()
    if not len(paths):
        raise CnncliError(f"--splits {given}: names no image")
    if len(np.unique(paths)) < len(paths):
        raise CnncliError(f"--splits {given}: names an image twice")
    return SplitFile(
        given,
        paths,
        np.asarray(numbers["split"]).astype(np.int8),
        np.asarray(numbers[FOLD]),
        texts["group"].array(),
        np.asarray(numbers["bytes"]),
        texts["hash"].array(),
        read_left_out(path),
    )


def read_left_out(splits: Path) -> frozenset[str]:
    """Return the paths in the list of bad images that a run wrote beside its ``splits.csv``.

    Args:
        splits: Path of the file of splits. Only a file of this very name has such a list.
    """
    listed = splits.with_name(BAD_IMAGES_FILE)
    if splits.name != SPLITS_FILE or not listed.is_file():
        return frozenset()
    return frozenset(row[0] for _, row in read_records(listed))


def _parse_whole_number(text: str, otherwise: int, where: str) -> int:
    """Return a field as a number of 0 or more, and ``otherwise`` for an empty one.

    Raises:
        CnncliError: If it is something else; ``where`` names the line.
    """
    if not text:
        return otherwise
    try:
        number = int(text)
    except ValueError:
        number = -1
    if number < 0:
        raise CnncliError(f"{where}: {text!r} is no whole number")
    return number


def _splits_with_fold(file: SplitFile, fold: int | None) -> Array:
    """Return (M,) indices into SPLITS where one fold is val, and the others are train.

    Raises:
        CnncliError: If a fold is needed and not given, or given and not in the file.
    """
    folds = np.unique(file.folds[file.folds != NO_FOLD]).tolist()
    known = f"{folds[0]} to {folds[-1]}" if folds else ""
    if fold is None:
        if folds:
            raise CnncliError(f"--splits {file.name}: has folds; name one with --fold, {known}")
        return file.splits
    if not folds:
        raise CnncliError(f"--fold {fold}: {file.name} has no folds; make some with split --folds")
    if fold not in folds:
        raise CnncliError(f"--fold {fold}: {file.name} has folds {known}")
    splits = np.where(file.folds == NO_FOLD, file.splits, TRAIN).astype(np.int8)
    splits[file.folds == fold] = VAL
    return splits


def _match(samples: Samples, file: SplitFile, threads: int) -> Array:
    """Return (N,) the number of each image's row; ``_NO_ROW`` for an image that a run left out.

    Raises:
        CnncliError: If an image has no row, or a row no image, or if images have changed.
    """
    if len(samples) == len(file.paths) and (samples.paths == file.paths).all():
        rows = np.arange(len(samples))
    else:
        row_of = {path: row for row, path in enumerate(file.paths)}
        rows = np.fromiter((row_of.get(p, _NO_ROW) for p in samples.paths), np.int64, len(samples))
    unknown = np.flatnonzero(rows == _NO_ROW)
    unknown = unknown[[path not in file.left_out for path in samples.paths[unknown]]]
    gone = np.setdiff1d(np.arange(len(file.paths)), rows)
    problems = []
    if len(unknown):
        problems.append(
            f"{len(unknown)} of the {len(samples)} images of --data are not in it "
            f"({_list_some(samples.paths, unknown)})"
        )
    if len(gone):
        problems.append(
            f"{len(gone)} of the {len(file.paths)} images in it are not in --data "
            f"({_list_some(file.paths, gone)})"
        )
    if not problems:
        other = _changed(samples, file, rows, threads)
        if other:
            problems.append(
                f"{len(other)} of the {len(samples)} images are not the files they were "
                f"({_list_some(samples.paths, other)})"
            )
    if problems:
        raise CnncliError(f"--splits {file.name}: {'; '.join(problems)}")
    return rows


def _list_some(paths: Array, indices: Sequence[int] | Array) -> str:
    """Return three of the paths, and how many more there are."""
    names = [str(paths[index]) for index in indices[:3]]
    more = len(indices) - len(names)
    return shorten(names) + (f" and {more} more" if more else "")


def _changed(samples: Samples, file: SplitFile, rows: Array, threads: int) -> list[int]:
    """Return the numbers of the images whose size or hash is not what the file says.

    Args:
        samples: N images.
        file: The file of splits.
        rows: (N,) number of each image's row, or ``_NO_ROW``.
        threads: Number of threads that read files.
    """
    known = np.flatnonzero(rows != _NO_ROW)
    sizes, hashes = file.sizes[rows[known]], file.hashes[rows[known]]
    if (sizes == _UNKNOWN).all():
        return []
    digests = digest_files(samples, threads=threads, indices=known)
    other = (sizes != _UNKNOWN) & (sizes != digests.sizes)
    other |= (hashes != "") & (digests.hashes != "") & (hashes != digests.hashes)
    changed: list[int] = known[other].tolist()
    return changed
