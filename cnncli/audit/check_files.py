"""Findings on single files: damaged, without content, or unlike the other files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from cnncli.arrays import Array
from cnncli.audit.file_facts import FileFacts
from cnncli.audit.findings import Finding, one_by_one
from cnncli.errors import count_of

# A format or bit depth is odd if at most this fraction of the files has it.
_RARE = 0.01
# In a set of fewer readable files than this, no format and no size counts as odd.
_FEWEST = 20
# A picture is tiny if its shorter side is less than the median one divided by this number.
_TINY_DIVISOR = 8
# A picture is long if its longer side is more than this many times its shorter one. Where more
# than a tenth of the pictures are long, that is normal for the set and not reported.
_LONG, _MOST_LONG = 4.0, 0.1

# Names of the pictures that servers send in place of one that they do not have.
_PLACEHOLDER_NAME = re.compile(
    r"(image|photo|picture|img)[ _-]?(not[ _-]?(found|available)|missing|unavailable)"
    r"|no[ _-](image|photo|picture)\b|placeholder",
    re.IGNORECASE,
)

_COLOUR_MODES = frozenset(("RGB", "RGBA", "RGBX", "P", "PA", "CMYK", "YCbCr", "LAB", "HSV"))


def check_files(paths: Array, files: Sequence[FileFacts]) -> Iterator[Finding]:
    """Yield findings on files that cannot be read, show nothing, or differ from most others.

    Args:
        paths: (N,) paths of the images, for their names.
        files: Facts on the files of each of the N images.
    """
    bad = [index for index, file in enumerate(files) if file.problem]
    if bad:
        # The text has the most frequent reasons; --format json has the reason of each file.
        reasons = Counter(files[index].problem.split(" (")[0] for index in bad)
        shown = reasons.most_common(3)
        why = "; ".join(reason if n == len(bad) else f"{reason} ({n})" for reason, n in shown)
        why += f"; and {len(reasons) - len(shown)} more reasons" * (len(reasons) > len(shown))
        text = f"{count_of(len(bad), 'image')} cannot be read: {why}"
        yield Finding("unreadable", text, one_by_one(bad), tuple(bad))
    good = [index for index, file in enumerate(files) if not file.problem]
    blank = [index for index in good if files[index].blank_on_white]
    empty = [index for index in good if files[index].constant and not files[index].blank_on_white]
    if empty:
        text = f"{count_of(len(empty), 'image')} of one colour all over, with nothing to see"
        yield Finding("constant", text, one_by_one(empty), tuple(empty))
    if blank:
        text = (
            f"{count_of(len(blank), 'image')} with nothing to see once laid on white, as they are "
            "read: what they show is white or only in their alpha; keep it with --in-channels 4, "
            "or lay them on another colour"
        )
        yield Finding("blank-on-white", text, one_by_one(blank))
    named = [
        index for index in good if _PLACEHOLDER_NAME.search(str(paths[index]).rsplit("/", 1)[-1])
    ]
    if named:
        text = f"{count_of(len(named), 'image')} with the name of a placeholder"
        yield Finding("placeholder", text, one_by_one(named), tuple(named))
    turned = [index for index in good if files[index].orientation != 1]
    if turned:
        text = (
            f"{count_of(len(turned), 'image')} turned by EXIF: read upright here, but lying or "
            "mirrored in tools that ignore it"
        )
        yield Finding("rotated", text, one_by_one(turned))
    yield from _check_colour(files, good)
    yield from _check_rare(files, good)
    yield from _check_sizes(files, good)


def stored_in_colour(file: FileFacts) -> bool:
    """Return whether a file has colour channels or alpha, even if the picture looks grey."""
    return file.alpha or file.mode in _COLOUR_MODES


def _check_colour(files: Sequence[FileFacts], good: list[int]) -> Iterator[Finding]:
    coloured = [index for index in good if stored_in_colour(files[index])]
    grey = [index for index in coloured if files[index].grey]
    alpha = [index for index in coloured if files[index].alpha]
    if 2 * len(grey) >= len(coloured) > 0 or 0 < len(alpha) < len(good):
        stored = "in colour or with alpha" if alpha else "in colour"
        text = (
            f"{count_of(len(coloured), 'image')} of {len(good):,} stored {stored}, "
            f"{len(grey):,} of them grey to look at"
        )
        yield Finding("stored-in-colour", text, one_by_one(coloured))


def _check_rare(files: Sequence[FileFacts], good: list[int]) -> Iterator[Finding]:
    for name, unit in (("format", "{}"), ("bits", "{} bits")):
        counts = Counter(getattr(files[index], name) for index in good)
        rare = {value for value, n in counts.items() if n <= _RARE * len(good)}
        if not rare or len(good) < _FEWEST:
            continue
        odd = [index for index in good if getattr(files[index], name) in rare]
        usual = " and ".join(
            f"{n:,} {unit.format(value)}" for value, n in counts.most_common() if value not in rare
        )
        listed = ", ".join(f"{counts[value]} {unit.format(value)}" for value in sorted(rare))
        yield Finding("odd-format", f"{listed} among {usual}", one_by_one(odd))


def _check_sizes(files: Sequence[FileFacts], good: list[int]) -> Iterator[Finding]:
    if len(good) < _FEWEST:
        return
    sides = np.array([(files[index].height, files[index].width) for index in good])
    shorter, ratio = sides.min(axis=1), sides.max(axis=1) / np.maximum(sides.min(axis=1), 1)
    usual = float(np.median(shorter))
    tiny = [good[k] for k in np.flatnonzero(shorter * _TINY_DIVISOR < usual)]
    if tiny:
        text = f"{count_of(len(tiny), 'image')} far smaller than the usual {usual:.0f} px a side"
        yield Finding("odd-size", text, one_by_one(tiny))
    long = [good[k] for k in np.flatnonzero(ratio > _LONG)]
    if long and len(long) <= _MOST_LONG * len(good):
        text = f"{count_of(len(long), 'image')} more than {_LONG:.0f} times as long as wide"
        yield Finding("odd-size", text, one_by_one(long))
