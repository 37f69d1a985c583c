"""What a data set is made of, in counts."""

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
    """Return a row per class: its images in each split that there is, and in all."""
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


def summarise_files(looks: Sequence[FileFacts]) -> dict[str, Any]:
    """Return counts of formats, modes and so on, and smallest, median and largest of sizes."""
    good = [look for look in looks if not look.problem]
    return {
        "images": len(looks),
        "readable": len(good),
        "formats": _count(look.format for look in good),
        "modes": _count(look.mode for look in good),
        "bits": _count(str(look.bits) for look in good),
        "width": _spread([look.width for look in good]),
        "height": _spread([look.height for look in good]),
        "bytes": _spread([look.size for look in good]),
        "alpha": sum(look.alpha for look in good),
        "stored_in_colour": sum(stored_in_colour(look) for look in good),
        "stored_in_colour_but_grey": sum(stored_in_colour(look) and look.grey for look in good),
        "turned_by_exif": sum(look.orientation != 1 for look in good),
    }


def _count(values: Any) -> dict[str, int]:
    return dict(Counter(values).most_common())


def _spread(values: Sequence[int]) -> dict[str, int] | None:
    if not values:
        return None
    return {"min": min(values), "median": int(np.median(values)), "max": max(values)}
