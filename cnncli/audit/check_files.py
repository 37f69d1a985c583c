"""Findings on files one by one: damage, empty pictures, what differs from the other files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from cnncli.arrays import Array
from cnncli.audit.file_facts import FileFacts
from cnncli.audit.findings import Finding, count_of, one_by_one

# A format, or a bit depth, of so small a share of the files is told; in fewer files none is.
_RARE, _FEWEST = 0.01, 20
# Sides below an eighth of the usual, and pictures four times as long as wide where few are.
_TINY_SHARE, _LONG = 8, 4.0

# What servers send where there is no picture, by its name.
_STANDS_IN = re.compile(
    r"(image|photo|picture|img)[ _-]?(not[ _-]?(found|available)|missing|unavailable)"
    r"|no[ _-](image|photo|picture)\b|placeholder",
    re.IGNORECASE,
)

_COLOUR_MODES = frozenset(("RGB", "RGBA", "RGBX", "P", "PA", "CMYK", "YCbCr", "LAB", "HSV"))


def check_files(paths: Array, looks: Sequence[FileFacts]) -> Iterator[Finding]:
    """Yield what is wrong with, or odd about, single files.

    Args:
        paths: (N,) texts.
        looks: One per sample.
    """
    bad = [index for index, look in enumerate(looks) if look.problem]
    if bad:
        # The most frequent reasons; --format json has each file's own.
        reasons = Counter(looks[index].problem.split(" (")[0] for index in bad)
        told = reasons.most_common(3)
        said = "; ".join(reason if n == len(bad) else f"{reason} ({n})" for reason, n in told)
        said += f"; and {len(reasons) - len(told)} more reasons" * (len(reasons) > len(told))
        text = f"{count_of(len(bad), 'image')} cannot be read: {said}"
        yield Finding("unreadable", "spoils", text, one_by_one(bad), tuple(bad))
    good = [index for index, look in enumerate(looks) if not look.problem]
    empty = [index for index in good if looks[index].constant]
    if empty:
        text = f"{count_of(len(empty), 'image')} of one colour all over, with nothing to see"
        yield Finding("constant", "note", text, one_by_one(empty), tuple(empty))
    named = [index for index in good if _STANDS_IN.search(str(paths[index]).rsplit("/", 1)[-1])]
    if named:
        text = f"{count_of(len(named), 'image')} with the name of a placeholder"
        yield Finding("placeholder", "note", text, one_by_one(named), tuple(named))
    turned = [index for index in good if looks[index].orientation != 1]
    if turned:
        text = (
            f"{count_of(len(turned), 'image')} turned by EXIF: read upright here, but lying or "
            "mirrored in tools that ignore it"
        )
        yield Finding("rotated", "note", text, one_by_one(turned))
    yield from _check_colour(looks, good)
    yield from _check_rare(looks, good)
    yield from _check_sizes(looks, good)


def stored_in_colour(look: FileFacts) -> bool:
    """Tell whether a file holds colour or alpha, whatever it looks like."""
    return look.alpha or look.mode in _COLOUR_MODES


def _check_colour(looks: Sequence[FileFacts], good: list[int]) -> Iterator[Finding]:
    coloured = [index for index in good if stored_in_colour(looks[index])]
    grey = [index for index in coloured if looks[index].grey]
    alpha = [index for index in coloured if looks[index].alpha]
    if 2 * len(grey) >= len(coloured) > 0 or 0 < len(alpha) < len(good):
        stored = "in colour or with alpha" if alpha else "in colour"
        text = (
            f"{count_of(len(coloured), 'image')} of {len(good):,} stored {stored}, "
            f"{len(grey):,} of them grey to look at"
        )
        yield Finding("stored-in-colour", "note", text, one_by_one(coloured))


def _check_rare(looks: Sequence[FileFacts], good: list[int]) -> Iterator[Finding]:
    for name, unit in (("format", "{}"), ("bits", "{} bits")):
        counts = Counter(getattr(looks[index], name) for index in good)
        rare = {value for value, n in counts.items() if n <= _RARE * len(good)}
        if not rare or len(good) < _FEWEST:
            continue
        odd = [index for index in good if getattr(looks[index], name) in rare]
        usual = " and ".join(
            f"{n:,} {unit.format(value)}" for value, n in counts.most_common() if value not in rare
        )
        listed = ", ".join(f"{counts[value]} {unit.format(value)}" for value in sorted(rare))
        yield Finding("odd-format", "note", f"{listed} among {usual}", one_by_one(odd))


def _check_sizes(looks: Sequence[FileFacts], good: list[int]) -> Iterator[Finding]:
    if len(good) < _FEWEST:
        return
    sides = np.array([(looks[index].height, looks[index].width) for index in good])
    shorter, ratio = sides.min(axis=1), sides.max(axis=1) / np.maximum(sides.min(axis=1), 1)
    usual = float(np.median(shorter))
    tiny = [good[k] for k in np.flatnonzero(shorter * _TINY_SHARE < usual)]
    if tiny:
        text = f"{count_of(len(tiny), 'image')} far smaller than the usual {usual:.0f} px a side"
        yield Finding("odd-size", "note", text, one_by_one(tiny))
    long = [good[k] for k in np.flatnonzero(ratio > _LONG)]
    if long and len(long) <= 0.1 * len(good):
        text = f"{count_of(len(long), 'image')} more than {_LONG:.0f} times as long as wide"
        yield Finding("odd-size", "note", text, one_by_one(long))
