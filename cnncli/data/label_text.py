"""When two labels are the same: certainly, or only perhaps."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from cnncli.data.split_names import strip_split
from cnncli.errors import shorten

# Characters that are not to be seen: control characters but white space, soft hyphen, zero-width
# space, word joiner, byte order mark, and marks of the direction of writing.
_INVISIBLE = re.compile(
    "[\0-\x08\x0e-\x1b\x7f\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]"
)
# These join letters in some scripts and in emoji, but say nothing at the end of a word.
_JOINERS = "\u200c\u200d"
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?")
# What stands around a list in Python, JSON and SQL.
_LISTS = ("[]", "()", "{}")
# Pairs of quotes that a program has written as part of a text.
_QUOTES = ("''", '""', "``", "\u2018\u2019", "\u201c\u201d", "\u201e\u201c", "\u00ab\u00bb")
_WHOLE = re.compile(r"-?\d+([.]0+)?")
# With so many pairs such as "a" and "A", the classes are letters, and their case means something.
_LETTER_PAIRS = 3
# So many numbers as names of classes are rather the values of a measurement.
_MANY = 8


def normalise_label(label: str) -> str:
    """Return a label in the form that all its certain equals share.

    Accents are composed (NFC), characters that are not to be seen are gone, and so is white space
    at both ends; every kind of space inside is a plain one. A label of which nothing would be left
    stays as it is.

    Args:
        label: The label as the data give it.
    """
    return _normalise(label) or label


def is_blank(label: str) -> bool:
    """Return whether nothing of a label is to be seen."""
    return not _normalise(label)


def _normalise(label: str) -> str:
    if label.isascii() and label.isprintable():
        return label.strip()
    text = _INVISIBLE.sub("", unicodedata.normalize("NFC", label))
    text = "".join(" " if unicodedata.category(letter) == "Zs" else letter for letter in text)
    previous = ""
    while text != previous:
        previous, text = text, text.strip().strip(_JOINERS)
    return text


def loosen_label(label: str) -> str:
    """Return a label in a form in which likely misspellings of it are the same.

    Case does not count, nor do quotes around it, spaces, underscores and hyphens between letters,
    nor how a number is written.

    Args:
        label: The label as the data give it.
    """
    text = unicodedata.normalize("NFKC", _unquote(normalise_label(label))).casefold()
    if _NUMBER.fullmatch(text):
        return f"{float(text.replace(',', '.')):g}" if len(text) < 16 else text
    text = text.translate(dict.fromkeys(map(ord, _JOINERS)))
    text = re.sub("[\u2010-\u2015\u2212]", "-", text)
    text = re.sub(r"(?<=\d)[\s_-]+(?=\d)", "#", text)  # "1-2" is not 12
    return re.sub(r"(?<=[^\W_])[\s_-]+(?=[^\W_])", "", text)


def _unquote(label: str) -> str:
    """Return a label without quotes around it; as it is where nothing would be left."""
    is_quoted = len(label) > 2 and label[0] + label[-1] in _QUOTES
    return label[1:-1].strip() or label if is_quoted else label


def whole_number(label: str) -> int | None:
    """Return the whole number that a label is, such as ``2`` or ``2.0``; None for another label."""
    return int(label.split(".")[0]) if _WHOLE.fullmatch(label) else None


def doubt_labels(class_names: Sequence[str]) -> list[str]:
    """Return a sentence for each set of classes that may be one, spelt differently.

    Args:
        class_names: The names of the classes.
    """
    alike: dict[str, list[str]] = {}
    for name in class_names:
        alike.setdefault(loosen_label(name), []).append(name)
    groups = [names for names in alike.values() if len(names) > 1]
    letters = [g for g in groups if all(len(name) == 1 and name.isalpha() for name in g)]
    if len(letters) >= _LETTER_PAIRS:
        groups = [group for group in groups if group not in letters]
    return [
        *(
            f"the classes {' and '.join(map(repr, names))} may be one, spelt differently; if so, "
            "give them one name"
            for names in groups
        ),
        *_doubt_endings(class_names),
        *_doubt_quotes(class_names),
        *_doubt_measurements(class_names),
        *_doubt_combinations(class_names),
    ]


def _doubt_endings(class_names: Sequence[str]) -> list[str]:
    """Return a sentence if a class is called like another one with a split, as ``cat_test`` is."""
    stems: dict[str, list[str]] = {}
    for name in class_names:
        stems.setdefault(loosen_label(strip_split(name) or name), []).append(name)
    several = [same for same in stems.values() if len(same) > 1 and any(map(strip_split, same))]
    if not several:
        return []
    ends = [name for same in several for name in same if strip_split(name)]
    return [
        f"the classes {' and '.join(map(repr, several[0]))} may be one: {shorten(ends)} "
        f"{'ends' if len(ends) == 1 else 'end'} like a split; if so, put the images in "
        "train/<class>/ and test/<class>/, or give their split in a column"
    ]


def _doubt_quotes(class_names: Sequence[str]) -> list[str]:
    """Return a sentence if names have quotes around them."""
    quoted = [name for name in class_names if _unquote(name) != name]
    if not quoted:
        return []
    classes = "classes has" if len(quoted) == 1 else "classes have"
    return [
        f"{len(quoted)} of {len(class_names)} {classes} quotes around the name (such as "
        f"{quoted[0]}), which belong to it; take them out of the data if they were not meant"
    ]


def _doubt_measurements(class_names: Sequence[str]) -> list[str]:
    """Return a sentence if names are many numbers, some with a fraction, as a measurement has."""
    if len(class_names) < _MANY or not all(map(_NUMBER.fullmatch, class_names)):
        return []
    numbers = [float(name.replace(",", ".")) for name in class_names]
    if all(number.is_integer() for number in numbers):
        return []
    return [
        f"the classes are {len(numbers)} numbers from {min(numbers):g} to {max(numbers):g}: if "
        "they measure something, each value is a class of its own here; write ranges in their place"
    ]


def _doubt_combinations(class_names: Sequence[str]) -> list[str]:
    """Return a sentence if classes combine labels, as where an image has several of them.

    A bar or a semicolon stands in no name but between labels, and a list of Python is one. A comma
    may be part of a name: there the parts must be parts of other classes too.
    """
    for mark in "|;,":
        parts = {name: [p.strip() for p in name.split(mark) if p.strip()] for name in class_names}
        counts = Counter(part for found in parts.values() for part in set(found))
        combined = [
            name
            for name, found in parts.items()
            if len(found) > 1
            and (
                mark != ","
                or name[0] + name[-1] in _LISTS
                or all(counts[part] > 1 for part in found)
            )
        ]
        if combined:
            number = f"{len(combined)} of {len(class_names)} classes"
            return [
                f"{number} {'combines' if len(combined) == 1 else 'combine'} labels (such as "
                f"{combined[0]!r}): several labels for an image are not supported, and each "
                "combination is a class of its own"
            ]
    return []
