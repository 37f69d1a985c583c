"""Groups as a column names them, and the images for which it names none."""

from __future__ import annotations

from collections import Counter

import numpy as np

from cnncli.arrays import Array
from cnncli.choices.missing import is_missing
from cnncli.data.label_text import is_blank
from cnncli.errors import shorten


def blank_missing(texts: Array) -> Array:
    """Return the names of groups, (N,), with an empty text for one that is missing, as ``NA``."""
    values, numbers = np.unique(texts, return_inverse=True)
    missing = np.array([_is_none(str(value)) for value in values], dtype=bool)
    return np.where(missing[numbers], "", texts)


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
    if not alone.any():
        return known, ()
    words = Counter(str(text) for text in texts[alone])
    empty = sum(count for word, count in words.items() if is_blank(word))
    named = [f"{count:,} {word!r}" for word, count in words.items() if not is_blank(word)]
    kinds = shorten([*([f"{empty:,} empty"] if empty else []), *named])
    if alone.all():
        told = f"none of the {len(texts):,} images has a group in {where} ({kinds})"
        return None, (f"{told}: the images are in no groups",)
    told = f"{int(alone.sum()):,} of {len(texts):,} images have no group in {where} ({kinds})"
    return np.where(alone, paths, known), (f"{told}; each counts as its own",)
