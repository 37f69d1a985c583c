"""The classes of labelled images: their order, and how they are matched to those of a network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cnncli.arrays import Array
from cnncli.data.label_text import is_blank, loosen_label, normalise_label, whole_number
from cnncli.data.samples import NO_SPLIT, Samples
from cnncli.errors import CnncliError, did_you_mean, shorten

# Where so large a share of the images have a class of their own, the labels are none.
_MOST_ALONE = 0.8


def sort_class_names(names: Sequence[str]) -> tuple[list[str], bool]:
    """Sort class names: as integers if all of them are integers (``2`` or ``2.0``), else as texts.

    Returns:
        The sorted names, and whether all of them are integers, as grades such as 0 to 4 are.
    """
    numbers = {name: whole_number(name) for name in names}
    grades = {name: number for name, number in numbers.items() if number is not None}
    integers = len(grades) == len(numbers)
    return sorted(names, key=grades.__getitem__ if integers else None), integers


def merge_labels(samples: Samples) -> Samples:
    """Make one class of labels that are certainly the same, and remark it.

    They are the same if they differ only in outer white space, in characters that are not to be
    seen, or in how accents are composed; see `cnncli.data.label_text.normalise_label`.

    Args:
        samples: The labelled images, as they are found.

    Returns:
        The samples with ``targets`` and ``class_names`` of the merged classes.

    Raises:
        CnncliError: If nothing of a label is to be seen.
    """
    for name in samples.class_names:
        if is_blank(name):
            raise CnncliError(
                f"--data: a class is called {name!a}, of which nothing is to be seen; name it"
            )
    spellings: dict[str, list[str]] = {}
    for name in samples.class_names:
        spellings.setdefault(normalise_label(name), []).append(name)
    if tuple(spellings) == samples.class_names:
        return samples
    names, _ = sort_class_names(list(spellings))
    position = {name: number for number, name in enumerate(names)}
    renumbered = np.array([position[normalise_label(name)] for name in samples.class_names])
    told = [
        f"{' and '.join(map(ascii, same))} are one class, {name!r}: they differ only in spaces at "
        "the ends, in characters that are not to be seen or in how accents are stored"
        for name, same in spellings.items()
        if len(same) > 1
    ]
    return replace(
        samples,
        targets=renumbered[samples.targets],
        class_names=tuple(names),
        remarks=(*samples.remarks, *told),
    )


def order_classes(
    samples: Samples, class_order: Sequence[str] | None, *, graded_by: str = ""
) -> Samples:
    """Put the classes in order, and renumber the targets to it.

    The order means something only where the user says so: the ten digits are whole numbers too,
    and no grades.

    Args:
        samples: The labelled images.
        class_order: The class names in their order; None sorts them.
        graded_by: The flag by which the user says that the sorted classes are grades; empty if
            nobody says so.

    Returns:
        The samples with new ``targets``, ``class_names`` and ``ordered``.

    Raises:
        CnncliError: If the order does not name each class exactly once, if a class has no image in
            the training split, or if the classes are said to be grades and their order is not
            known.
    """
    order, has_order = sort_class_names(samples.class_names)
    if class_order is not None:
        order = [normalise_label(name) for name in class_order]
        _check_order(order, samples.class_names)
    elif graded_by and not has_order:
        raise CnncliError(
            f"{graded_by}: the order of the classes {shorten(order)} is not known; name them by "
            "whole numbers (grades), or give their order with --class-order"
        )
    in_train = np.unique(samples.targets[np.isin(samples.splits, (NO_SPLIT, 0))])
    known = {samples.class_names[target] for target in in_train}
    unknown = [name for name in order if name not in known]
    if unknown:
        alike = [name for name in known if loosen_label(name) == loosen_label(unknown[0])]
        hint = f"; it may be {alike[0]!r}, spelt differently" if alike else ""
        raise CnncliError(
            f"--data: class {unknown[0]!r} has no image in the training split, only in val or "
            f"test; a class must be trained on to be recognised{hint}"
        )
    return replace(
        samples,
        targets=_renumber(samples, order),
        class_names=tuple(order),
        ordered=class_order is not None or bool(graded_by),
    )


def _renumber(samples: Samples, class_names: Sequence[str]) -> Array:
    """Return (N,) the index of each sample's class in ``class_names``."""
    position = {name: number for number, name in enumerate(class_names)}
    return np.array([position[name] for name in samples.class_names])[samples.targets]


def match_classes(samples: Samples, class_names: Sequence[str]) -> Samples:
    """Renumber the targets to the classes of a checkpoint, matched by name.

    Args:
        samples: The labelled images, which may have only some of the classes.
        class_names: The class names of the checkpoint, in the order of its logits.

    Returns:
        The samples with new ``targets`` and ``class_names``.

    Raises:
        CnncliError: If the samples have a class that the checkpoint does not know.
    """
    # A checkpoint may be older than the merging of spellings: its own one counts first.
    known = {normalise_label(name): name for name in reversed(class_names)}
    known |= {name: name for name in class_names}
    mine = {
        name: known.get(name) or known.get(normalise_label(name)) for name in samples.class_names
    }
    unknown = [name for name, found in mine.items() if found is None]
    if unknown:
        raise CnncliError(
            f"--data: class {unknown[0]!r} is unknown to the checkpoint, which knows "
            f"{shorten(class_names)}{did_you_mean(unknown[0], class_names)}"
        )
    renamed = replace(samples, class_names=tuple(str(name) for name in mine.values()))
    return replace(renamed, targets=_renumber(renamed, class_names), class_names=tuple(class_names))


def _check_order(order: list[str], names: Sequence[str]) -> None:
    """Refuse an order that does not name each class exactly once."""
    repeated = [name for name, count in Counter(order).items() if count > 1]
    given, known = set(order), set(names)
    missing = [name for name in names if name not in given]
    extra = [name for name in order if name not in known]
    if repeated or missing or extra:
        wrong = (
            f"{repeated[0]!r} is named twice"
            if repeated
            else f"class {missing[0]!r} is missing"
            if missing
            else f"there is no class {extra[0]!r}{did_you_mean(extra[0], names)}"
        )
        quoted = [f'"{name}"' if "," in name else name for name in names]
        raise CnncliError(
            f"--class-order: {wrong}; name each of {shorten(quoted)} once"
            f"{', those with a comma in quotes' * (quoted != list(names))}"
        )


def tell_alone(samples: Samples) -> str:
    """Return how many images have a class of their own, where these are most; else nothing.

    It is so where a column of ids was taken for the labels.

    Args:
        samples: The images, of at least two classes.
    """
    counts = np.bincount(samples.targets)
    alone = int((counts == 1).sum())
    if alone == len(samples):
        return f"each of the {alone:,} images has a class of its own"
    if alone < _MOST_ALONE * len(samples):
        return ""
    return f"{alone:,} of the {len(samples):,} images have a class of their own"
