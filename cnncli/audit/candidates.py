"""The most similar pairs of many vectors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cnncli.arrays import Array

# Of each vector so many most similar ones are kept at most.
MOST_PER_IMAGE = 8
# Cosines are computed for blocks of so many by so many vectors.
_BLOCK = 2048


def find_candidates(
    vectors: Array, least: float, advance: Callable[[int], None] = lambda count: None
) -> tuple[Array, Array]:
    """Return the most similar pairs of vectors.

    The cosine of every pair is computed, block by block. This took 16 s for 30,000 pictures on two
    busy cores, and the time grows with the square of their number.

    Args:
        vectors: (M, D) unit vectors.
        least: Smallest cosine of a pair.
        advance: Called with the number of vectors that have been compared with all others.

    Returns:
        (P, 2) positions of the pairs, the lower one first, and their (P,) cosines. A pair is among
        the 8 (``MOST_PER_IMAGE``) most similar ones of at least one of its two vectors.
    """
    found: list[tuple[Array, Array, Array]] = []
    for start in range(0, len(vectors), _BLOCK):
        block = vectors[start : start + _BLOCK]
        for other in range(start, len(vectors), _BLOCK):
            cosines = block @ vectors[other : other + _BLOCK].T
            if other == start:
                cosines[np.tril_indices(len(block))] = -1
            rows, columns = np.nonzero(cosines >= least)
            if len(rows) > MOST_PER_IMAGE * len(block):  # thousands of alike pictures
                rows, columns = _likeliest(cosines, least)
            found.append((rows + start, columns + other, cosines[rows, columns]))
        advance(len(block))
    if not found:
        return np.zeros((0, 2), int), np.zeros(0)
    rows, columns, cosines = (np.concatenate(parts) for parts in zip(*found, strict=True))
    keep = _among_first(rows, columns, cosines)
    return np.stack([rows[keep], columns[keep]], axis=1), cosines[keep]


def _likeliest(cosines: Array, least: float) -> tuple[Array, Array]:
    """Return the positions of the 8 largest cosines of each row and of each column.

    Args:
        cosines: (R, C) cosines of a block.
        least: Smallest cosine that counts.

    Returns:
        Row and column of each position.
    """
    marked = np.zeros(cosines.shape, dtype=bool)
    for axis in (0, 1):
        most = min(MOST_PER_IMAGE, cosines.shape[axis])
        last = np.argpartition(cosines, -most, axis=axis)
        last = last[-most:] if axis == 0 else last[:, -most:]
        np.put_along_axis(marked, last, values=True, axis=axis)
    rows, columns = np.nonzero(marked & (cosines >= least))
    return rows, columns


def _among_first(rows: Array, columns: Array, cosines: Array) -> Array:
    """Return (P,) bool: whether a pair is among the 8 most similar ones of one of its pictures.

    Args:
        rows: (P,) the first picture of each pair.
        columns: (P,) the second picture of each pair.
        cosines: (P,) the similarity of each pair.
    """
    keep = np.zeros(len(rows), dtype=bool)
    for owner in (rows, columns):
        order = np.lexsort((-cosines, owner))
        sorted_owner = owner[order]
        first = np.searchsorted(sorted_owner, sorted_owner, side="left")
        keep[order[np.arange(len(order)) - first < MOST_PER_IMAGE]] = True
    return keep
