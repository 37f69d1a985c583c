"""Leaves out the images that a list names, as ``check-data`` and ``suspect-labels`` write one."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from cnncli.arrays import Array
from cnncli.data.samples import (
    SEPARATOR,
    Samples,
    find_files,
    plain_path,
    select_samples,
)
from cnncli.data.table_rows import read_records
from cnncli.errors import CnncliError, count_of, shorten
from cnncli.files import (
    EXCLUDED_FILE,
    MOST_OF_TABLE,
    check_table,
    decode_text,
    expand_path,
    open_csv_writer,
    read_file,
    write_atomically,
)

# In the place of a size, for an image whose file is gone.
_NO_SIZE = -1


def read_list(given: str) -> list[str]:
    """Return the paths that a list names: one a line, or the column ``path`` of a CSV.

    Args:
        given: Path of the list, as ``--exclude`` has it.

    Raises:
        CnncliError: If there is no such file, it is no text, or it is a CSV without that column.
    """
    path, where = check_list_file(given), f"--exclude {given}"
    try:
        lines = decode_text(read_file(path, most=MOST_OF_TABLE)).splitlines()
    except UnicodeDecodeError:
        raise CnncliError(f"{where}: not a text in UTF-8; write one path a line") from None
    except OSError as error:
        raise CnncliError(f"{where}: cannot be read ({error.strerror})") from None
    lines = [line for line in lines if line.strip()]
    is_table = path.suffix.lower() in (".csv", ".tsv")
    if not (is_table or (lines and "path" in lines[0].split(","))):
        return lines
    records = read_records(path)
    _, header = next(records, (0, ["path"]))
    if "path" not in header:
        raise CnncliError(f"{where}: has no column path; it has {shorten(header, 12)}")
    place = header.index("path")
    return [fields[place] for _, fields in records if len(fields) > place and fields[place].strip()]


def check_list_file(given: str) -> Path:
    """Return the path of a list that can be read.

    Args:
        given: Path of the list, as ``--exclude`` has it.

    Raises:
        CnncliError: If there is no such file, or it is a folder, a pipe or a device.
    """
    path, where = expand_path(given), f"--exclude {given}"
    if not path.exists():
        raise CnncliError(f"{where}: no such file")
    if path.is_dir():
        raise CnncliError(f"{where}: a folder, and no list; name a file with one path a line")
    check_table(path, where)
    return path


def save_list(given: str, paths: Iterable[str], flag: str) -> None:
    """Write paths, one a line, as `read_list` reads them.

    Args:
        given: Path of the file, as the user gave it.
        paths: The paths.
        flag: The flag by which it was given, for the message.

    Raises:
        CnncliError: If the file cannot be written, or if a path has a line break in it.
    """
    lines = list(paths)
    broken = [line for line in lines if "\n" in line]
    if broken:
        raise CnncliError(f"{flag} {given}: a line cannot hold the name {broken[0]!r}")
    text = "".join(f"{line}\n" for line in lines)
    write_atomically(expand_path(given), lambda part: part.write_text(text, "utf-8"))


EXCLUDE = "--exclude"  # how a note on lines that name no image begins


def exclude_listed(samples: Samples, given: str) -> Samples:
    """Return the samples without those that a list names, which ``excluded`` then has.

    A line is a path as ``splits.csv`` has it, or the path of the file from the working folder, or
    an absolute one. The name of one of its files leaves out a sample of several, and
    every sample that has this file.

    Args:
        samples: N labelled images.
        given: Path of the list.

    Raises:
        CnncliError: If the list cannot be read, no line is an image, or no image of a class is
            left.
    """
    where = f"{EXCLUDE} {given}"
    lines = list(dict.fromkeys(read_list(given)))
    if not lines:
        told = f"{given}: names no image, so none is left out"
        return replace(samples, remarks=(*samples.remarks, told))
    chosen, unknown = _match(samples, lines)
    if not len(chosen):
        none = f"none of its {len(lines):,} lines is an image"
        none = "its line is no image" if len(lines) == 1 else none
        raise CnncliError(
            f"{where}: {none} of --data (the first line is {lines[0]!r}, an image is "
            f"{str(samples.paths[0])!r})"
        )
    kept = np.setdiff1d(np.arange(len(samples)), chosen)
    counts = np.bincount(samples.targets[kept], minlength=len(samples.class_names))
    if counts.min() == 0:
        name = samples.class_names[int(counts.argmin())]
        raise CnncliError(f"{where}: leaves no image of class {name!r}")
    names = [str(path) for path in samples.paths[chosen]]
    told = (
        f"left out by --exclude {given}: {len(chosen):,} of {count_of(len(samples), 'image')} "
        f"({shorten(names, 3)})"
    )
    doubt = (
        f"{where}: {len(unknown):,} of its {count_of(len(lines), 'line')} "
        f"{'is no image' if len(unknown) == 1 else 'are no images'} of --data "
        f"({shorten(unknown, 3)})"
    )
    left = select_samples(samples, kept)
    return replace(
        left,
        excluded=measure_samples(samples, chosen),
        remarks=(*samples.remarks, told),
        notes=(*samples.notes, doubt) if unknown else samples.notes,
    )


def measure_samples(samples: Samples, chosen: Array) -> dict[str, int]:
    """Return the sizes in bytes of the files of samples, by their paths.

    Args:
        samples: The samples.
        chosen: (M,) numbers of those to measure.
    """
    return {str(samples.paths[index]): _size(samples, index) for index in chosen.tolist()}


def _size(samples: Samples, index: int) -> int:
    try:
        return samples.source.size(index)
    except OSError:
        return _NO_SIZE


def _match(samples: Samples, lines: list[str]) -> tuple[Array, list[str]]:
    """Return the numbers of the images that lines name, ascending, and the lines that name none."""
    places: dict[str, list[int]] = {}  # a file may be one of several samples
    for index, path in enumerate(samples.paths.tolist()):
        for name in {path, *(path.split(SEPARATOR) if samples.files > 1 else ())}:
            places.setdefault(plain_path(name), []).append(index)
    files: dict[str, list[int]] = {}
    if any(plain_path(line.strip()) not in places for line in lines):
        for index in range(len(samples)):
            for file in find_files(samples.source, index):
                files.setdefault(_absolute(file), []).append(index)
    chosen: set[int] = set()
    unknown = []
    for line in lines:
        name = line.strip()
        found = places.get(plain_path(name)) or files.get(_absolute(name), [])
        chosen.update(found)
        if not found:
            unknown.append(line)
    return np.array(sorted(chosen), dtype=np.int64), unknown


def _absolute(path: str) -> str:
    return os.path.normpath(Path.cwd() / expand_path(path))


def save_excluded(run_dir: Path, excluded: Mapping[str, int]) -> None:
    """Write what a list left out into the run's folder; nothing writes no file.

    Args:
        run_dir: The run's folder.
        excluded: The sizes of the images' files in bytes, by their paths.
    """
    if not excluded:
        return

    def write(part: Path) -> None:
        with open_csv_writer(part) as writer:
            writer.writerow(("path", "bytes"))
            writer.writerows(excluded.items())

    write_atomically(run_dir / EXCLUDED_FILE, write)


def load_excluded(run_dir: Path) -> dict[str, int]:
    """Return what a run left out by a list, as `save_excluded` wrote it; empty if it did not.

    Raises:
        CnncliError: If the file is not what a run writes.
    """
    path = run_dir / EXCLUDED_FILE
    if not path.is_file():
        return {}
    rows = [fields for _, fields in read_records(path)]
    try:
        return {name: int(size) for name, size in rows[1:]}
    except ValueError:
        raise CnncliError(f"{path}: not the list of a run, path and bytes") from None


def exclude_again(samples: Samples, excluded: Mapping[str, int]) -> Samples:
    """Return the samples without those that a run left out, for the run to go on.

    Args:
        samples: The images as they are found now.
        excluded: What the run left out, as `load_excluded` returns it.
    """
    if not excluded:
        return samples
    left = select_samples(samples, np.flatnonzero(~_are_named(samples, excluded)))
    told = f"left out, as in the run so far ({EXCLUDED_FILE}): {len(samples) - len(left)}"
    return replace(left, excluded=dict(excluded), remarks=(*left.remarks, told))


def find_excluded(samples: Samples, excluded: Mapping[str, int]) -> Array:
    """Return (M,) the numbers of the images that are, by path and size, those a run left out."""
    named = np.flatnonzero(_are_named(samples, excluded))
    same = [_size(samples, i) == excluded[str(samples.paths[i])] for i in named.tolist()]
    found: Array = named[np.array(same, bool)]
    return found


def _are_named(samples: Samples, paths: Collection[str]) -> Array:
    return np.fromiter((path in paths for path in samples.paths.tolist()), bool, len(samples))
