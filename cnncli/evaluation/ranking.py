"""How well each class is ranked above all others, and how much each image counts in that.

``targets`` is (N,), ``probabilities`` (N, K). An influence is what an image adds to a figure to
first order: weighing the image by 1 + e in place of 1 changes the figure by e times the influence.
The influences of all images sum to 0, and the sum of their squares is the figure's variance.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cnncli.evaluation.metrics import FloatArray, IntArray


@dataclass(frozen=True)
class ClassRanking:
    """How well one class is ranked above all others.

    Attributes:
        index: The class.
        auroc: The chance that an image of the class has a larger probability of it than an image of
            the others has, where a tie counts half: 0–1, 0.5 by chance.
        average_precision: Mean, over the images of the class, of the precision if all that are at
            least as probable were predicted so: 0–1, by chance the class's share of the images.
        auroc_influence: (N,).
        precision_influence: (N,).
    """

    index: int
    auroc: float
    average_precision: float
    auroc_influence: FloatArray
    precision_influence: FloatArray


def rank_classes(targets: IntArray, probabilities: FloatArray) -> Iterator[ClassRanking]:
    """Yield the ranking of each class that has images, unless all images are of it.

    Args:
        targets: (N,) class indices.
        probabilities: (N, K).

    Source: Hanley and McNeil, Radiology 143 (1982) 29: the area under the curve is this chance.
    DeLong, DeLong and Clarke-Pearson, Biometrics 44 (1988) 837: what each image adds to it.
    """
    counts = np.bincount(targets, minlength=probabilities.shape[1])
    images, num_classes = probabilities.shape
    # Several columns at once: one by one, each would read the whole matrix from memory.
    at_once = max(1, _VALUES_AT_ONCE // images)
    for start in range(0, num_classes, at_once):
        columns = np.ascontiguousarray(probabilities[:, start : start + at_once].T)
        for index, scores in enumerate(columns, start=start):
            if 0 < counts[index] < images:
                yield _rank(index, scores, targets == index)


def _rank(index: int, scores: FloatArray, is_own: np.ndarray) -> ClassRanking:
    own = np.sort(scores[is_own])
    count, others = len(own), len(scores) - len(own)
    # Number of the class's images that are lower, and that are not higher, than each image.
    # The second is the first, unless an image is as probable as one of the class.
    own_lower = np.searchsorted(own, scores, "left")
    ends = np.append(np.searchsorted(own, own, "right"), count)
    is_tied = np.append(own, np.inf)[own_lower] == scores
    own_not_higher = np.where(is_tied, ends[own_lower], own_lower)
    # The share of the other side's images over which an image is on the right side. How many of
    # all are lower than an image of the class follows from the same numbers, without a sort of all.
    below, not_above = (
        np.cumsum(np.bincount(of, minlength=count + 1)) for of in (own_not_higher, own_lower)
    )
    first, end = own_lower[is_own], own_not_higher[is_own]
    won = 1 - (own_lower + own_not_higher) / (2 * count)
    won[is_own] = (below[first] + not_above[first] - first - end) / (2 * others)
    auroc = float(won[is_own].mean())
    # Average precision. Of those at least as probable as each image of the class, in the order of
    # `own`: how many are of the class, and how many there are.
    lowest = np.searchsorted(own, own, "left")
    hits, shown = count - lowest, len(scores) - below[lowest]
    average_precision = float((hits / shown).mean())
    gain = np.concatenate([[0.0], np.cumsum((shown - hits) / shown**2)])
    loss = np.concatenate([[0.0], np.cumsum(hits / shown**2)])
    precision_influence = -loss[own_not_higher] / count
    precision = (count - first) / (len(scores) - below[first])
    precision_influence[is_own] = (precision - average_precision + gain[end]) / count
    return ClassRanking(
        index,
        auroc,
        average_precision,
        auroc_influence=(won - auroc) / np.where(is_own, count, others),
        precision_influence=precision_influence,
    )


_VALUES_AT_ONCE = 2**22  # 32 MiB in float64
