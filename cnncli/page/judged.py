"""The images judged, as the page's script takes them."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

import numpy as np
from markupsafe import Markup

from cnncli.arrays import Array

# A probability below this is left out: no threshold of the slider lies between 0 and it.
LEAST_PROBABILITY = 0.01
# Probabilities that are in the page: with their classes, in base64, they take 1.6 MB.
MOST_PROBABILITIES = 200_000
# Images whose names are in the page, at most so many characters together.
MOST_NAME_CHARACTERS = 800_000


@dataclass(frozen=True)
class Judged:
    """N images with the probabilities that a classifier gave them.

    Attributes:
        names: N paths as ``splits.csv`` has them, or what stands in their place.
        root: The folder that these paths start from; None if they are no files.
        targets: (N,) class numbers.
        probabilities: (N, K).
        class_names: K names.
        predicted: (N,) number of the class that the classifier answers.
        groups: N names of groups; None if there are none.
        pictures: A data URI for some of the images, by number.
        heat: A data URI of a heat map for some of the images, by number.
        told: What the heat maps of these images say, by number.
        flags: What is to be known of single images, such as that it is a copy, by number.
        least: Probabilities below this are left out; no threshold of the page is smaller, but 0.
    """

    names: Sequence[str]
    root: str | None
    targets: Array
    probabilities: Array
    class_names: Sequence[str]
    predicted: Array
    groups: Sequence[str] | None = None
    pictures: Mapping[int, str] = field(default_factory=dict)
    heat: Mapping[int, str] = field(default_factory=dict)
    told: Mapping[int, str] = field(default_factory=dict)
    flags: Mapping[int, str] = field(default_factory=dict)
    least: float = LEAST_PROBABILITY

    def __len__(self) -> int:
        return len(self.targets)


def order_of_interest(targets: Array, probabilities: Array) -> Array:
    """Return the order in which images deserve a place in the page.

    The surest mistakes and the least sure right ones take turns at the beginning, so that both are
    there; then come the other mistakes, and the right ones, the classes taking turns.

    Args:
        targets: (N,) class numbers.
        probabilities: (N, K).

    Returns:
        (N,) numbers of the images.
    """
    mistakes, doubtful = _sort_by_sureness(targets, probabilities)
    first = np.concatenate([mistakes[:_TURNS], doubtful[:_TURNS], mistakes[_TURNS:]])
    rest = doubtful[_TURNS:]
    turn = np.zeros(len(rest), np.int64)
    for target in np.unique(targets[rest]):
        mine = np.flatnonzero(targets[rest] == target)
        turn[mine] = np.arange(len(mine))
    return np.concatenate([first, rest[np.lexsort((targets[rest], turn))]]).astype(np.int64)


_TURNS = 100
FEATURED = 12  # surest mistakes, and least sure right ones, that the page shows by themselves


def choose_featured(targets: Array, probabilities: Array) -> list[int]:
    """Return the surest mistakes and the least sure right ones, in turn, each at most 12."""
    mistakes, doubtful = _sort_by_sureness(targets, probabilities)
    pairs = zip_longest(mistakes[:FEATURED].tolist(), doubtful[:FEATURED].tolist())
    return [index for pair in pairs for index in pair if index is not None]


def _sort_by_sureness(targets: Array, probabilities: Array) -> tuple[Array, Array]:
    """Return the mistakes, the surest first, and the right ones, the least sure first."""
    sure = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == targets
    mistakes = np.flatnonzero(~right)[np.argsort(-sure[~right], kind="stable")]
    return mistakes, np.flatnonzero(right)[np.argsort(sure[right], kind="stable")]


def choose_listed(judged: Judged) -> Array:
    """Return the numbers, in order, of the images whose names and probabilities are in the page."""
    order = order_of_interest(judged.targets, judged.probabilities)
    values = _is_kept(judged.probabilities, judged.least).sum(axis=1)[order]
    lengths = np.array([len(judged.names[index]) + 4 for index in order])
    fits = min(
        int(np.searchsorted(np.cumsum(sizes), most, side="right"))
        for sizes, most in ((values, MOST_PROBABILITIES), (lengths, MOST_NAME_CHARACTERS))
    )
    return np.sort(order[: max(1, fits)])


def _is_kept(probabilities: Array, least: float) -> Array:
    """Return (N, K) which probabilities are in the page: the two largest of each image always are.

    The second largest says what an image is called whose largest is below its threshold.
    """
    kept: Array = probabilities.astype(np.float32) >= np.float32(least)
    rows, others = np.arange(len(kept)), np.array(probabilities, dtype=np.float64)
    for _ in range(min(2, others.shape[1])):
        largest = others.argmax(axis=1)
        kept[rows, largest] = True
        others[rows, largest] = -1
    return kept


def to_json(judged: Judged, listed: Array) -> Markup:
    """Return the JSON that the page's script reads; it can stand inside of a script element.

    Args:
        judged: The images.
        listed: (M,) the numbers of those that are in the page.
    """
    place = {int(index): number for number, index in enumerate(listed)}
    probabilities = judged.probabilities[listed]
    kept = _is_kept(probabilities, judged.least)
    groups = None if judged.groups is None else [judged.groups[index] for index in listed]
    content: dict[str, Any] = {
        "classes": list(judged.class_names),
        "images": len(judged),
        "featured": FEATURED,
        "names": [judged.names[index] for index in listed],
        "root": judged.root,
        "targets": judged.targets[listed].tolist(),
        "predicted": judged.predicted[listed].tolist(),
        # Of each image how many probabilities are kept, the classes of all, and the values of all.
        "kept": _encode(kept.sum(axis=1), "<u2"),
        "columns": _encode(np.nonzero(kept)[1], "<u2"),
        "probabilities": _encode(probabilities[kept], "<f4"),
        "groups": groups,
        **{
            key: {place[index]: value for index, value in values.items() if index in place}
            for key, values in (
                ("pictures", judged.pictures),
                ("heat", judged.heat),
                ("told", judged.told),
                ("flags", judged.flags),
            )
        },
    }
    return escape_json(content)


def _encode(values: Array, kind: str) -> str:
    """Return numbers as the base64 of their bytes."""
    return base64.b64encode(values.astype(kind).tobytes()).decode("ascii")


def escape_json(content: object) -> Markup:
    """Return a value as JSON in which no character has a meaning for HTML.

    A name of bytes that are no UTF-8 has a question mark in the place of each.
    """
    text = json.dumps(content, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    for letter in "<>&":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(text)


def common_root(files: Sequence[str | None], names: Sequence[str]) -> str | None:
    """Return the folder from which all names lead to their files; None if there is no such one."""
    if not files or any(file is None for file in files):
        return None
    first = str(files[0])
    if not first.endswith(os.sep + names[0]):
        return None
    root = first[: -len(names[0]) - 1]
    fits = all(file == os.path.join(root, name) for file, name in zip(files, names, strict=True))
    return root if fits else None
