"""The row of an image, as ``predict`` writes it in JSON."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cnncli.arrays import Array
from cnncli.run.decision import ABSTAIN

Row = dict[str, object]


def build_row(
    path: str,
    probabilities: Array,
    class_names: Sequence[str],
    *,
    label: int,
    is_withheld: bool | None,
    top_k: int = 1,
    every: bool = False,
) -> Row:
    """Return the row of an image that could be read.

    Args:
        path: Its path, or its name.
        probabilities: (K,).
        class_names: The K names.
        label: The number of the class that it is given; it comes first.
        is_withheld: Whether the label is withheld; None where none is ever.
        top_k: Number of classes, the most probable first.
        every: Whether the row also holds the probability of every class.
    """
    name = class_names[label]
    row: Row = {
        "path": path,
        "label": ABSTAIN if is_withheld else name,
        "probability": round(float(probabilities[label]), 6),
    }
    if top_k > 1:
        likeliest = np.argsort(-probabilities, kind="stable")[:top_k].tolist()
        others = [target for target in likeliest if target != label][: top_k - 1]
        for place, target in enumerate(others, start=2):
            row[f"label_{place}"] = class_names[target]
            row[f"probability_{place}"] = round(float(probabilities[target]), 6)
    if every:
        values = probabilities.round(6).tolist()
        row["probabilities"] = dict(zip(class_names, values, strict=True))
    if is_withheld is not None:
        row["suggested"] = name
    row["error"] = ""
    return row


def build_unreadable_row(
    path: str, reason: str, *, top_k: int = 1, every: bool = False, may_abstain: bool = False
) -> Row:
    """Return the row of an image that could not be read: the keys of the others, without values.

    Args:
        path: Its path, or its name.
        reason: Why it could not be read.
        top_k: Number of classes in the other rows, at most K.
        every: Whether they hold the probability of every class.
        may_abstain: Whether a label may be withheld in them.
    """
    keys = ["path"]
    for place in range(1, top_k + 1):
        suffix = "" if place == 1 else f"_{place}"
        keys += [f"label{suffix}", f"probability{suffix}"]
    keys += ["probabilities"] * every + ["suggested"] * may_abstain
    return {**dict.fromkeys(keys), "path": path, "error": reason}
