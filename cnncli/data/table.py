"""Images named in a CSV: image and label columns, optionally split and group."""

from __future__ import annotations

import os
import posixpath
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cnncli.choices import SPLITS
from cnncli.data.sources import (
    NO_SPLIT,
    SPLIT_NAMES,
    Array,
    CsvColumns,
    FileSource,
    Samples,
    shorten,
    sort_class_names,
    text_array,
)
from cnncli.data.walk import check_names, looks_like_image, walk_files
from cnncli.errors import CnncliError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

_IMAGE = ("image", "path", "file", "filename", "file_name", "filepath", "image_path", "img")
_IMAGE_IDS = ("image_id", "image_name", "id_code", "id")
_LABEL = ("label", "class", "class_name", "target", "category", "diagnosis", "level", "grade")
_SPLIT = ("split", "subset", "set")


def find_csv(path: Path) -> Path | None:
    """Return the CSV that ``path`` is or holds; None if it is a folder of class folders.

    Raises:
        CnncliError: If a folder without class folders holds several.
    """
    if path.is_file():
        return path if path.suffix.lower() == ".csv" else None
    tables = sorted(p for p in path.glob("*.csv") if p.is_file() and not p.name.startswith("."))
    if len(tables) > 1:
        folders = [p for p in path.iterdir() if p.is_dir() and not p.name.startswith(".")]
        if len(folders) >= 2:  # class folders, with tables beside them
            return None
        names = shorten([table.name for table in tables])
        raise CnncliError(f"--data {path}: several CSV files ({names}); name one of them")
    if not tables or _has_class_folders(path):
        return None
    return tables[0]


def _has_class_folders(path: Path) -> bool:
    """Two folders with anything in them are classes (or splits); one may hold a CSV's images."""
    folders = [p for p in path.iterdir() if p.is_dir() and not p.name.startswith(".")]
    return len(folders) >= 2


def read_table(path: Path, columns: CsvColumns) -> Samples:
    """Read a CSV of images; paths count from its folder, ids may lack the file's ending.

    Raises:
        CnncliError: If a column or a file is missing, a field is empty or a split is unknown.
    """
    import pandas as pd

    try:
        # As text: pandas would turn ids 007 into 7 and the class "NA" into nothing.
        # No index: pandas would take the first column for one where rows end with a comma.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", pd.errors.ParserWarning)
            table = pd.read_csv(
                path, dtype=str, keep_default_na=False, index_col=False, encoding="utf-8-sig"
            )
    except OSError as error:
        raise CnncliError(f"{path}: cannot be read ({error.strerror})") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise CnncliError(f"{path}: not a CSV in UTF-8: {str(error).strip()}") from None
    if table.empty:
        raise CnncliError(f"{path}: no rows below the header")
    image = _column(path, table, columns.image, "--image-col", (*_IMAGE, *_IMAGE_IDS))
    label = _column(path, table, columns.label, "--label-col", _LABEL)
    split = _column(path, table, columns.split, "--split-col", _SPLIT, needed=False)
    group = _column(path, table, columns.group, "--group-col", (), needed=False)
    for name in (image, label):
        empty = np.flatnonzero(table[name].str.strip() == "")
        if len(empty):
            raise CnncliError(f"{path}, line {empty[0] + 2}: column {name!r} is empty")
    labels = table[label].str.strip()
    names, _ = sort_class_names(sorted(labels.unique()))
    files = _find_files(path, table[image].str.strip().tolist())
    check_names(path, files)
    _check_repeats(path, files, labels.tolist())
    return Samples(
        source=FileSource(path.parent, text_array(files)),
        paths=text_array(files),
        targets=pd.Categorical(labels, categories=names).codes.astype(np.int64),
        class_names=tuple(names),
        splits=_read_splits(path, table, split),
        groups=_read_groups(table[group].str.strip().tolist(), files) if group else None,
    )


def _read_groups(groups: list[str], files: list[str]) -> Array:
    """An image without a group is one by itself: all of them as one would never be split."""
    return text_array([group or file for group, file in zip(groups, files, strict=True)])


def _column(
    path: Path,
    table: pd.DataFrame,
    chosen: str | None,
    flag: str,
    usual: Sequence[str],
    *,
    needed: bool = True,
) -> str:
    """Return the column's name, or an empty text where there is none and none is needed."""
    names = [str(name) for name in table.columns]
    if chosen is not None:
        if chosen not in names:
            raise CnncliError(
                f"{flag} {chosen}: {path} has no such column; it has {shorten(names, 12)}"
                f"{did_you_mean(chosen, names)}"
            )
        return chosen
    lowered = {name.strip().lower(): name for name in names}
    found = next((lowered[name] for name in usual if name in lowered), "")
    if needed and not found:
        raise CnncliError(f"{path}: name the column with {flag}; it has {shorten(names, 12)}")
    return found


def _read_splits(path: Path, table: pd.DataFrame, column: str) -> Array:
    if not column:
        return np.full(len(table), NO_SPLIT, dtype=np.int8)
    texts = table[column].str.strip().str.lower()
    known = {name: SPLITS.index(split) for name, split in SPLIT_NAMES.items()}
    unknown = np.flatnonzero(~texts.isin(known))
    if len(unknown):
        raise CnncliError(
            f"{path}, line {unknown[0] + 2}: split {table[column].iloc[unknown[0]]!r} is none of "
            "train, val (valid, validation), test"
        )
    return np.asarray(texts.map(known).to_numpy(dtype=np.int8))


def _find_files(path: Path, names: list[str]) -> list[str]:
    """Turn the image column into paths relative to the CSV's folder (or absolute ones)."""
    root = str(path.parent)
    names = [name.replace("\\", "/") for name in names]
    if all(os.path.isfile(os.path.join(root, name)) for name in names):
        return [posixpath.normpath(name) for name in names]
    # Ids: look them up by name, then by name without ending, anywhere below the CSV's folder.
    index: dict[str, list[str]] = {}
    for file in walk_files(path.parent):
        name = file.rsplit("/", 1)[-1]
        for key in {name, name.rsplit(".", 1)[0]}:
            index.setdefault(key, []).append(file)
    files = []
    for line, name in enumerate(names, start=2):
        if os.path.isfile(os.path.join(root, name)):
            files.append(posixpath.normpath(name))
            continue
        found = _match(posixpath.normpath(name), index, root)
        if len(found) != 1:
            what = f"is ambiguous: {shorten(found)}" if found else f"not found below {root}"
            raise CnncliError(f"{path}, line {line}: image {name!r} {what}")
        files.append(found[0])
    return files


def _match(name: str, index: dict[str, list[str]], root: str) -> list[str]:
    """Return the files that an id may mean: by its whole path if that helps, and images only."""
    found = index.get(name.rsplit("/", 1)[-1], [])
    ends = f"/{name}"
    exact = [
        f for f in found if f"/{f}".endswith(ends) or f"/{f}".rpartition(".")[0].endswith(ends)
    ]
    return [f for f in exact or found if looks_like_image(os.path.join(root, f))]


def _check_repeats(path: Path, files: list[str], labels: list[str]) -> None:
    """The same image twice would leak from one split into another."""
    if len(set(files)) == len(files):
        return
    first: dict[str, int] = {}
    for number, file in enumerate(files):
        if file in first:
            other = first[file]
            labelled = "" if labels[other] == labels[number] else ", with another label"
            raise CnncliError(
                f"{path}, line {number + 2}: {file!r} stands in line {other + 2} already"
                f"{labelled}; keep one of them"
            )
        first[file] = number
