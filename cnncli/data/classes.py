"""The classes of labelled images: their order, and how they are matched to those of a network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cnncli.arrays import Array
from cnncli.data.samples import NO_SPLIT, Samples
from cnncli.errors import CnncliError, did_you_mean, shorten


def sort_class_names(names: Sequence[str]) -> tuple[list[str], bool]:
    """Sort class names: as integers if all of them are integers, else as texts.

    Returns:
        The sorted names, and whether their order means something: grades such as 0 to 4 do.
    """
    integers = all(name.removeprefix("-").isdecimal() for name in names)
    return sorted(names, key=int if integers else None), integers


def order_classes(samples: Samples, class_order: Sequence[str] | None) -> Samples:
    """Put the classes in order, and renumber the targets to it.

    Args:
        samples: The labelled images.
        class_order: The class names in their order; None sorts them.

    Returns:
        The samples with new ``targets``, ``class_names`` and ``ordered``.

    Raises:
        CnncliError: If the order does not name each class exactly once, or if a class has no
            image in the training split.
    """
    order, ordered = sort_class_names(samples.class_names)
    if class_order is not None:
        order, ordered = list(class_order), True
        _check_order(order, samples.class_names)
    in_train = np.unique(samples.targets[np.isin(samples.splits, (NO_SPLIT, 0))])
    known = {samples.class_names[target] for target in in_train}
    unknown = [name for name in order if name not in known]
    if unknown:
        raise CnncliError(
            f"--data: class {unknown[0]!r} has no image in the training split, only in val or "
            "test; a class must be trained on to be recognised"
        )
    return replace(
        samples,
        targets=_renumber(samples, order),
        class_names=tuple(order),
        ordered=ordered,
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
    known = set(class_names)
    unknown = [name for name in samples.class_names if name not in known]
    if unknown:
        raise CnncliError(
            f"--data: class {unknown[0]!r} is unknown to the checkpoint, which knows "
            f"{shorten(class_names)}{did_you_mean(unknown[0], class_names)}"
        )
    return replace(samples, targets=_renumber(samples, class_names), class_names=tuple(class_names))


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
        raise CnncliError(f"--class-order: {wrong}; name each of {shorten(names)} once")
