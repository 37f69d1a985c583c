"""Groups as a column names them, and the images for which it names none."""

from __future__ import annotations

from collections import Counter

import numpy as np

from cnncli.arrays import Array
from cnncli.choices.missing import is_missing
from cnncli.data.label_text import is_blank, normalise_label, whole_number
from cnncli.data.samples import text_array
from cnncli.errors import shorten


def blank_missing(texts: Array) -> Array:
    """Return the names of groups, (N,), with an empty text for one that is missing, as ``NA``.

    Names that differ only in what is not to be seen are one, as with labels.
    """
    values, numbers = np.unique(texts, return_inverse=True)
    names = ["" if _is_none(str(value)) else normalise_label(str(value)) for value in values]
    return text_array(names)[numbers]


def _is_none(text: str) -> bool:
    return is_missing(text) or is_blank(text)


def fill_groups(texts: Array, paths: Array, where: str) -> tuple[Array | None, tuple[str, ...]]:
    """Make an image without a group a group by itself.

    Args:
        texts: (N,) names of the groups, as they are written.
        paths: (N,) paths of the images.
        where: Where the names stand, for the sentence.

    Returns:
        (N,) the groups, None if no image has one; and a sentence on the images that have none.
    """
    known = blank_missing(texts)
    alone = known == ""
    doubts = doubt_groups(known[~alone], where)
    if not alone.any():
        return known, doubts
    words = Counter(str(text) for text in texts[alone])
    empty = sum(count for word, count in words.items() if is_blank(word))
    named = [f"{count:,} {word!r}" for word, count in words.items() if not is_blank(word)]
    kinds = shorten([*([f"{empty:,} empty"] if empty else []), *named])
    if alone.all():
        told = f"none of the {len(texts):,} images has a group in {where} ({kinds})"
        return None, (f"{told}: the images are in no groups",)
    told = f"{int(alone.sum()):,} of {len(texts):,} images have no group in {where} ({kinds})"
    return np.where(alone, paths, known), (f"{told}; each counts as its own", *doubts)


def doubt_groups(groups: Array, where: str) -> tuple[str, ...]:
    """Return a sentence if groups may be one, spelt differently, such as ``1``, ``01`` and ``1.0``.

    Tables that were put together from several, and spreadsheets, write one patient so.

    Args:
        groups: (N,) names of the groups.
        where: Where the names stand, for the sentence.
    """
    alike: dict[str, list[str]] = {}
    for name in map(str, np.unique(groups)):
        number = whole_number(name)
        alike.setdefault(name.casefold() if number is None else str(number), []).append(name)
    several = [names for names in alike.values() if len(names) > 1]
    if not several:
        return ()
    first = " and ".join(map(repr, several[0]))
    more = f", and {len(several) - 1:,} more" if len(several) > 1 else ""
    return (
        f"the groups {first}{more} in {where} may be one, spelt differently; if so, write it in "
        "one way, or its images lie in several splits",
    )
