"""Counts of the images of a data set by class and split, and of the properties of its files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from cnncli.arrays import Array
from cnncli.audit.check_files import stored_in_colour
from cnncli.audit.file_facts import FileFacts
from cnncli.choices import SPLITS
from cnncli.data.samples import NO_SPLIT, Samples


def count_classes(samples: Samples, splits: Array) -> list[dict[str, Any]]:
    """Return a row per class: its number of images in each split that is used, and in total.

    Args:
        samples: The labelled images.
        splits: (N,) indices into SPLITS, ``NO_SPLIT`` for an image without a split.

    Returns:
        Rows with the columns ``class``, the names of the splits, ``no split`` where only some
        images have a split, and ``images``.
    """
    used = [split for split in range(len(SPLITS)) if (splits == split).any()]
    left = bool((splits == NO_SPLIT).any()) and bool(used)
    classes = len(samples.class_names)
    chosen: dict[str, Array] = {SPLITS[split]: splits == split for split in used}
    if left:
        chosen["no split"] = splits == NO_SPLIT
    chosen["images"] = np.ones(len(splits), dtype=bool)
    counts = {
        column: np.bincount(samples.targets[mask], minlength=classes)
        for column, mask in chosen.items()
    }
    return [
        {"class": name} | {column: int(values[target]) for column, values in counts.items()}
        for target, name in enumerate(samples.class_names)
    ]


def summarise_files(files: Sequence[FileFacts]) -> dict[str, Any]:
    """Return how many files have which format, mode and bit depth, and how large they are.

    Only readable files are counted, except in ``images``. ``width`` and ``height`` are in pixels,
    and each size has its smallest, median and largest value.
    """
    good = [file for file in files if not file.problem]
    return {
        "images": len(files),
        "readable": len(good),
        "formats": _count(file.format for file in good),
        "modes": _count(file.mode for file in good),
        "bits": _count(str(file.bits) for file in good),
        "width": _spread([file.width for file in good]),
        "height": _spread([file.height for file in good]),
        "bytes": _spread([file.size for file in good]),
        "alpha": sum(file.alpha for file in good),
        "stored_in_colour": sum(stored_in_colour(file) for file in good),
        "stored_in_colour_but_grey": sum(stored_in_colour(file) and file.grey for file in good),
        "turned_by_exif": sum(file.orientation != 1 for file in good),
    }


def _count(values: Any) -> dict[str, int]:
    return dict(Counter(values).most_common())


def _spread(values: Sequence[int]) -> dict[str, int] | None:
    if not values:
        return None
    return {"min": min(values), "median": int(np.median(values)), "max": max(values)}
