"""Where two pictures agree, apart from what all pictures of their set have in common.

An info bar, a frame, axes or a blank background may fill most of a picture. Two pictures are copies
only if they also agree in what differs from picture to picture. All numbers here are for thumbnails
of 64×64 pixels with levels from 0 to 255.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from cnncli.arrays import Array

# Detail is what is left of a picture without its Gaussian blur of the first sigma, in pixels. Its
# agreement is measured around each pixel, within the second one.
_DETAIL_SIGMA, _AROUND_SIGMA = 3.0, 3.0
# Detail of this standard deviation, in levels, has half the weight of strong detail.
_HALF_WEIGHT = 4.0
# So many pairs of different pictures show what the set has in common; below so many pictures it is
# not known.
_PAIRS, _FEWEST = 300, 8
# Copies agree at least so much. Where pictures of a set have nothing in common, different ones
# agree by chance only, and copies that were made so bright that they are white in part reach 0.59.
# Where they share a layout (a mean of 0.5 or more), different ones reach 0.748, and copies 0.76.
_LEAST, _LEAST_IN_LAYOUT = 0.55, 0.75
_NOT_COMMON, _MUCH_COMMON = 0.3, 0.5
# Where more than a fifth of a picture is flat (less than two levels of detail), shapes on it are
# soon alike, and copies have to agree more; most of all where little is to compare.
_FLAT, _FLAT_LEVEL = 0.2, 2.0
_LITTLE, _MORE = 0.36, 0.42
_LEAST_OF_LITTLE, _LEAST_OF_MORE = 0.95, 0.85
# By less than this fraction of their area, pictures are judged only if they are all but the same.
_LEAST_EVIDENCE, _ALL_BUT_THE_SAME = 0.03, 0.97
# In what one picture does not share with others like it, different pictures reach 0.55. So large an
# area is enough to see that.
_LEAST_OWN, _LEAST_OWN_VALUE = 0.015, 0.6
# From here on a pair is certain enough for the list of files to drop.
CERTAIN = 0.9


@dataclass(frozen=True)
class Agreement:
    """How much two pictures agree in what is their own.

    Attributes:
        value: Mean agreement, at most 1: 1 where both have the same detail, 0 by chance.
        evidence: The area that was compared, weighted, as a fraction of the picture.
    """

    value: float
    evidence: float


def find_detail(picture: Array) -> Array:
    """Return the detail of (64, 64) levels: they themselves less their Gaussian blur, float32."""
    picture = picture.astype(np.float32)
    blurred = cv2.GaussianBlur(picture, (0, 0), _DETAIL_SIGMA, borderType=cv2.BORDER_REFLECT)
    return np.asarray(picture - blurred)


def _around(values: Array) -> Array:
    return np.asarray(
        cv2.GaussianBlur(values, (0, 0), _AROUND_SIGMA, borderType=cv2.BORDER_REFLECT)
    )


def agree_locally(a: Array, b: Array) -> tuple[Array, Array]:
    """Return how two details agree around each pixel, −1 to 1, and a weight for it, 0 to 1.

    Args:
        a: (64, 64) detail of one picture.
        b: (64, 64) detail of the other.
    """
    aa, bb, ab = _around(a * a), _around(b * b), _around(a * b)
    most = np.maximum(aa, bb)
    return 2 * ab / (aa + bb + 2e-3), most / (most + _HALF_WEIGHT**2)


def find_common(thumbnails: Array, chosen: Array) -> Array:
    """Return how much pictures of a set agree at each pixel without being copies, 0 to 1.

    Args:
        thumbnails: (N, 64, 64) uint8 pictures.
        chosen: (M,) indices of those that are compared.

    Returns:
        (64, 64) mean agreement of 300 pairs drawn at random; zeros for a set of few pictures.
    """
    total = np.zeros(thumbnails.shape[1:], np.float32)
    weights = total + 1e-6
    if len(chosen) < _FEWEST:
        return total
    rng = np.random.default_rng(0)
    for _ in range(_PAIRS):
        one, other = rng.choice(len(chosen), 2, replace=False)
        details = (find_detail(thumbnails[chosen[k]]) for k in (one, other))
        agreement, weight = agree_locally(*details)
        total += np.maximum(agreement, 0) * weight
        weights += weight
    return np.asarray(total / weights)


def measure(a: Array, b: Array, common: Array, inside: Array | None) -> Agreement:
    """Return how much two pictures agree, apart from what is common.

    Args:
        a: (64, 64) detail of one picture.
        b: (64, 64) detail of the other, laid upon it.
        common: (64, 64) what says nothing, 0 to 1, by :func:`find_common`.
        inside: (64, 64) bool, where they overlap; None means everywhere.
    """
    agreement, weight = agree_locally(a, b)
    weight = weight * (1 - common) ** 2
    if inside is not None:
        weight = weight * inside
    whole = float(weight.sum())
    return Agreement(float((weight * agreement).sum()) / max(whole, 1e-6), whole / weight.size)


def are_copies(found: Agreement, a: Array, b: Array, common: Array) -> bool:
    """Return whether two pictures agree as much as copies do.

    Args:
        found: Their agreement.
        a: (64, 64) detail of one picture.
        b: (64, 64) detail of the other.
        common: See :func:`measure`.
    """
    if found.evidence < _LEAST_EVIDENCE:
        return found.value >= _ALL_BUT_THE_SAME
    flat = min(float((_around(d * d) < _FLAT_LEVEL**2).mean()) for d in (a, b))
    if flat > _FLAT:
        ends, leasts = (_LITTLE, _MORE), (_LEAST_OF_LITTLE, _LEAST_OF_MORE)
        least = float(np.interp(found.evidence, ends, leasts))
    else:
        ends = (_NOT_COMMON, _MUCH_COMMON)
        least = float(np.interp(common.mean(), ends, (_LEAST, _LEAST_IN_LAYOUT)))
    return found.value >= least


def differs_from_alike(
    a: Array, b: Array, inside: Array | None, alike: list[Array], common: Array
) -> bool:
    """Return whether two pictures agree only in what one of them shares with others like it.

    A part of a set may have a layout of its own. If the others like it are copies too, what is left
    is too little to judge by, and the answer is False.

    Args:
        a: (64, 64) detail of one picture.
        b: (64, 64) detail of the other, laid upon it.
        inside: See :func:`measure`.
        alike: Details of other pictures that look like the first one.
        common: See :func:`measure`.
    """
    if len(alike) < _FEWEST // 2:
        return False
    shared = np.mean([np.maximum(agree_locally(a, other)[0], 0) for other in alike], axis=0)
    found = measure(a, b, np.maximum(shared, common), inside)
    return found.evidence >= _LEAST_OWN and found.value < _LEAST_OWN_VALUE
