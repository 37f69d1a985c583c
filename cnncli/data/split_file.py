"""Reads a file of splits, as ``cnncli split`` or a run wrote it, or as it was made by hand."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnncli.arrays import Array
from cnncli.choices import SPLITS, Split
from cnncli.data.manifest import FOLD, digest_splits
from cnncli.data.samples import NO_SPLIT, TextColumn
from cnncli.data.split_names import parse_split_text, tell_split_words
from cnncli.data.table_rows import read_records
from cnncli.errors import CnncliError, did_you_mean
from cnncli.files import BAD_IMAGES_FILE, EXCLUDED_FILE, SPLITS_FILE, check_table, expand_path

# In the place of a fold, for an image that is in none.
NO_FOLD = -1
# In the place of a size, where the file does not say it.
UNKNOWN_SIZE = -1


@dataclass(frozen=True)
class SplitFile:
    """The content of a file of splits: M rows, one per image.

    Attributes:
        name: The file as the user named it.
        where: What stands in front of a message about it: the flag that names it, and the file.
        paths: (M,) paths of the images, no path twice.
        labels: (M,) labels of the images; empty for a row without one.
        splits: (M,) indices into SPLITS; ``NO_SPLIT`` for a row that has only a fold.
        folds: (M,) numbers of the folds; ``NO_FOLD`` for a row without one.
        groups: (M,) names of the groups; empty for a row without one.
        sizes: (M,) sizes of the images' files in bytes; ``UNKNOWN_SIZE`` for a row without one.
        hashes: (M,) hashes of the images' files; empty for a row without one.
        left_out: Paths of images that a run left out, since it could not use them. They have no
            row.
        remarks: Sentences on how the file was understood.
        excluded: Path of the list of what its run left out by ``--exclude``; empty for none.
    """

    name: str
    where: str
    paths: Array
    labels: Array
    splits: Array
    folds: Array
    groups: Array
    sizes: Array
    hashes: Array
    left_out: frozenset[str] = frozenset()
    remarks: tuple[str, ...] = ()
    excluded: str = ""

    def digest(self) -> str:
        """Return the hash of the paths, labels and splits, as `Manifest.digest` does."""
        columns = self.paths.tolist(), self.labels.tolist(), self.splits.tolist()
        return digest_splits(zip(*columns, strict=True))


def load_split_file(given: str, where: str = "") -> SplitFile:
    """Read a CSV of splits.

    It has the columns ``path``, and ``split`` or ``fold`` or both. The columns ``label``,
    ``bytes``, ``hash`` and ``group`` are optional.

    Args:
        given: Path of the file, or of the run folder that it is in.
        where: What stands in front of a message; empty for ``--splits`` and the path.

    Raises:
        CnncliError: If there is no such file, or if it is not such a CSV.
    """
    path, missing = expand_path(given), "no such file"
    if path.is_dir():
        path, missing = path / SPLITS_FILE, f"the folder has no {SPLITS_FILE}"
    hint = "" if where else "; `cnncli split` writes one"
    where = where or f"--splits {given}"
    if not path.exists():
        raise CnncliError(f"{where}: {missing}{hint}")
    check_table(path, where)
    records = read_records(path)
    _, header = next(records, (0, []))
    if "path" not in header or not {"split", FOLD} & set(header):
        raise CnncliError(f"{where}: needs the columns path and split (or fold)")
    at = {name: number for number, name in enumerate(header)}
    texts = {name: TextColumn() for name in ("path", "label", "group", "hash")}
    numbers = {name: array("q") for name in ("split", FOLD, "bytes")}
    words: dict[str, Split] = {}
    for line, row in records:
        place = f"{where}, line {line}"
        if len(row) != len(header):
            raise CnncliError(f"{place}: {len(row)} fields where the header has {len(header)}")
        for name, column in texts.items():
            column.append(row[at[name]] if name in at else "")
        fold = row[at[FOLD]] if FOLD in at else ""
        split = row[at["split"]].strip() if "split" in at else ""
        known = parse_split_text(split)
        if known is None and (split or not fold):
            raise CnncliError(
                f"{place}: split {split!r} is none of train, val, test{did_you_mean(split, SPLITS)}"
            )
        if known is not None:
            words[split] = known
        if fold and known == "test":
            raise CnncliError(f"{place}: test, and in fold {fold}; it can be in one only")
        numbers["split"].append(NO_SPLIT if known is None else SPLITS.index(known))
        numbers[FOLD].append(_parse_whole_number(fold, NO_FOLD, place))
        numbers["bytes"].append(
            _parse_whole_number(row[at["bytes"]] if "bytes" in at else "", UNKNOWN_SIZE, place)
        )
    paths = texts["path"].array()
    if not len(paths):
        raise CnncliError(f"{where}: names no image")
    if len(np.unique(paths)) < len(paths):
        raise _repeated(path, where, at["path"])
    excluded = path.with_name(EXCLUDED_FILE)
    return SplitFile(
        given,
        where,
        paths,
        texts["label"].array(),
        np.asarray(numbers["split"]).astype(np.int8),
        np.asarray(numbers[FOLD]),
        texts["group"].array(),
        np.asarray(numbers["bytes"]),
        texts["hash"].array(),
        read_left_out(path),
        tell_split_words(words, f"{where}: "),
        str(excluded) if path.name == SPLITS_FILE and excluded.is_file() else "",
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


def _repeated(path: Path, where: str, column: int) -> CnncliError:
    """Return the error for a file that names an image twice, with both lines."""
    lines: dict[str, int] = {}
    for line, row in read_records(path):
        if row[column] in lines:
            break
        lines[row[column]] = line
    return CnncliError(
        f"{where}, line {line}: names an image twice: {row[column]!r} stands in line "
        f"{lines[row[column]]} already; keep one of them"
    )


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
