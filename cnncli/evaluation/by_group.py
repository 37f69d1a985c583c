"""One answer for each group of images, such as those of a patient, from those for its images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cnncli.choices import Aggregate
from cnncli.evaluation.metrics import FloatArray, IntArray


@dataclass(frozen=True)
class GroupAnswers:
    """The answers for the G groups that have one label.

    Attributes:
        targets: (G,) class indices.
        probabilities: (G, K), rows sum to 1.
        left_out: Number of groups whose images have several labels.
        predictions: (G,) class indices with the most votes; None where nothing was voted on.
    """

    targets: IntArray
    probabilities: FloatArray
    left_out: int
    predictions: IntArray | None = None


def combine_groups(
    targets: IntArray,
    probabilities: FloatArray,
    groups: IntArray,
    aggregate: Aggregate,
    predictions: IntArray | None = None,
) -> GroupAnswers:
    """Combine the probabilities of each group's images.

    Args:
        targets: (N,) class indices.
        probabilities: (N, K), rows sum to 1.
        groups: (N,) number of the group of each image, from 0 without a gap.
        aggregate: ``mean`` takes the mean of each class's probability. ``max`` takes the largest,
            so that one conspicuous image decides, and divides by the sum over the classes. ``vote``
            takes the share of images that are predicted as each class; the group is predicted as
            the class with the most votes, and of several such as the one with the largest mean.
        predictions: (N,) class indices that vote; None for the most probable class of each image.
    """
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    sizes = np.diff(starts, append=len(groups))
    labels = targets[order]
    lowest, highest = (f.reduceat(labels, starts) for f in (np.minimum, np.maximum))
    ranked = probabilities[order].astype(np.float64)
    means = np.add.reduceat(ranked, starts) / sizes[:, None]
    means /= means.sum(axis=1, keepdims=True)
    if aggregate == "max":
        means = np.maximum.reduceat(ranked, starts)
        means /= means.sum(axis=1, keepdims=True)
    elif aggregate == "vote":
        voted = ranked.argmax(axis=1) if predictions is None else predictions[order]
        pairs = np.repeat(np.arange(len(starts)), sizes), voted
        votes = np.zeros_like(means)
        np.add.at(votes, pairs, 1)
        leads = votes == votes.max(axis=1, keepdims=True)
        chosen = np.where(leads, means, -1.0).argmax(axis=1)
        means = votes / sizes[:, None]
    is_one = lowest == highest
    return GroupAnswers(
        lowest[is_one],
        means[is_one],
        int((~is_one).sum()),
        chosen[is_one] if aggregate == "vote" else None,
    )
