"""Grids of numbers as text: reading them as lecture notes write them, and writing them.

``1 0 -1; 2 0 -2; 1 0 -1`` has three rows. Numbers stand apart by spaces or commas, rows by ``;`` or
a line end. Several channels stand apart by ``|``, in a file also by an empty line.
"""

from __future__ import annotations

import re

from cnncli.convolving.values import Values, stack
from cnncli.errors import CnncliError, shorten

# A larger number is a typing error; products of two such numbers are still far from infinity.
LARGEST = 10**12
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,4})?"
_FRACTION = re.compile(rf"({_NUMBER})(?:/({_NUMBER}))?")
_LIKE_NUMBERS = re.compile(r"[\s\d.,;|/eE+−-]*\d[\s\d.,;|/eE+−-]*")


def looks_like_numbers(text: str) -> bool:
    """Return whether a text is to be read as numbers and not as a name or a path."""
    return _LIKE_NUMBERS.fullmatch(text) is not None and not text.strip().startswith(("/", "./"))


def parse_grids(text: str, what: str) -> Values:
    """Parse one or several grids of numbers as values (C, H, W).

    Args:
        text: The numbers, in the notation of this module.
        what: Name of them in the error message.

    Raises:
        CnncliError: If there is no number, a word is none, rows differ in length, or channels
            differ in size.
    """
    channels = [
        [row for row in re.split(r"[;\n]", part) if row.strip()] for part in text.split("|")
    ]
    return _build(channels, what)


def parse_file(text: str, what: str) -> Values:
    """Parse what a file or a pipe holds: a row of numbers a line, an empty line between channels.

    Numbers may stand apart by commas, semicolons, tabs or spaces. A line that is written as
    ``1 2; 3 4`` is two rows.

    Args:
        text: The content of the file.
        what: Name of the file in the error message.

    Raises:
        CnncliError: As `parse_grids` does; and for a line with ``;`` and ``,``, where a comma could
            be a decimal one.
    """
    channels = []
    for part in re.split(r"\n[ \t]*\n|\|", re.sub(r"\r\n?", "\n", text).strip()):
        rows: list[str] = []
        for number, line in enumerate(part.strip("\n").split("\n"), 1):
            cells = [cell.strip() for cell in line.split(";")]
            if len(cells) > 1 and "," in line:
                raise CnncliError(
                    f"{what}: line {number} has both ; and , between its numbers; write decimal "
                    "points, and one of both between the numbers"
                )
            as_rows = any(re.search(r"\s", cell) for cell in cells)
            rows += [row for row in cells if row] if as_rows else [line.replace(";", " ")]
        channels.append([row for row in rows if row.strip()])
    return _build([rows for rows in channels if rows], what)


def _build(channels: list[list[str]], what: str) -> Values:
    if not any(channels):
        raise CnncliError(f"{what}: holds no number; write rows such as '1 0 -1; 2 0 -2; 1 0 -1'")
    grids = []
    for number, rows in enumerate(channels):
        where = f"{what}: channel {number} (from 0): " if len(channels) > 1 else f"{what}: "
        if not rows:
            raise CnncliError(f"{where}holds no number; leave one | out, or write its rows")
        grids.append(_parse_rows(rows, where))
    sizes = [f"{len(grid)}x{len(grid[0])}" for grid in grids]
    if len(set(sizes)) > 1:
        raise CnncliError(f"{what}: its channels are {shorten(sizes)}; they must be of one size")
    return stack(grids)


def _parse_rows(rows: list[str], where: str) -> list[list[float]]:
    grid = [
        [_parse_number(word, f"{where}row {number} (from 0): ") for word in _words(row)]
        for number, row in enumerate(rows)
    ]
    for number, row in enumerate(grid):
        if len(row) != len(grid[0]):
            raise CnncliError(
                f"{where}row {number} (from 0) has {len(row)} numbers and row 0 has "
                f"{len(grid[0])}; all rows must be of one length"
            )
    return grid


def _words(row: str) -> list[str]:
    words = re.split(r"\s*,\s*|\s+", row.strip())
    return words[:-1] if len(words) > 1 and not words[-1] else words  # a comma at the end


def _parse_number(word: str, where: str) -> float:
    shown = word if len(word) <= 40 else word[:40] + "…"
    match = _FRACTION.fullmatch(word.replace("−", "-"))
    if match is None:
        reason = "is missing between two commas" if not word else f"{shown!r} is no number"
        if word.lower().strip("+-") in ("nan", "inf", "infinity"):
            reason += "; NaN and infinity cannot be computed with"
        raise CnncliError(f"{where}{'a number ' * (not word)}{reason}; write numbers such as -1.5")
    value = float(match[1])
    if match[2]:
        if not float(match[2]):
            raise CnncliError(f"{where}{shown} divides by 0")
        value /= float(match[2])
    if not abs(value) <= LARGEST:
        raise CnncliError(f"{where}{shown} is too large; the largest number is {LARGEST:.0e}")
    return int(value) if value.is_integer() else value


def format_number(number: float, digits: int | None = 6) -> str:
    """Return a number as text: whole ones without a point.

    Args:
        number: A finite number.
        digits: Largest number of significant digits; None for as many as give the same number
            when they are read again.
    """
    if isinstance(number, int):
        return str(number)
    if float(number).is_integer() and abs(number) < 1e15:
        return str(int(number))
    return repr(float(number)) if digits is None else f"{number:.{digits}g}"
