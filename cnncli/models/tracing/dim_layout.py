"""Which dimensions of a tensor run along the image's rows and columns; no torch is imported.

A dimension of a tensor may hold several things at once: after a flatten, the positions of one
dimension count channels, rows and columns. A dimension is therefore written as a product of
factors, each an `Atom`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod
from typing import NamedTuple

ROWS, COLUMNS = 0, 1


class Atom(NamedTuple):
    """One factor of a tensor's dimension.

    Attributes:
        size: Number of positions that this factor contributes, at least 1.
        axes: Axes of the image along which these positions run: ``()`` for none (channels),
            ``(ROWS,)``, ``(COLUMNS,)``, or both if they cannot be separated.
    """

    size: int
    axes: tuple[int, ...] = ()


# All dimensions of a tensor, each as its factors in memory order, the slowest first: a flattened
# dimension holds channels, then rows, then columns. A factor of size 1 that runs along no axis of
# the image is left out.
DimLayout = tuple[tuple[Atom, ...], ...]


def reshape_layout(layout: DimLayout, old: Sequence[int], new: Sequence[int]) -> DimLayout | None:
    """Return the layout of a tensor after ``view``.

    Args:
        layout: Layout of the tensor before.
        old: Shape of the tensor before.
        new: Shape after; it has as many values.

    Returns:
        The new layout, or None if the view cuts rows or columns into pieces.
    """
    if tuple(old) == tuple(new):
        return layout
    dims: list[list[Atom]] = []
    i = j = 0
    while j < len(new):
        # Find the shortest runs of old and of new dimensions that hold equally many values: the
        # factors of that run of old dimensions fill that run of new ones.
        start_i, start_j, i, j = i, j, min(i + 1, len(old)), j + 1
        while prod(old[start_i:i]) != prod(new[start_j:j]):
            if prod(old[start_i:i]) < prod(new[start_j:j]):
                i += 1
            else:
                j += 1
        atoms = [atom for dim in layout[start_i:i] for atom in dim]
        part = _distribute(atoms, new[start_j:j])
        if part is None:
            return None
        dims += part
    rest = [atom for dim in layout[i:] for atom in dim]  # these have size 1
    if not dims:
        return None if any(atom.axes for atom in rest) else ()
    dims[-1] += rest
    return tuple(simplify_dim(atoms) for atoms in dims)


def _distribute(atoms: list[Atom], sizes: Sequence[int]) -> list[list[Atom]] | None:
    """Distribute factors in order over dimensions of the given sizes.

    Returns:
        The factors of each dimension, or None if a factor along rows or columns must be cut.
    """
    waiting = list(reversed(atoms))
    dims: list[list[Atom]] = []
    for size in sizes:
        taken: list[Atom] = []
        while waiting and (count_positions(taken) < size):
            atom = waiting.pop()
            need = size // count_positions(taken)
            if need % atom.size == 0:
                taken.append(atom)
            elif atom.size % need == 0 and not atom.axes:
                taken.append(Atom(need))
                waiting.append(Atom(atom.size // need))
            else:
                return None
        dims.append(taken)
    dims[-1] += reversed(waiting)  # these have size 1
    return dims


def count_positions(atoms: Iterable[Atom]) -> int:
    """Return the size of a dimension that has these factors."""
    return prod(atom.size for atom in atoms)


def simplify_dim(atoms: Iterable[Atom]) -> tuple[Atom, ...]:
    """Return the shortest form of a dimension's factors.

    Among the factors that run along no axis of the image, those of size 1 are dropped and
    neighbours are multiplied.
    """
    tidy: list[Atom] = []
    for atom in atoms:
        if tidy and not atom.axes and not tidy[-1].axes:
            tidy[-1] = Atom(tidy[-1].size * atom.size)
        elif atom.axes or atom.size > 1:
            tidy.append(atom)
    return tuple(tidy)
