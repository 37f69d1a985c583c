"""Finds the labelled images that ``--data`` names: folders, a CSV, or a data set by its name.

A new source of images is one more case in `find_samples`, and a module that returns ``Samples``.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

from cnncli.choices.spelling import find_choice
from cnncli.choices.subgroups import FILE_PROPERTIES
from cnncli.data import EMBEDDED, TORCHVISION
from cnncli.data.samples import CsvColumns, Samples
from cnncli.data.torchvision_table import SETS
from cnncli.errors import CnncliError, did_you_mean, shorten
from cnncli.files import MOST_OF_TABLE, check_table, expand_path
from cnncli.reporting import Reporter


def find_samples(data: str, columns: CsvColumns | None = None, *, flat: bool = False) -> Samples:
    """Find the labelled images that ``--data`` names.

    Args:
        data: A folder of class folders, a folder of split folders, a CSV or a folder with one, a
            ``.npz`` data set, a folder in MNIST's form, ``digits``, or ``torchvision:NAME``.
        columns: Names of the CSV's columns; None looks for the usual ones. That of the groups may
            be a header field of DICOM files, ``dicom:PatientID``, whatever the layout.
        flat: Whether images that lie in a folder without class folders are taken as one class.

    Raises:
        CnncliError: If there is no such file, folder or data set, or no usable image in it.
    """
    # Imported here, so that the names of data sets are known without NumPy.
    from cnncli.data.classes import merge_labels
    from cnncli.data.dicom_groups import group_by_field, parse_field

    columns = columns or CsvColumns()
    field = parse_field(columns.group)
    if field is not None:
        columns = replace(columns, group=None)
    samples = merge_labels(_find(data, columns, flat))
    return samples if field is None else group_by_field(samples, field, data)


def _find(data: str, columns: CsvColumns, flat: bool) -> Samples:
    """Find the labelled images, with their labels as they are written."""
    if not data.strip():  # Path("") is the working folder; an empty shell variable is a mistake
        raise CnncliError("--data: is empty; name a folder, a CSV or a data set")
    if not is_named_set(data) or Path(data).exists():
        return _find_on_disk(data, columns, flat)
    _refuse_columns(data, columns)
    if data in EMBEDDED:
        from cnncli.data.digits import load_digits_samples

        return load_digits_samples()
    from cnncli.data.torchvision_sets import load_torchvision_samples

    return load_torchvision_samples(data)


def report_layout(samples: Samples, reporter: Reporter) -> None:
    """Tell how the layout of the data was understood, and warn of what in it may be a mistake.

    Args:
        samples: What `find_samples` returned.
        reporter: Gets the remarks and warnings.
    """
    for remark in samples.remarks:
        reporter.note(remark)
    for note in samples.notes:
        reporter.warn(note)


def is_named_set(data: str) -> bool:
    """Return whether ``--data`` has the form of a data set's name, not of a path."""
    return data in EMBEDDED or data.startswith(TORCHVISION)


def _find_on_disk(data: str, columns: CsvColumns, flat: bool) -> Samples:
    """Find labelled images in a folder or a CSV."""
    # Imported here, since a data set by its name does not need them.
    from cnncli.data.folders import find_in_folders
    from cnncli.data.given_run import refuse_run
    from cnncli.data.layout import find_base
    from cnncli.data.table_columns import choose_table

    try:
        path = expand_path(data)
        siblings = [] if path.exists() else _siblings(path)
    except OSError as error:  # a folder above may not be entered
        raise CnncliError(f"--data {data}: cannot be read ({error.strerror})") from None
    if not path.exists():
        named = find_choice(path.name, SETS)
        near = f"; did you mean {TORCHVISION}{named}?" if named else ""
        near = near or did_you_mean(path.name, [*siblings, *EMBEDDED], count=1)
        raise CnncliError(f"--data {data}: no such file or folder{near}")
    refuse_run(path, f"--data {data}")
    # A .npz may be larger than a table, since it is never read as a whole.
    is_npz = path.suffix.lower() == ".npz"
    check_table(path, f"--data {data}", most=sys.maxsize if is_npz else MOST_OF_TABLE)
    if path.is_dir() and not os.access(path, os.R_OK | os.X_OK):
        raise CnncliError(f"--data {data}: the folder cannot be read (permission denied)")
    arrays = _find_arrays(path)
    if arrays is not None:
        _refuse_columns(data, columns)
        return arrays
    choice = choose_table(path, columns)
    base = find_base(path) if choice.table is None and path.is_dir() and not choice.others else ""
    inside = choose_table(path / base, columns) if base else choice
    if choice.table is None and inside.table is not None:
        samples = _find(str(path / base), columns, flat)
        told = f"{base[:-1]} is the only folder with images in {path}, so its table is read"
        return replace(samples, remarks=(told, *samples.remarks))
    if choice.table is not None:
        from cnncli.data.table import read_table  # imports pandas

        check_table(choice.table, str(choice.table))

        samples = read_table(choice.table, columns)
        return replace(samples, remarks=(*choice.remarks(samples.paths), *samples.remarks))
    if path.suffix.lower() in (".xlsx", ".xls", ".xlsm", ".ods", ".numbers"):
        raise CnncliError(f"--data {data}: is a spreadsheet, and no CSV; save it as CSV UTF-8")
    if path.name.lower().endswith((".zip", ".tar", ".tar.gz", ".tgz", ".7z", ".rar")):
        raise CnncliError(f"--data {data}: is an archive; unpack it, and name its folder")
    if path.suffix.lower() == ".txt" and path.is_file():
        raise CnncliError(
            f"--data {data}: a table's name ends in .csv or .tsv; rename it if it is one, with a "
            "first line that names its columns"
        )
    if not path.is_dir():
        raise CnncliError(
            f"--data {data}: neither a folder nor a CSV nor a .npz data set; give a folder with "
            "one folder per class"
        )
    _refuse_columns(data, columns)
    samples = find_in_folders(path, flat=flat)
    return replace(samples, remarks=(*inside.remarks(samples.paths), *samples.remarks))


def _find_arrays(path: Path) -> Samples | None:
    """Return the images of a ``.npz`` file or of a folder in MNIST's form, None for other data.

    A folder that holds but one such file, and no folders, stands for it.
    """
    from cnncli.data.idx_set import find_idx_folder, find_in_idx
    from cnncli.data.npz_set import find_in_npz, find_npz_sets

    if path.suffix.lower() == ".npz" and path.is_file():
        return find_in_npz(path)
    if not path.is_dir():
        return None
    folder = find_idx_folder(path)
    if folder is not None:
        return find_in_idx(folder)
    sets = find_npz_sets(path)
    if len(sets) > 1:
        names = shorten([file.name for file in sets])
        raise CnncliError(f"--data {path}: several data sets ({names}); name one of them")
    return find_in_npz(sets[0]) if sets else None


def _siblings(path: Path) -> list[str]:
    """Return the names of the files and folders beside a path, to suggest one of them."""
    return [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []


def _refuse_columns(data: str, columns: CsvColumns) -> None:
    """Refuse flags that name columns where there is no CSV.

    A --group-col that is ignored would let images of one group get into several splits, unnoticed.

    Raises:
        CnncliError: If a column is named.
    """
    for name in ("image", "label", "split", "group"):
        if getattr(columns, name) is not None:
            raise CnncliError(
                f"--{name}-col {getattr(columns, name)}: --data {data} is no CSV and has no columns"
            )
    for name in columns.extra:
        if name not in FILE_PROPERTIES:
            near = did_you_mean(name, FILE_PROPERTIES)
            raise CnncliError(
                f"--subgroup {name}: --data {data} is no CSV and has no columns; of its files "
                f"there are {', '.join(FILE_PROPERTIES)}{near}"
            )
