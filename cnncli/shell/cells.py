"""Texts in cells of a terminal: how wide they are, how they are cut and wrapped, and numbers.

A cell takes one letter of Latin; a Chinese character or an emoji takes two, an accent that stands
on the letter before it none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial

from cnncli.reporting import show_controls

CUT = "…"  # stands for what was cut out of a name
_UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"))
_WORD = re.compile(r" *[^ ]+")
_LEAST_FILE = 10  # cells of a file's name behind its folder
_JOINER = "\u200d"
_SKIN_TONES = range(0x1F3FB, 0x1F400)


def format_cell(value: object) -> str:
    """Return a value as a table shows it: fractions to four decimals, thousands apart."""
    return format_cells([value])[0]


def format_cells(values: Sequence[object], *, rounded: bool = False) -> list[str]:
    """Return values that belong together, as a column of a table shows them.

    All fractions have the same number of decimals: four, or two where all are above 1.

    Args:
        values: They may be of any kind.
        rounded: Whether figures below 0.001 are rounded to as many decimals as the others; else
            they keep three digits, as a learning rate needs them.
    """
    sizes = [abs(value) for value in values if isinstance(value, float) and value]
    decimals = 2 if sizes and not any(size <= 1 for size in sizes) else 4
    return [_format(value, decimals, rounded=rounded) for value in values]


def _format(value: object, decimals: int, *, rounded: bool) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        if 0 < abs(value) < 1e-3 and not rounded:
            return f"{value:.3g}"
        return f"{value:,.{decimals}f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)


def shorten_number(value: object) -> str:
    """Return a number from a million on in M, G or T to two decimals, else as ``format_cell``."""
    if isinstance(value, int | float) and 1e6 <= abs(value) < 1e16:  # False for NaN and infinity
        for scale, unit in _UNITS:
            if round(abs(value) / scale, 2) >= 1:
                return f"{value / scale:,.2f} {unit}"
    return format_cell(value)


def show_in_line(text: str) -> str:
    r"""Return a text for one line, with control characters, tabs and line breaks made visible."""
    return show_controls(text).replace("\n", r"\n").replace("\t", r"\t")


def cell_width(text: str) -> int:
    """Return the number of cells that a text without control characters takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # most texts are ASCII: conv-size never needs rich

    return cell_len(text)


def pad(text: str, width: int, *, right: bool = False) -> str:
    """Return a text with spaces before it (``right``) or behind it, as wide as ``width`` cells."""
    spaces = " " * (width - cell_width(text))
    return spaces + text if right else text + spaces


def cut_middle(text: str, width: int, mark: str = CUT, head_share: float = 0.5) -> str:
    """Return a text that takes at most ``width`` cells; what is too much is cut from its middle.

    Args:
        text: The text.
        width: Most cells.
        mark: Stands for what was cut out.
        head_share: The part of what stays that is the text's beginning, 0-1.
    """
    if cell_width(text) <= width:
        return text
    letters = _split_letters(text)
    room = width - cell_width(mark)
    at_end = round(room * (1 - head_share) - 0.01)
    head = _take(letters, room - at_end)
    tail = _take(letters[::-1], at_end)[::-1]
    while tail and cell_width("".join([*head, mark, *tail])) > width:  # neighbours that join
        tail.pop(0)
    return "".join([*head, mark, *tail])


def cut_path(text: str, width: int, mark: str = CUT) -> str:
    """Return a path in at most ``width`` cells: folders go first, as in ``data/…/img_0042.png``.

    Where the file's name alone is too long, its folder stays if it is short: it may be the class.
    """
    if cell_width(text) <= width:
        return text
    folders = text.rstrip("/").split("/")
    name = text[len("/".join(folders[:-1])) :].lstrip("/")
    for count in range(len(folders) - 2, -1, -1):
        shorter = "/".join([*folders[:count], mark, name])
        if cell_width(shorter) <= width:
            return shorter
    folder = "".join(f"{part}/" for part in [mark] * (len(folders) > 2) + folders[-2:-1])
    room = width - cell_width(folder)
    if room < _LEAST_FILE:
        return cut_middle(name, width, mark)
    return folder + cut_middle(name, room, mark)


def cut_apart(
    texts: Sequence[str],
    widths: Sequence[int],
    mark: str,
    *,
    are_paths: bool = False,
    ends: bool = False,
) -> list[str]:
    """Return texts cut to their widths, in such a way that no two of them become alike.

    Args:
        texts: Texts of a line.
        widths: Cells that each may take.
        mark: Stands for what was cut out.
        are_paths: Whether folders are what goes first.
        ends: Whether the ends say more than the beginnings.
    """
    shares = (0, 0.5, 0.8, 0.2, 1) if ends else (0.8, 0.5, 0.2, 1, 0)
    ways: list[Callable[[str, int], str]] = [
        *([lambda text, width: cut_path(text, width, mark)] if are_paths else []),
        *(partial(cut_middle, mark=mark, head_share=share) for share in shares),
    ]
    different = len(set(texts))
    first: list[str] = []
    for way in ways:
        cut = [way(text, width) for text, width in zip(texts, widths, strict=True)]
        if len(set(cut)) == different:
            return cut
        first = first or cut
    return first


def wrap_words(text: str, width: int, *, indent: str = "") -> list[str]:
    """Return the lines of a text; it is broken at spaces alone, so a long word may stand over.

    Args:
        text: It may hold line breaks.
        width: Cells of a line.
        indent: Stands before every line that goes on with the one above it.
    """
    lines = []
    for paragraph in text.split("\n"):
        line = ""
        for word in _WORD.findall(paragraph):
            if line.strip() and cell_width(line + word) > width:
                lines.append(line)
                line = indent + word.lstrip(" ")
            else:
                line += word
        lines.append(line)
    return lines


def _split_letters(text: str) -> list[str]:
    """Return the letters of a text, each with the accents and joined emoji that belong to it."""
    letters: list[str] = []
    for character in text:
        belongs = (
            letters
            and not character.isascii()
            and (
                cell_width(character) == 0
                or ord(character) in _SKIN_TONES
                or letters[-1].endswith(_JOINER)
            )
        )
        if belongs:
            letters[-1] += character
        else:
            letters.append(character)
    return letters


def _take(letters: list[str], width: int) -> list[str]:
    """Return the first letters that fit in ``width`` cells together."""
    taken: list[str] = []
    for letter in letters:
        if cell_width("".join([*taken, letter])) > width:
            break
        taken.append(letter)
    return taken
