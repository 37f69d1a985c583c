"""Finds images that have another label than at an earlier time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cnncli.arrays import Array
from cnncli.data.label_text import normalise_label, whole_number
from cnncli.data.samples import Samples


def tell_other_labels(
    samples: Samples, indices: Array, labels: Sequence[str], numbers: Array, *, edited: str = ""
) -> str:
    """Return how many images have another label than they had; an empty text if none has.

    Labels that differ only in how they are stored, or in how a whole number is written, are the
    same; see `cnncli.data.label_text.normalise_label`.

    Args:
        samples: The images, with the labels that they have now.
        indices: (M,) numbers of the images to compare.
        labels: The L labels that occurred; an empty one says nothing.
        numbers: (M,) the label that each of them had, as an index into ``labels``.
        edited: The file that has these labels, if it was edited: then they are those of now, and
            those of the samples are older.
    """
    known = np.array([label != "" for label in labels], bool)[numbers]
    same = np.array(match_labels(labels, samples.class_names), int)[numbers]
    other = np.flatnonzero(known & (same != samples.targets[indices]))
    if not len(other):
        return ""
    first = int(indices[other[0]])
    then, now = labels[int(numbers[other[0]])], samples.class_names[samples.targets[first]]
    if edited:
        then, now = now, then
    return (
        f"{len(other)} of {len(samples)} images {'has' if len(other) == 1 else 'have'} another "
        f"label {f'in {edited} ' * bool(edited)}now ({samples.paths[first]}: {then!r} then, "
        f"{now!r} now)"
    )


def match_labels(labels: Sequence[str], class_names: Sequence[str]) -> list[int]:
    """Return the number of each label's class among the class names, -1 for one that is not there.

    Args:
        labels: Labels as they were written at another time.
        class_names: The names of the classes now.
    """
    loose = {_key(name): number for number, name in enumerate(class_names)}
    exact = {name: number for number, name in enumerate(class_names)}
    return [exact.get(label, loose.get(_key(label), -1)) for label in labels]


def _key(label: str) -> str | int:
    """Return what labels have in common that are certainly the same, ``1`` and ``1.0`` among them.

    Two classes of one data set may be called so; in two readings of one set the label is the same.
    """
    plain = normalise_label(label)
    number = whole_number(plain)
    return plain if number is None else number
