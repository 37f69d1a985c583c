"""Class names as matplotlib can draw them: any script, any length, never as a formula."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BASE_FONT = "DejaVu Sans"  # ships with matplotlib: Latin, Greek, Cyrillic, Arabic, Hebrew …
# Fonts with Chinese, Japanese or Korean letters, of Linux, macOS and Windows; the installed ones
# are asked, in this order, for what the base font lacks.
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


@cache
def installed_families() -> tuple[str, ...]:
    """Return the base font and those of ``WIDE_FONTS`` that this machine has.

    matplotlib goes through such a list letter by letter; a family that is not there costs a line
    of its log on stderr for every text.
    """
    from matplotlib import font_manager

    known = {font.name for font in font_manager.fontManager.ttflist}
    return (BASE_FONT, *(family for family in WIDE_FONTS if family in known))


@cache
def _drawable_code_points() -> frozenset[int]:
    """Return the code points that the installed families can draw between them."""
    from matplotlib import font_manager

    points: set[int] = set()
    for family in installed_families():
        font_path = font_manager.findfont(font_manager.FontProperties(family=[family]))
        points.update(font_manager.get_font(font_path).get_charmap())
    return frozenset(points)


def drawable_names(class_names: Sequence[str], longest: int) -> tuple[list[str], int]:
    """Bring names to what can be drawn.

    Args:
        class_names: K names.
        longest: In characters; a longer name keeps its two ends around an ellipsis, as names
            of one data set often share one end.

    Returns:
        K texts, and how many of them are ``class <index>`` because a letter has no glyph.
    """
    names, missing = [], 0
    for index, class_name in enumerate(class_names):
        # Line breaks and other control characters are legal in a folder's name.
        name = "".join(letter if letter.isprintable() else "·" for letter in class_name)
        if any(ord(letter) not in _drawable_code_points() for letter in name):
            name, missing = f"class {index}", missing + 1
        elif len(name) > longest:
            tail = (longest - 1) // 2
            name = f"{name[: longest - 1 - tail]}…{name[-tail:]}"
        names.append(name)
    return names, missing


def use_plain_text(figure: Figure) -> None:
    """Give every text of ``figure`` the installed fonts, and take ``$`` as a dollar sign."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        if isinstance(text, Text):
            text.set_fontfamily(list(installed_families()))
            text.set_parse_math(False)
