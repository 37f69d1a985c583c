"""Gives images the splits of a file: each image its row, and what has changed since it was written.

The file is that of ``--splits FILE``, or the ``splits.csv`` of a run that is resumed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cnncli.arrays import Array
from cnncli.data.group_texts import fill_groups
from cnncli.data.manifest import digest_files
from cnncli.data.relabelled import match_labels, tell_other_labels
from cnncli.data.samples import NO_SPLIT, Samples, plain_path
from cnncli.data.split_file import NO_FOLD, UNKNOWN_SIZE, SplitFile, load_split_file
from cnncli.data.splits import TRAIN, VAL
from cnncli.errors import CnncliError, shorten

# In the place of a row number, for an image that has no row in the file.
_NO_ROW = -1


def apply_split_file(samples: Samples, given: str, fold: int | None, *, threads: int) -> Samples:
    """Return the samples with the splits of a file, and with its groups if they have none.

    An image that the run which wrote the file has left out, since it could not be read, gets no
    split. If the file has other labels than the samples, a note says so: theirs count.

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
    rows = match_rows(samples, file, threads=threads)
    changed = tell_relabelled(samples, file, rows)
    told = f"{file.where}: {changed}; its splits are taken, and the labels of --data"
    left_out = tell_left_out(samples, rows, "the run of --splits")
    alone: tuple[str, ...] = ()
    if samples.groups is None and (file.groups != "").any():
        _, alone = fill_groups(file.groups, file.paths, file.where)
    return replace(
        give_rows(samples, file, rows, splits),
        notes=(*samples.notes, *([told] if changed else []), *alone),
        remarks=(*samples.remarks, *file.remarks, *left_out),
    )


def give_rows(samples: Samples, file: SplitFile, rows: Array, splits: Array) -> Samples:
    """Return the samples with the splits of their rows, and the rows' groups if they have none.

    Args:
        samples: N images.
        file: The file of splits, with M rows.
        rows: (N,) number of each image's row, as `match_rows` returns it.
        splits: (M,) indices into SPLITS.
    """
    known = rows != _NO_ROW
    groups = samples.groups
    if groups is None and (file.groups != "").any():
        names = np.where(known, file.groups[rows], "")
        groups, _ = fill_groups(names, samples.paths, file.name)
    given = np.where(known, splits[rows], NO_SPLIT).astype(np.int8)
    return replace(samples, splits=given, groups=groups)


def tell_left_out(samples: Samples, rows: Array, run: str) -> tuple[str, ...]:
    """Return a sentence on the images that have no row, since a run left them out."""
    left = np.flatnonzero(rows == _NO_ROW)
    told = f"left out, as in {run}: {len(left)} ({_list_some(samples.paths, left)})"
    return (told,) if len(left) else ()


def _splits_with_fold(file: SplitFile, fold: int | None) -> Array:
    """Return (M,) indices into SPLITS where one fold is val, and the others are train.

    Raises:
        CnncliError: If a fold is needed and not given, or given and not in the file.
    """
    folds = np.unique(file.folds[file.folds != NO_FOLD]).tolist()
    known = f"{folds[0]} to {folds[-1]}" if folds else ""
    if fold is None:
        if folds:
            raise CnncliError(f"{file.where}: has folds; name one with --fold, {known}")
        return file.splits
    if not folds:
        raise CnncliError(f"--fold {fold}: {file.name} has no folds; make some with split --folds")
    if fold not in folds:
        raise CnncliError(f"--fold {fold}: {file.name} has folds {known}")
    splits = np.where(file.folds == NO_FOLD, file.splits, TRAIN).astype(np.int8)
    splits[file.folds == fold] = VAL
    return splits


def match_rows(samples: Samples, file: SplitFile, *, threads: int) -> Array:
    """Return (N,) the number of each image's row; -1 for an image that a run left out.

    Args:
        samples: The images.
        file: The file of splits.
        threads: Number of threads that read files.

    Raises:
        CnncliError: If an image has no row, or a row no image, or if images have changed.
    """
    if len(samples) == len(file.paths) and (samples.paths == file.paths).all():
        rows = np.arange(len(samples))
    else:
        row_of = {path: row for row, path in enumerate(file.paths)}
        rows = np.fromiter((row_of.get(p, _NO_ROW) for p in samples.paths), np.int64, len(samples))
        _match_loosely(samples, file, rows)
    unknown = np.flatnonzero(rows == _NO_ROW)
    unknown = unknown[[path not in file.left_out for path in samples.paths[unknown]]]
    gone = np.setdiff1d(np.arange(len(file.paths)), rows)
    gone = gone[[path not in samples.excluded for path in file.paths[gone]]]
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
    problems += _tell_moved(samples, unknown, file, gone)
    if not problems:
        other = _changed(samples, file, rows, threads)
        if other:
            problems.append(
                f"{len(other)} of the {len(samples)} images are not the files they were "
                f"({_list_some(samples.paths, other)})"
            )
    if len(unknown) and file.excluded:
        problems.append(f"its run left images out: --exclude {file.excluded}")
    if problems:
        raise CnncliError(f"{file.where}: {'; '.join(problems)}")
    return rows


def tell_relabelled(samples: Samples, file: SplitFile, rows: Array, *, edited: str = "") -> str:
    """Return how many images have another label than the file says, and the first of them.

    The text is empty if there are none. A row without a label says nothing.

    Args:
        samples: N images.
        file: The file of splits.
        rows: (N,) number of each image's row, as `match_rows` returns it.
        edited: The name of the file if it was edited, so that the labels of the samples are older.
    """
    known = np.flatnonzero(rows != _NO_ROW)
    labels, numbers = np.unique(file.labels[rows[known]], return_inverse=True)
    return tell_other_labels(samples, known, labels.tolist(), numbers, edited=edited)


def _match_loosely(samples: Samples, file: SplitFile, rows: Array) -> None:
    """Give images without a row that of the path that is theirs, written in another way.

    That is a path with its accents composed or not, with backslashes, or with ``./`` in front.
    Paths that would then be the same stay without a row.

    Args:
        samples: N images.
        file: The file of splits.
        rows: (N,) number of each image's row, changed in place.
    """
    unknown = np.flatnonzero(rows == _NO_ROW)
    if not len(unknown):
        return
    places: dict[str, list[int]] = {}
    for row in np.setdiff1d(np.arange(len(file.paths)), rows).tolist():
        places.setdefault(plain_path(file.paths[row]), []).append(row)
    wanted: dict[str, list[int]] = {}
    for index in unknown.tolist():
        wanted.setdefault(plain_path(samples.paths[index]), []).append(index)
    for path, indices in wanted.items():
        found = places.get(path, [])
        if len(indices) == len(found) == 1:
            rows[indices[0]] = found[0]


def _tell_moved(samples: Samples, unknown: Array, file: SplitFile, gone: Array) -> list[str]:
    """Return a sentence on images that seem to lie in another place now, with another label.

    Args:
        samples: The images.
        unknown: Numbers of the images that have no row.
        file: The file of splits.
        gone: Numbers of the rows that have no image.
    """
    places: dict[tuple[str, int], list[int]] = {}
    for row in gone.tolist():
        if file.labels[row] and file.sizes[row] != UNKNOWN_SIZE:
            name = str(file.paths[row]).rpartition("/")[2]
            places.setdefault((name, int(file.sizes[row])), []).append(row)
    moved = []
    for index in unknown.tolist() if places else []:
        name = str(samples.paths[index]).rpartition("/")[2]
        try:
            rows = places.get((name, samples.source.size(index)), [])
        except OSError:
            continue
        then, now = (file.labels[rows[0]] if rows else ""), samples.targets[index]
        if len(rows) == 1 and match_labels([then], samples.class_names) != [now]:
            moved.append((file.paths[rows[0]], then, samples.paths[index], int(now)))
    if not moved:
        return []
    before, then, path, target = moved[0]
    return [
        f"{len(moved)} {'seems' if len(moved) == 1 else 'seem'} to have moved to another label "
        f"({before}, {then!r}, is {path}, {samples.class_names[target]!r}, now)"
    ]


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
    if (sizes == UNKNOWN_SIZE).all():
        return []
    digests = digest_files(samples, threads=threads, indices=known)
    other = (sizes != UNKNOWN_SIZE) & (sizes != digests.sizes)
    other |= (hashes != "") & (digests.hashes != "") & (hashes != digests.hashes)
    changed: list[int] = known[other].tolist()
    return changed
