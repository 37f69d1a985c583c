"""``--balance``: rare classes count as much as frequent ones, in the loss or in the sampling."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cnncli.arrays import Array
from cnncli.choices import Balance


def class_weights(targets: Array, num_classes: int) -> tuple[float, ...]:
    """Return the weight of each class in the loss: N / (K · N_c) for a class with N_c images.

    All classes then have the same weight in the loss. The mean weight of the N images is 1, so
    that the learning rate need not change. A class without an image has weight 0.

    Args:
        targets: Class numbers (N,) of the training images.
        num_classes: Number of classes K.

    Source: scikit-learn's ``class_weight="balanced"``.
    """
    counts = np.bincount(targets, minlength=num_classes)
    weights = len(targets) / (num_classes * np.maximum(counts, 1)) * (counts > 0)
    return tuple(float(weight) for weight in weights)


def balance_rows(
    balance: Balance, targets: Array, class_names: Sequence[str]
) -> list[dict[str, object]]:
    """Return the rows of a table that shows what balancing does to each class.

    Args:
        balance: Whether to balance in the loss or by the sampler.
        targets: Class numbers (N,) of the training images.
        class_names: The names of the K classes.

    Returns:
        A row per class: its number of images, and its weight in the loss; or, for the sampler, how
        many of its images an epoch draws (expected value), and how often each of them.
    """
    counts = np.bincount(targets, minlength=len(class_names))
    drawn = len(targets) / max(1, int((counts > 0).sum()))
    weights = class_weights(targets, len(class_names))
    rows = []
    for name, count, weight in zip(class_names, counts.tolist(), weights, strict=True):
        row: dict[str, object] = {"class": name, "images": count}
        if balance == "loss":
            row["weight"] = round(weight, 4)
        else:
            row["drawn"] = round(drawn) if count else 0
            row["times_each"] = round(drawn / count, 2) if count else 0
        rows.append(row)
    return rows
