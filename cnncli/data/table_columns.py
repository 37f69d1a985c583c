"""Which CSV of a folder names its images; so that folders as Kaggle ships them work as they are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from cnncli.arrays import Array
from cnncli.choices.subgroups import FILE_PROPERTIES
from cnncli.data.samples import CsvColumns, top_folders
from cnncli.data.split_names import USUAL
from cnncli.data.table_rows import read_header, read_records
from cnncli.data.walk import has_image_suffix, is_hidden
from cnncli.errors import CnncliError, clip, did_you_mean, shorten

IMAGE_COLUMNS = (
    *("image", "path", "file", "filename", "file_name", "filepath", "image_path", "img"),
    *("image_id", "image_name", "id_code", "id"),
)
LABEL_COLUMNS = (
    *("label", "class", "class_name", "classname", "target", "category"),
    *("diagnosis", "level", "grade", "dx", "breed"),
)
# So many lines of a table tell what its columns hold.
_LOOKED_AT = 1000
# Columns image_1, image_2, … are the channels of one sample.
_NUMBERED = re.compile(r"(image|img|file|path|channel)_?(\d+)")
# Folders with such a word in their name hold a table's images: no class is called so.
_STORE_WORDS = {
    *("train", "training", "test", "testing", "val", "valid", "validation", "image", "images"),
    *("img", "imgs", "jpg", "jpeg", "png", "dicom", "dicoms", "tfrecords", "part"),
}


@dataclass(frozen=True)
class TableChoice:
    """The CSV that names the images of a folder, and what else the folder holds.

    Attributes:
        table: Path of the CSV; None if the images lie in class folders.
        others: Names of the other CSVs in the folder.
        folders: Names of the folders beside the CSV.
    """

    table: Path | None
    others: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()

    def remarks(self, paths: Array) -> tuple[str, ...]:
        """Return what the user should know of the choice; ``paths`` are the images found."""
        if self.table is None:
            told = f"{shorten(self.others)} beside the folders is not read; name it to use it"
            return (told,) if self.others else ()
        used = top_folders(paths) if self.folders else set()
        unused = [f"{name}/" for name in self.folders if name not in used]
        left = shorten([*self.others, *unused])
        return (f"{self.table.name} names the images; left aside: {left}",) if left else ()


def choose_table(path: Path, columns: CsvColumns) -> TableChoice:
    """Choose the CSV that names the images: the path itself, or one in the folder.

    In a folder with class folders no CSV is chosen, unless every folder is named like a place for
    images (``train_images``) and there is a CSV with columns of images and labels.

    Raises:
        CnncliError: If a folder without class folders holds several CSVs that may be meant.
    """
    if path.is_file():
        return TableChoice(path if path.suffix.lower() in (".csv", ".tsv") else None)
    visible = sorted(p for p in path.iterdir() if not is_hidden(p.name))
    tables = [p for p in visible if p.suffix.lower() == ".csv" and p.is_file()]
    folders = [p for p in visible if p.is_dir()]
    chosen = _choose(path, tables, folders, columns) if tables else None
    others = tuple(table.name for table in tables if table != chosen)
    return TableChoice(chosen, others, tuple(folder.name for folder in folders))


def _choose(
    path: Path, tables: list[Path], folders: list[Path], columns: CsvColumns
) -> Path | None:
    if len(folders) >= 2 and not all(map(_holds_a_tables_images, folders)):
        return None
    labelling = [table for table in tables if _labels_images(table, columns)]
    if len(labelling) == 1:
        return labelling[0]
    if len(folders) >= 2 and not labelling:
        return None
    if len(tables) > 1:
        names = shorten([table.name for table in labelling or tables])
        raise CnncliError(f"--data {path}: several CSV files ({names}); name one of them")
    return tables[0]  # whose columns are told, so that they can be named


def _holds_a_tables_images(folder: Path) -> bool:
    """Tell ``train_images/`` and a flat ``train/`` from ``train/<class>/`` and a class's folder."""
    words = re.split(r"[\W\d_]+", folder.name.lower())
    if _STORE_WORDS.isdisjoint(words):
        return False
    if folder.name.lower() not in USUAL:
        return True
    inside = (entry for entry in folder.iterdir() if not entry.name.startswith("."))
    return not any(entry.is_dir() for entry in inside)


def _labels_images(table: Path, columns: CsvColumns) -> bool:
    """Tell whether a CSV has columns of images and labels, and is no answer sheet or test table."""
    if re.search(r"submission|(^|[\W\d_])test($|[\W\d_])", table.stem.lower()):
        return False
    try:
        header = read_header(table)
    except CnncliError:
        return False
    given = [*split_names(columns.image, header), *([columns.label] if columns.label else [])]
    return (
        all(name in header for name in given)
        and bool(columns.image or find_image_columns(header))
        and bool(columns.label or find_usual(header, LABEL_COLUMNS))
    )


def split_names(chosen: str | None, header: Sequence[str]) -> list[str]:
    """Return the columns that a flag names: one, or several separated by commas."""
    if chosen is None:
        return []
    return [chosen] if chosen in header else [name.strip() for name in chosen.split(",")]


def find_usual(header: Sequence[str], usual: Sequence[str]) -> list[str]:
    """Return the columns of a header that have one of the usual names, the usual order first."""
    plain = {name.strip().lower().replace(" ", "_"): name for name in reversed(header)}
    return [plain[name] for name in usual if name in plain]


def find_image_columns(header: Sequence[str]) -> list[str]:
    """Return the column of images, or those of several files per sample; empty if there is none."""
    usual = find_usual(header, IMAGE_COLUMNS)
    if usual:
        return usual[:1]
    numbered: dict[str, dict[int, str]] = {}
    for name in header:
        match = _NUMBERED.fullmatch(name.strip().lower())
        if match:
            numbered.setdefault(match[1], {})[int(match[2])] = name
    # Of several files, or the only column that is called so: image_1 alone.
    several = [found for found in numbered.values() if len(found) > 1] or list(numbered.values())
    return [name for _, name in sorted(several[0].items())] if len(several) == 1 else []


def choose_image_columns(path: Path, header: list[str], chosen: str | None) -> list[str]:
    """Return the column of images, or the several whose files are the channels of one sample.

    Args:
        path: Path of the CSV, for messages.
        header: Names of its columns.
        chosen: Value of ``--image-col``; None looks for the usual names.

    Raises:
        CnncliError: If there is no such column, or none that is called as usual.
    """
    if chosen is None:
        found = find_image_columns(header)
        if not found:
            raise _unnamed_column_error(path, header, "--image-col")
        return found
    names = split_names(chosen, header)
    if len(set(names)) < len(names):
        raise CnncliError(f"--image-col {chosen}: a column is named twice")
    return [choose_column(path, header, name, "--image-col", ()) for name in names]


def choose_column(
    path: Path,
    header: list[str],
    chosen: str | None,
    flag: str,
    usual: Sequence[str],
    *,
    needed: bool = True,
) -> str:
    """Return the column's name, or an empty text where there is none and none is needed.

    Args:
        path: Path of the CSV, for messages.
        header: Names of its columns.
        chosen: The name that the user gave; None looks for the usual ones.
        flag: The flag by which a name is given.
        usual: The usual names.
        needed: Whether there has to be such a column.

    Raises:
        CnncliError: If there is no column of the name given, or none that is needed.
    """
    if chosen is not None:
        if not chosen or chosen not in header:  # a column may have no name
            raise CnncliError(
                f"{flag} {chosen}: {path} has no such column; it has {shorten(header, 12)}"
                f"{did_you_mean(chosen, header)}"
            )
        return chosen
    found = find_usual(header, usual)
    if needed and not found:
        raise _unnamed_column_error(path, header, flag)
    return found[0] if found else ""


def _unnamed_column_error(path: Path, header: list[str], flag: str) -> CnncliError:
    named = [name for name in header if has_image_suffix(name)]
    if named:
        return CnncliError(
            f"{path}: its first line names an image ({clip(named[0])}); begin the file with a line "
            "of the columns' names, such as image,label"
        )
    told = f"{path}: name the column with {flag}; it has {shorten(header, 12)}"
    flags = _find_zeros_and_ones(path, header) if flag == "--label-col" else []
    if len(flags) > 1:
        told += (
            f"; {shorten(flags)} hold 0 and 1 alone: if each is a class, write the name of an "
            "image's class into one column"
        )
    return CnncliError(told)


def _find_zeros_and_ones(path: Path, header: list[str]) -> list[str]:
    """Return the columns that hold 0 and 1 alone, and both, by the first rows of a CSV."""
    rows = [fields for _, fields in islice(read_records(path), 1, _LOOKED_AT)]
    values = {
        name: {row[place].strip() for row in rows if place < len(row)}
        for place, name in enumerate(header)
    }
    return [name for name, found in values.items() if {_number(v) for v in found} == {0, 1}]


def _number(text: str) -> float | None:
    """Return the number that a text is; None for any other text."""
    try:
        return float(text)
    except ValueError:
        return None


def find_extra_columns(path: Path, header: list[str], names: Sequence[str]) -> list[str]:
    """Return those of the names that are columns; the others are properties of the files.

    Raises:
        CnncliError: If a name is neither.
    """
    for name in names:
        if name not in (*header, *FILE_PROPERTIES):
            near = did_you_mean(name, [*header, *FILE_PROPERTIES])
            raise CnncliError(
                f"--subgroup {name}: {path} has no such column; it has {shorten(header, 12)}, and "
                f"of the files there are {', '.join(FILE_PROPERTIES)}{near}"
            )
    return [name for name in names if name in header]
