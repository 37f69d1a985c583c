"""The records of a CSV one by one, each with its line: for headers, split files and messages."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import TextIO

from cnncli.errors import CnncliError

# What may separate the fields; of those that the header has, the first one does.
_DELIMITERS = (",", ";", "\t")
_UTF_16 = "it is in UTF-16, as Excel's Unicode text; save it as CSV UTF-8"
# The first line by which Excel learns which separator a file has.
_SEPARATOR_LINE = re.compile(r"sep=([,;\t])\s*")


@contextmanager
def open_table(path: Path) -> Iterator[tuple[TextIO, str, int]]:
    """Open a CSV whose fields are separated by commas, semicolons or tabs.

    Gives the file, the separator of its fields, and the number of lines before the position of the
    file: 1 if Excel's ``sep=;`` has been read, else 0.

    Raises:
        CnncliError: If the file cannot be read or is no CSV, also while it is read.
    """
    try:
        _refuse_spreadsheet(path)
        with path.open(newline="", encoding="utf-8-sig") as file:
            line = file.readline()
            if told := _SEPARATOR_LINE.fullmatch(line):
                yield file, told[1], 1
                return
            while line and not line.strip():
                line = file.readline()
            marks = ("\t",) if path.suffix.lower() == ".tsv" else _DELIMITERS
            delimiter = next((mark for mark in marks if mark in line), ",")
            file.seek(0)
            yield file, delimiter, 0
    except OSError as error:
        raise CnncliError(f"{path}: cannot be read ({error.strerror})") from None
    except (csv.Error, UnicodeDecodeError) as error:
        reason = _UTF_16 if _is_utf_16(path) else error
        raise CnncliError(f"{path}: not a CSV in UTF-8: {reason}") from None


def _refuse_spreadsheet(path: Path) -> None:
    """Refuse a file of Excel or LibreOffice, whatever its name says."""
    with path.open("rb") as file:
        head = file.read(4)
    if head in (b"PK\x03\x04", b"\xd0\xcf\x11\xe0"):
        raise CnncliError(
            f"{path}: is a spreadsheet of Excel or LibreOffice (or an archive), and no CSV; save "
            "it as CSV UTF-8"
        )


def _is_utf_16(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield each record with the line that it begins in, counted from 1; blank ones are left out.

    Raises:
        CnncliError: If the file cannot be read or is no CSV.
    """
    return ((line, fields) for line, fields in _read_all(path) if "".join(fields).strip())


def _read_all(path: Path) -> Iterator[tuple[int, list[str]]]:
    with open_table(path) as (file, delimiter, before):
        # Strict, since otherwise a quote that is never closed takes in the rest of the file.
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        line = before + 1
        for fields in reader:
            yield line, fields
            line = before + reader.line_num + 1


def find_other_mark(fields: list[str], width: int) -> str:
    """Return what separates a record, where that is not what separates the header; else nothing.

    Args:
        fields: The record, read with the header's separator: all of it is in the first field.
        width: Number of columns.
    """
    row = fields[0] if width > 1 and fields and not any(fields[1:]) else ""
    return next((mark for mark in _DELIMITERS if row and row.count(mark) == width - 1), "")


def read_header(path: Path) -> list[str]:
    """Return the names of a CSV's columns.

    Raises:
        CnncliError: If the file cannot be read, is no CSV or is empty.
    """
    records = read_records(path)
    for _, header in records:
        first: list[str] = []
        with suppress(CnncliError):  # told when the rows are read
            _, first = next(records, (0, []))
        if mark := find_other_mark(first, len(header)):
            raise CnncliError(
                f"{path}: the first row is separated by {mark!r}, and the header is not; "
                "separate both in one way"
            )
        if len(header) == 1 and "|" in header[0]:
            raise CnncliError(
                f"{path}: the header is separated by '|'; separate the fields by commas, "
                "semicolons or tabs"
            )
        return header
    raise CnncliError(f"{path}: not a CSV in UTF-8: it is empty")


def find_line(path: Path, number: int) -> int:
    """Return the line in which a record begins; for messages, since the file is read up to it.

    Args:
        path: Path of the CSV.
        number: Number of the record, from 0; the header and blank lines count.

    Raises:
        CnncliError: If the file is no CSV.
    """
    return next(islice(_read_all(path), number, None))[0]
