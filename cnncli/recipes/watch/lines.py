"""The lines of a file of rows."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence

ENCODING: dict[str, str] = {"encoding": "utf-8", "errors": "surrogateescape"}


def csv_line(cells: Sequence[object]) -> bytes:
    """Return a row of a CSV that ends in a line feed."""
    text = io.StringIO(newline="")
    # With this end of a row, Python's writer puts quotes around a lone carriage return as well.
    csv.writer(text, lineterminator="\r\n").writerow(cells)
    return f"{text.getvalue()[:-2]}\n".encode(**ENCODING)


def json_line(row: Mapping[str, object]) -> bytes:
    """Return a row as a line of JSON; bytes of a path that are no text become escapes."""
    text = json.dumps(row, ensure_ascii=False, allow_nan=False)
    try:
        return f"{text}\n".encode()
    except UnicodeEncodeError:
        return f"{json.dumps(row)}\n".encode()


def end_of_records(content: bytes, *, quotes: bool) -> int:
    """Return where the last whole record ends: behind a line feed that no quotes hold.

    Args:
        content: The content of the file.
        quotes: Whether quotes hold line feeds, as in a CSV; in it they stand in pairs.
    """
    if not quotes:
        return content.rfind(b"\n") + 1
    end = place = 0
    is_inside = False
    for line in io.BytesIO(content):
        place += len(line)
        is_inside ^= line.count(b'"') % 2 == 1
        if line.endswith(b"\n") and not is_inside:
            end = place
    return end
