"""Which pictures are copies of each other: candidates by a short vector, then a close look.

All numbers here are for thumbnails (64×64). They were chosen on steel surfaces, chest X-rays and
photos: `docs/check-data.md` has the figures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from cnncli.arrays import Array
from cnncli.audit.file_facts import THUMBNAIL
from cnncli.data.store import map_in_threads

# The vector: a picture of 16×16 without its coarsest shades, as one unit vector.
_VECTOR_SIDE, _VECTOR_SIGMA = 16, 1.5
# Copies of one picture have a cosine of 0.93 and more in 99 of 100; different X-rays up to 0.85.
_CANDIDATE = 0.82
# Different pictures of the same kind stay below 0.66 as they lie, and below 0.82 once aligned.
_SAME, _SAME_ALIGNED = 0.75, 0.85
# A picture is looked at beside so many others at most, the likeliest, and all together beside one
# other each: what lies side by side takes 5 ms.
_MOST_PER_IMAGE, _MOST_PAIRS = 8, 20_000

# Pictures of fewer pixels a side hold too little to be compared loosely.
TINY = 32
_TINY_CANDIDATE, _TINY_SAME = 0.97, 0.998

_BLOCK = 2048
_ECC = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 1e-4)
# What an alignment may do: shift by so many pixels, stretch or turn by so much.
_MOST_SHIFT, _MOST_STRETCH, _LEAST_OVERLAP = 12.0, 0.08, 0.75


@dataclass(frozen=True)
class NearPairs:
    """Pairs of pictures that show the same.

    Attributes:
        pairs: (P, 2) indices, the lower first.
        scores: (P,) correlations, 1 for the same.
        left_out: Candidates that were too many to be looked at.
    """

    pairs: Array
    scores: Array
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

    Args:
        thumbnails: (N, 64, 64) uint8.
        sides: (N, 2) height and width of the pictures themselves; of those below ``TINY`` only
            copies of the same size that differ by traces are found.
        chosen: (n,) indices of those to compare.
        threads: That compare at the same time.
        advance: Told of every picture done.
    """
    tiny = sides[chosen].min(axis=1) < TINY
    large = _find_large(thumbnails, chosen[~tiny], threads, advance)
    small = _find_tiny(thumbnails, chosen[tiny], sides, advance)
    return NearPairs(
        np.concatenate([large.pairs, small.pairs]),
        np.concatenate([large.scores, small.scores]),
        large.left_out,
    )


def _find_large(
    thumbnails: Array, chosen: Array, threads: int, advance: Callable[[int], None]
) -> NearPairs:
    vectors = make_vectors(thumbnails, chosen)
    pairs, cosines = find_candidates(vectors, _CANDIDATE, advance)
    order = np.argsort(-cosines, kind="stable")[: max(_MOST_PAIRS, len(chosen))]
    left_out, pairs = len(pairs) - len(order), chosen[pairs[order]]

    def compare(pair: Array) -> float:
        return compare_closely(thumbnails[pair[0]], thumbnails[pair[1]])

    scores = np.array(list(map_in_threads(compare, pairs, threads)), dtype=float)
    return NearPairs(pairs[scores > 0], scores[scores > 0], left_out)


def _find_tiny(
    thumbnails: Array, chosen: Array, sides: Array, advance: Callable[[int], None]
) -> NearPairs:
    pairs, _ = find_candidates(make_vectors(thumbnails, chosen), _TINY_CANDIDATE, advance)
    pairs = chosen[pairs]
    pairs = pairs[(sides[pairs[:, 0]] == sides[pairs[:, 1]]).all(axis=1)]
    scores = np.array([_correlate(thumbnails[a], thumbnails[b]) for a, b in pairs], dtype=float)
    return NearPairs(pairs[scores >= _TINY_SAME], scores[scores >= _TINY_SAME])


def make_vectors(thumbnails: Array, chosen: Array) -> Array:
    """Return (n, 256) unit vectors, or zeros for a picture without detail."""
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


def find_candidates(
    vectors: Array, least: float, advance: Callable[[int], None] = lambda count: None
) -> tuple[Array, Array]:
    """Return the pairs (P, 2), lower index first, whose cosine is ``least`` or more, and it.

    Every pair is computed, in blocks: 30,000 pictures took 16 s on two busy cores, and the time
    grows with the square. Each picture keeps its ``_MOST_PER_IMAGE`` likeliest.
    """
    found: list[tuple[Array, Array, Array]] = []
    for start in range(0, len(vectors), _BLOCK):
        block = vectors[start : start + _BLOCK]
        for other in range(start, len(vectors), _BLOCK):
            cosines = block @ vectors[other : other + _BLOCK].T
            if other == start:
                cosines[np.tril_indices(len(block))] = -1
            rows, columns = np.nonzero(cosines >= least)
            if len(rows) > _MOST_PER_IMAGE * len(block):  # thousands of alike pictures
                rows, columns = _likeliest(cosines, least)
            found.append((rows + start, columns + other, cosines[rows, columns]))
        advance(len(block))
    if not found:
        return np.zeros((0, 2), int), np.zeros(0)
    rows, columns, cosines = (np.concatenate(parts) for parts in zip(*found, strict=True))
    keep = _among_first(rows, columns, cosines)
    return np.stack([rows[keep], columns[keep]], axis=1), cosines[keep]


def _likeliest(cosines: Array, least: float) -> tuple[Array, Array]:
    """Return where the largest values of each row and of each column stand."""
    marked = np.zeros(cosines.shape, dtype=bool)
    for axis in (0, 1):
        most = min(_MOST_PER_IMAGE, cosines.shape[axis])
        last = np.argpartition(cosines, -most, axis=axis)
        last = last[-most:] if axis == 0 else last[:, -most:]
        np.put_along_axis(marked, last, values=True, axis=axis)
    rows, columns = np.nonzero(marked & (cosines >= least))
    return rows, columns


def _among_first(rows: Array, columns: Array, cosines: Array) -> Array:
    """Tell which pairs are among the likeliest of either of their pictures."""
    keep = np.zeros(len(rows), dtype=bool)
    for owner in (rows, columns):
        order = np.lexsort((-cosines, owner))
        sorted_owner = owner[order]
        first = np.searchsorted(sorted_owner, sorted_owner, side="left")
        keep[order[np.arange(len(order)) - first < _MOST_PER_IMAGE]] = True
    return keep


def compare_closely(one: Array, other: Array) -> float:
    """Return how well two thumbnails correlate, in local contrast; 0 unless they show the same.

    Local contrast weighs a flat background as much as what stands on it: two scratches of one
    shape on different steel are different pictures. Where the pictures do not match as they lie,
    one is shifted and stretched a little until it fits.

    Source: G. Evangelidis & E. Psarakis (2008), Parametric Image Alignment Using Enhanced
    Correlation Coefficient Maximization (OpenCV's findTransformECC).
    """
    a, b = local_contrast(one), local_contrast(other)
    score = _correlate(a, b)
    if score >= _SAME:
        return score
    window = cv2.createHanningWindow(a.shape[::-1], cv2.CV_32F)
    shift, _ = cv2.phaseCorrelate(a.copy(), b.copy(), window)  # it multiplies them in place
    best = max(_align(a, b, start, other) for start in ((0.0, 0.0), shift))
    return best if best >= _SAME_ALIGNED else 0.0


def local_contrast(picture: Array) -> Array:
    """Return a picture without shades, each place divided by how much varies around it."""
    detail = _remove_shades(picture.astype(np.float32), 3.0)
    around = cv2.GaussianBlur(detail * detail, (0, 0), 4.0, borderType=cv2.BORDER_REFLECT)
    floor = 0.25 * float((detail * detail).mean()) + 1e-6  # else noise in a flat place counts
    return np.asarray(detail / np.sqrt(around + floor), np.float32)


def _align(a: Array, b: Array, start: tuple[float, float], picture: Array) -> float:
    """Return the correlation where they overlap once ``b`` is moved upon ``a``; 0 if it cannot."""
    warp = np.eye(2, 3, dtype=np.float32)
    warp[:, 2] = start
    if np.abs(warp[:, 2]).max() > _MOST_SHIFT:
        return 0.0
    try:
        cv2.findTransformECC(a, b, warp, cv2.MOTION_AFFINE, _ECC, None, 5)
    except cv2.error:  # it did not converge
        return 0.0
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
        return 0.0
    return _correlate(a[inside], local_contrast(moved)[inside])


def _remove_shades(picture: Array, sigma: float) -> Array:
    blurred = cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    return np.asarray(picture - blurred)


def _correlate(a: Array, b: Array) -> float:
    a, b = a.astype(np.float64).ravel(), b.astype(np.float64).ravel()
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b / np.sqrt((a @ a) * (b @ b) + 1e-9))
