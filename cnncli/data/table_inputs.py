"""The images to predict that a CSV names, by path or by id; its labels are not read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from cnncli.data.table_columns import choose_image_columns
from cnncli.data.table_files import find_files
from cnncli.data.table_rows import read_header
from cnncli.data.table_texts import read_texts
from cnncli.data.walk import has_image_suffix
from cnncli.errors import CnncliError, count_of, shorten
from cnncli.files import check_table


def list_table(
    path: Path, *, image_col: str | None, count: int, tell: Callable[[str], None]
) -> list[str]:
    """Return the paths of the files that a table names, row by row, as they open from here.

    Paths count from the table's folder, and an id is looked up below it, as ``--data`` does. What
    is found nowhere keeps the path that the table says, so that it gets its row with an error.

    Args:
        path: Path of the CSV.
        image_col: Names of its columns of images; None looks for the usual ones.
        count: Number of files per sample, which is the number of such columns.
        tell: Is told which column is read, and of files that are not where the table says.

    Raises:
        CnncliError: If the file is no table, lacks the column or an entry in it, or if a name may
            mean several files.
    """
    check_table(path, str(path))
    header = read_header(path)
    if image_col is None and any(map(has_image_suffix, header)):
        raise CnncliError(
            f"{path}: begins with {shorten(header, 3)} in place of the columns' names; a list of "
            f"paths goes to stdin: predict - < {path}"
        )
    columns = choose_image_columns(path, header, image_col)
    if len(columns) != count:
        raise CnncliError(
            f"{path}: {count_of(len(columns), 'column')} of images ({', '.join(columns)}), and a "
            f"sample of this checkpoint is {count_of(count, 'file')}; see --image-col"
        )
    # With all columns, a row that lacks but its path is seen.
    rows = read_texts(path, header, [*columns, *(n for n in header if header.count(n) == 1)])
    for name in columns:
        empty = np.flatnonzero(rows.columns[name] == "")
        if len(empty):
            raise CnncliError(f"{path}, line {rows.find_line(empty[0])}: column {name!r} is empty")
    found = [find_files(path, rows.columns[c], rows.find_line, keep_lost=True) for c in columns]
    tell(f"{path}: {count_of(len(rows.numbers), 'image')} of column {' and '.join(columns)}")
    for remark in dict.fromkeys(remark for _, told in found for remark in told):
        tell(remark)
    files = zip(*(paths for paths, _ in found), strict=True)
    return [os.path.join(path.parent, file) for row in files for file in row]
