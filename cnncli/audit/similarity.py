"""Near duplicates: a short vector per picture gives likely pairs, which are compared closely.

All numbers here are for thumbnails of 64×64 pixels. They were chosen on steel surfaces, chest
X-rays and photos; ``docs/check-data.md`` has the results.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from cnncli.arrays import Array
from cnncli.audit.agreement import (
    CERTAIN,
    are_copies,
    differs_from_alike,
    find_common,
    find_detail,
    measure,
)
from cnncli.audit.candidates import MOST_PER_IMAGE, find_candidates
from cnncli.audit.file_facts import THUMBNAIL
from cnncli.data.store import map_in_threads

# The vector of a picture is made of 16×16 pixels, less a Gaussian blur of this sigma in pixels.
_VECTOR_SIDE, _VECTOR_SIGMA = 16, 1.5
# Pairs with this cosine or more are compared closely. Of copies, 99 in 100 have 0.93 or more;
# different X-rays reach 0.85.
_CANDIDATE = 0.82
# From this correlation on, two pictures are the same: as they are, and after one was aligned with
# the other. Different pictures of the same kind stay below 0.66 and below 0.82.
_SAME, _SAME_ALIGNED = 0.75, 0.85
# The limit on the pairs that are compared closely is 20,000, or the number of pictures if that is
# more: a pair takes 5 ms.
_MOST_PAIRS = 20_000

# Pictures with a shorter side in pixels hold too little detail: they must be almost identical.
TINY = 32
_TINY_CANDIDATE, _TINY_SAME = 0.97, 0.998

# When an alignment ends: after 30 steps, or if the correlation grows by less than 1e-4.
_ECC = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 1e-4)
# What an alignment may do: shift by so many pixels, and change any entry of the 2×2 matrix by so
# much. So large a fraction of the picture must still overlap with the other one.
_MOST_SHIFT, _MOST_STRETCH, _LEAST_OVERLAP = 12.0, 0.08, 0.75


@dataclass(frozen=True)
class NearPairs:
    """Pairs of pictures that are near duplicates.

    Attributes:
        pairs: (P, 2) indices of the pictures, the lower one first.
        scores: (P,) correlations of the pairs, at most 1.
        certain: (P,) bool: whether there is no doubt that a pair shows the same picture.
        left_out: Number of likely pairs that were not compared closely, since there were too many.
    """

    pairs: Array
    scores: Array
    certain: Array
    left_out: int = 0


def find_near_pairs(
    thumbnails: Array,
    sides: Array,
    chosen: Array,
    *,
    threads: int,
    advance: Callable[[int], None] = lambda count: None,
) -> NearPairs:
    """Find pictures that are copies of each other: resized, re-encoded, brighter, cut a little.

    Of pictures with a side below 32 pixels (``TINY``), only copies of the same size that are
    almost identical are found.

    Args:
        thumbnails: (N, 64, 64) uint8 pictures.
        sides: (N, 2) height and width in pixels of the pictures before they became thumbnails.
        chosen: (M,) indices of the pictures to compare.
        threads: Number of threads that compare pairs.
        advance: Called with the number of pictures that have been compared with all others.
    """
    tiny = sides[chosen].min(axis=1) < TINY
    large = _find_large(thumbnails, chosen[~tiny], threads, advance)
    small = _find_tiny(thumbnails, chosen[tiny], sides, advance)
    return NearPairs(
        np.concatenate([large.pairs, small.pairs]),
        np.concatenate([large.scores, small.scores]),
        np.concatenate([large.certain, small.certain]),
        large.left_out,
    )


def _find_large(
    thumbnails: Array, chosen: Array, threads: int, advance: Callable[[int], None]
) -> NearPairs:
    vectors = make_vectors(thumbnails, chosen)
    pairs, cosines = find_candidates(vectors, _CANDIDATE, advance)
    order = np.argsort(-cosines, kind="stable")[: max(_MOST_PAIRS, len(chosen))]
    left_out, pairs = len(pairs) - len(order), chosen[pairs[order]]

    common = find_common(thumbnails, chosen)
    alike: dict[int, list[int]] = {}
    for one, other in pairs.tolist():
        alike.setdefault(one, []).append(other)
        alike.setdefault(other, []).append(one)

    def compare(pair: Array) -> tuple[float, bool]:
        one, other = pair.tolist()
        score, moved, inside = lay_upon(thumbnails[one], thumbnails[other])
        if score <= 0:
            return 0.0, False
        a, b = find_detail(thumbnails[one]), find_detail(moved)
        found = measure(a, b, common, inside)
        others = [k for k in alike[one] if k != other][:MOST_PER_IMAGE]
        details = [find_detail(thumbnails[k]) for k in others]
        if not are_copies(found, a, b, common) or differs_from_alike(a, b, inside, details, common):
            return 0.0, False
        return score, found.value >= CERTAIN

    compared = list(map_in_threads(compare, pairs, threads))
    scores = np.array([score for score, _ in compared], dtype=float)
    certain = np.array([sure for _, sure in compared], dtype=bool)
    return NearPairs(pairs[scores > 0], scores[scores > 0], certain[scores > 0], left_out)


def _find_tiny(
    thumbnails: Array, chosen: Array, sides: Array, advance: Callable[[int], None]
) -> NearPairs:
    pairs, _ = find_candidates(make_vectors(thumbnails, chosen), _TINY_CANDIDATE, advance)
    pairs = chosen[pairs]
    pairs = pairs[(sides[pairs[:, 0]] == sides[pairs[:, 1]]).all(axis=1)]
    scores = np.array([_correlate(thumbnails[a], thumbnails[b]) for a, b in pairs], dtype=float)
    same = scores >= _TINY_SAME
    return NearPairs(pairs[same], scores[same], np.ones(int(same.sum()), dtype=bool))


def make_vectors(thumbnails: Array, chosen: Array) -> Array:
    """Return (M, 256) unit vectors of pictures; zeros for a picture without detail.

    Args:
        thumbnails: (N, 64, 64) uint8 pictures.
        chosen: (M,) indices of those that get a vector.
    """
    side, step = _VECTOR_SIDE, THUMBNAIL // _VECTOR_SIDE
    vectors = np.zeros((len(chosen), side * side), np.float32)
    for row, index in enumerate(chosen.tolist()):
        blocks = thumbnails[index].astype(np.float32).reshape(side, step, side, step)
        vector = _remove_shades(blocks.mean(axis=(1, 3)), _VECTOR_SIGMA).ravel()
        vector = vector - vector.mean()
        norm = float(np.linalg.norm(vector))
        if norm > 1e-3:
            vectors[row] = vector / norm
    return vectors


def lay_upon(one: Array, other: Array) -> tuple[float, Array, Array | None]:
    """Lay one thumbnail upon another, and return how well it fits.

    Their local contrast is compared, so that a flat background has as much weight as the objects
    in front of it: two scratches of the same shape on different steel are different pictures.
    Where the pictures do not match as they are, one is shifted and stretched a little to fit the
    other.

    Args:
        one: (64, 64) uint8 picture.
        other: (64, 64) uint8 picture.

    Returns:
        Their correlation, or 0 if they do not fit; the second picture as it was laid upon the
        first; and (64, 64) bool where they overlap, None for everywhere.

    Source: G. Evangelidis & E. Psarakis (2008), Parametric Image Alignment Using Enhanced
    Correlation Coefficient Maximization (OpenCV's findTransformECC).
    """
    a, b = local_contrast(one), local_contrast(other)
    score = _correlate(a, b)
    if score >= _SAME:
        # As they are is good enough to be found; aligned, they are compared more exactly.
        best = _align(a, b, (0.0, 0.0), other)
        return best if best[0] > score else (score, other, None)
    window = cv2.createHanningWindow(a.shape[::-1], cv2.CV_32F)
    shift, _ = cv2.phaseCorrelate(a.copy(), b.copy(), window)  # it changes its arguments
    found = [_align(a, b, start, other) for start in ((0.0, 0.0), shift)]
    best = max(found, key=lambda aligned: aligned[0])
    return best if best[0] >= _SAME_ALIGNED else (0.0, other, None)


def local_contrast(picture: Array) -> Array:
    """Return the detail of a picture, divided at each pixel by how strong detail is around it.

    Args:
        picture: (H, W) levels.

    Returns:
        (H, W) float32.
    """
    detail = _remove_shades(picture.astype(np.float32), 3.0)
    around = cv2.GaussianBlur(detail * detail, (0, 0), 4.0, borderType=cv2.BORDER_REFLECT)
    # Without this floor, noise in a flat area would count as detail.
    floor = 0.25 * float((detail * detail).mean()) + 1e-6
    return np.asarray(detail / np.sqrt(around + floor), np.float32)


def _align(
    a: Array, b: Array, start: tuple[float, float], picture: Array
) -> tuple[float, Array, Array | None]:
    """Align the second of two pictures with the first.

    Args:
        a: (H, W) local contrast of the first picture.
        b: (H, W) local contrast of the second picture.
        start: Shift in x and y, in pixels, from which the alignment starts.
        picture: (H, W) the second picture itself.

    Returns:
        The correlation of the area where they overlap, or 0 if there is no alignment, or if it
        shifts or stretches the picture too much; the second picture as it was moved; and where
        the two overlap.
    """
    warp = np.eye(2, 3, dtype=np.float32)
    warp[:, 2] = start
    if np.abs(warp[:, 2]).max() > _MOST_SHIFT:
        return 0.0, picture, None
    try:
        cv2.findTransformECC(a, b, warp, cv2.MOTION_AFFINE, _ECC, None, 5)
    except cv2.error:  # it did not converge
        return 0.0, picture, None
    size, flags = a.shape[::-1], cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(
        picture.astype(np.float32), warp, size, flags=flags, borderMode=cv2.BORDER_REFLECT
    )
    inside = cv2.warpAffine(np.ones_like(a), warp, size, flags=flags) > 0.99
    gentle = (
        np.abs(warp[:, :2] - np.eye(2)).max() <= _MOST_STRETCH
        and np.abs(warp[:, 2]).max() <= _MOST_SHIFT
    )
    if not gentle or inside.mean() < _LEAST_OVERLAP:
        return 0.0, picture, None
    return _correlate(a[inside], local_contrast(moved)[inside]), moved, inside


def _remove_shades(picture: Array, sigma: float) -> Array:
    """Subtract from a picture its Gaussian blur, which holds the slow changes of brightness."""
    blurred = cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    return np.asarray(picture - blurred)


def _correlate(a: Array, b: Array) -> float:
    """Return Pearson's correlation of the values of two arrays of one shape, −1 to 1."""
    a, b = a.astype(np.float64).ravel(), b.astype(np.float64).ravel()
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b / np.sqrt((a @ a) * (b @ b) + 1e-9))
