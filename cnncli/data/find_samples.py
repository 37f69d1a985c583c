"""Finds the labelled images that ``--data`` names: folders, a CSV, or a data set by its name.

A new source of images is one more case in `find_samples`, and a module that returns ``Samples``.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from cnncli.data import EMBEDDED, TORCHVISION
from cnncli.data.samples import CsvColumns, Samples
from cnncli.errors import CnncliError, did_you_mean


def find_samples(data: str, columns: CsvColumns | None = None) -> Samples:
    """Find the labelled images that ``--data`` names.

    Args:
        data: A folder of class folders, a folder of split folders, a CSV or a folder with one,
            ``digits``, or ``torchvision:NAME``.
        columns: Names of the CSV's columns; None looks for the usual ones.

    Raises:
        CnncliError: If there is no such file, folder or data set, or no usable image in it.
    """
    if not data.strip():  # Path("") is the working folder; an empty shell variable is a mistake
        raise CnncliError("--data: is empty; name a folder, a CSV or a data set")
    columns = columns or CsvColumns()
    if not is_named_set(data) or Path(data).exists():
        return _find_on_disk(data, columns)
    _refuse_columns(data, columns)
    if data in EMBEDDED:
        from cnncli.data.digits import load_digits_samples

        return load_digits_samples()
    from cnncli.data.torchvision_sets import load_torchvision_samples

    return load_torchvision_samples(data)


def is_named_set(data: str) -> bool:
    """Return whether ``--data`` has the form of a data set's name, not of a path."""
    return data in EMBEDDED or data.startswith(TORCHVISION)


def _find_on_disk(data: str, columns: CsvColumns) -> Samples:
    """Find labelled images in a folder or a CSV."""
    # Imported here, since a data set by its name does not need them.
    from cnncli.data.folders import find_in_folders
    from cnncli.data.table_columns import choose_table

    try:
        path = Path(data).expanduser()
        siblings = [] if path.exists() else _siblings(path)
    # A folder above may not be entered (OSError); "~nobody" is no user's home (RuntimeError).
    except (OSError, RuntimeError) as error:
        raise CnncliError(f"--data {data}: cannot be read ({error})") from None
    if not path.exists():
        near = did_you_mean(path.name, [*siblings, *EMBEDDED], count=1)
        raise CnncliError(f"--data {data}: no such file or folder{near}")
    if path.is_dir() and not os.access(path, os.R_OK | os.X_OK):
        raise CnncliError(f"--data {data}: the folder cannot be read (permission denied)")
    choice = choose_table(path, columns)
    if choice.table is not None:
        from cnncli.data.table import read_table  # imports pandas

        samples = read_table(choice.table, columns)
        return replace(samples, remarks=(*choice.remarks(samples.paths), *samples.remarks))
    if not path.is_dir():
        raise CnncliError(
            f"--data {data}: neither a folder nor a CSV; give a folder with one folder per class"
        )
    _refuse_columns(data, columns)
    samples = find_in_folders(path)
    return replace(samples, remarks=choice.remarks(samples.paths))


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
