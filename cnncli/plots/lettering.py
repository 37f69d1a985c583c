"""Class names in any script and of any length, drawn by matplotlib and never as a formula."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BASE_FONT = "DejaVu Sans"  # ships with matplotlib: Latin, Greek, Cyrillic, Arabic, Hebrew …
# Fonts of Linux, macOS and Windows, most of them with Chinese, Japanese or Korean letters. Letters
# that the base font does not have are taken from the first of these that is installed and has them.
WIDE_FONTS = (
    "Noto Sans CJK KR",
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Noto Sans KR",
    "Noto Sans JP",
    "Noto Sans SC",
    "NanumGothic",
    "Source Han Sans",
    "WenQuanYi Zen Hei",
    "WenQuanYi Micro Hei",
    "Droid Sans Fallback",
    "IPAGothic",
    "UnDotum",
    "Apple SD Gothic Neo",
    "PingFang SC",
    "Hiragino Sans",
    "Malgun Gothic",
    "Microsoft YaHei",
    "Yu Gothic",
    "SimHei",
    "Arial Unicode MS",
    "Noto Sans Devanagari",
    "Noto Sans Thai",
)

_MISSING = "□"  # in place of a letter that no installed font has


@cache
def installed_families() -> tuple[str, ...]:
    """Return the base font and those of ``WIDE_FONTS`` that are installed.

    matplotlib searches such a list for each letter. For a family that is not installed it would
    write a line on stderr for each text.
    """
    from matplotlib import font_manager

    known = {font.name for font in font_manager.fontManager.ttflist}
    return (BASE_FONT, *(family for family in WIDE_FONTS if family in known))


@cache
def _drawable_code_points() -> frozenset[int]:
    """Return the code points of all letters that some installed family can draw."""
    from matplotlib import font_manager

    points: set[int] = set()
    for family in installed_families():
        font_path = font_manager.findfont(font_manager.FontProperties(family=[family]))
        points.update(font_manager.get_font(font_path).get_charmap())
    return frozenset(points)


def drawable_names(class_names: Sequence[str], longest: int) -> tuple[list[str], int]:
    """Return names in a form that the installed fonts can draw.

    Args:
        class_names: K names.
        longest: Largest number of characters. Of a longer name the beginning and the end are kept,
            with an ellipsis between them, because the names of a data set often share one end.

    Returns:
        K texts, and how many of them are ``class <index>`` because no font has one of the letters.
    """
    names, missing = [], 0
    for index, class_name in enumerate(class_names):
        name = drawable_text(class_name, longest)
        if _MISSING in name and _MISSING not in class_name:
            name, missing = f"class {index}", missing + 1
        names.append(name)
    return names, missing


def drawable_text(text: str, longest: int) -> str:
    """Return one line in a form that the installed fonts can draw.

    Args:
        text: The line; it may hold names of classes and files.
        longest: Largest number of characters; a longer line loses its middle.

    Returns:
        The line, with an empty box in place of each letter that no font has, and a dot in place of
        line breaks and other control characters, which are legal in a folder's name.
    """
    shown = "".join(letter if letter.isprintable() else "·" for letter in text)
    known = _drawable_code_points()
    shown = "".join(letter if ord(letter) in known else _MISSING for letter in shown)
    if len(shown) <= longest:
        return shown
    tail = (longest - 1) // 2
    return f"{shown[: longest - 1 - tail]}…{shown[-tail:]}"


def use_plain_text(figure: Figure) -> None:
    """Give every text of a figure the installed fonts, and draw ``$`` as a dollar sign."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        if isinstance(text, Text):
            text.set_fontfamily(list(installed_families()))
            text.set_parse_math(False)
