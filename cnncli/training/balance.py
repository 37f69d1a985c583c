"""``--balance``: rare classes count as much as frequent ones, in the loss or by being drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cnncli.arrays import Array
from cnncli.choices import Balance


def class_weights(targets: Array, num_classes: int) -> tuple[float, ...]:
    """Return each class's weight n / (K · n_c): equal shares of a loss whose scale stays.

    The mean over the N training images is 1, so that the learning rate need not change. A class
    without an image has weight 0.

    Args:
        targets: (N,) of the training images.
        num_classes: K.

    Source: scikit-learn's ``class_weight="balanced"``.
    """
    counts = np.bincount(targets, minlength=num_classes)
    weights = len(targets) / (num_classes * np.maximum(counts, 1)) * (counts > 0)
    return tuple(float(weight) for weight in weights)


def balance_rows(
    balance: Balance, targets: Array, class_names: Sequence[str]
) -> list[dict[str, object]]:
    """Return a table of what balancing does to each class.

    Its weight in the loss, or how often the sampler draws one of its images in an epoch (expected)
    and each single one of them.
    """
    counts = np.bincount(targets, minlength=len(class_names))
    share = len(targets) / max(1, int((counts > 0).sum()))
    weights = class_weights(targets, len(class_names))
    rows = []
    for name, count, weight in zip(class_names, counts.tolist(), weights, strict=True):
        row: dict[str, object] = {"class": name, "images": count}
        if balance == "loss":
            row["weight"] = round(weight, 4)
        else:
            row["drawn"] = round(share) if count else 0
            row["times_each"] = round(share / count, 2) if count else 0
        rows.append(row)
    return rows
