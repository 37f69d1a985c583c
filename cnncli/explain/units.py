"""One value in the output of a layer, a unit: which one is meant, and which pixels it can see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt

import numpy as np
import torch
from torch import nn

from cnncli.errors import CnncliError
from cnncli.models.tracing.dim_layout import COLUMNS, ROWS, Atom
from cnncli.models.tracing.receptive_field import Field


@dataclass(frozen=True)
class Grid:
    """Where channels, rows and columns lie in the output of a layer.

    Attributes:
        shape: Shape of the output without N.
        channel: The dimension of ``shape`` that holds the channels.
        row: The dimension along the image's rows; None if there is none.
        column: The dimension along the image's columns; None if there is none.
    """

    shape: tuple[int, ...]
    channel: int
    row: int | None
    column: int | None

    @property
    def token(self) -> int | None:
        """The dimension that holds the tokens of a transformer; None if there is none."""
        return 1 - self.channel if len(self.shape) == 2 and self.row is None else None

    def middle(self) -> list[int]:
        """Return the index of the unit in the middle of every dimension.

        Of a square of patches, with a class token before it or without one, it is the patch in the
        middle of the square.
        """
        index = [size // 2 for size in self.shape]
        if self.token is not None:
            count = self.shape[self.token]
            side = isqrt(count)
            if side * side in (count, count - 1):
                index[self.token] = count - side * side + (side // 2) * side + side // 2
        return index


def find_grid(field: Field, shape: Sequence[int]) -> Grid:
    """Return where channels and positions lie in an output.

    Where the layout is not known, three dimensions are taken to be channels, rows and columns, and
    of two the last one to be the channels, as in torchvision's networks.

    Args:
        field: The field of the output.
        shape: Its shape without N.
    """
    if field.layout is None:
        if len(shape) == 3:
            return Grid(tuple(shape), 0, 1, 2)
        return Grid(tuple(shape), len(shape) - 1, None, None)
    dims = field.layout[1:]
    rows = [d for d, atoms in enumerate(dims) if _runs_along(atoms, ROWS)]
    columns = [d for d, atoms in enumerate(dims) if _runs_along(atoms, COLUMNS)]
    if len(shape) == 3 and not rows and not columns:  # one position is left, as after pooling
        return Grid(tuple(shape), 0, 1, 2)
    row, column = (found[0] if found else None for found in (rows, columns))
    pure = [d for d, atoms in enumerate(dims) if atoms and not any(atom.axes for atom in atoms)]
    others = [d for d in range(len(shape)) if d not in (row, column)]
    return Grid(tuple(shape), next(iter([*pure, *others]), 0), row, column)


def _runs_along(atoms: Sequence[Atom], axis: int) -> bool:
    return len(atoms) == 1 and atoms[0].axes == (axis,)


def choose_index(grid: Grid, unit: Sequence[int] | None, layer: str) -> list[int]:
    """Return the index of a unit in the output without N.

    Args:
        grid: Where channels and positions lie.
        unit: A channel, or channel, row and column; what is not named is the middle.
        layer: Name of the layer, for the error.

    Raises:
        CnncliError: If there is no such unit.
    """
    index = grid.middle()
    if unit is None:
        return index
    dims = [grid.channel, grid.row, grid.column][: len(unit)]
    words = ("channels", "rows", "columns")
    there = [
        f"{word} 0 to {grid.shape[dim] - 1}"
        for word, dim in zip(words, (grid.channel, grid.row, grid.column), strict=True)
        if dim is not None
    ]
    given = ",".join(map(str, unit))
    for dim, number in zip(dims, unit, strict=True):
        if dim is None:
            raise CnncliError(
                f"--unit {given}: the output of {layer} has no rows and columns; name one of its "
                f"{there[0]}"
            )
        if number >= grid.shape[dim]:
            raise CnncliError(f"--unit {given}: {layer} has {', '.join(there)}")
        index[dim] = number
    return index


def find_pixels(field: Field, index: Sequence[int]) -> list[tuple[int, int] | None]:
    """Return the first and last row, and the first and last column, that a unit can see.

    They may lie outside the image, because layers pad it. None stands for what is not known.

    Args:
        field: The field of the layer's output.
        index: Index of the unit in the output without N.
    """
    return [span.interval(_position(field, index, axis)) for axis, span in enumerate(field.spans)]


def _position(field: Field, index: Sequence[int], axis: int) -> int:
    """Return which position along an axis of the image a unit has; -1 where that is not known."""
    for atoms, number in zip((field.layout or ())[1:], index, strict=False):
        if not any(axis in atom.axes for atom in atoms):
            continue
        place = np.unravel_index(number, [atom.size for atom in atoms])
        return int(next(p for p, atom in zip(place, atoms, strict=True) if axis in atom.axes))
    return 0


def run_layers(
    network: nn.Module, images: torch.Tensor, names: Sequence[str]
) -> dict[str, torch.Tensor]:
    """Run a network and return the outputs of some layers; gradients can be taken of them.

    A layer that is called several times gives its last output. What follows gets a copy, because
    it may work in place.

    Args:
        network: The network.
        images: Its input (N, C, H, W).
        names: Names of the layers.

    Returns:
        The first tensor that each layer returned, (N, ...), by the layer's name.
    """
    kept: dict[str, torch.Tensor] = {}

    def watch(name: str) -> torch.utils.hooks.RemovableHandle:
        def keep(module: nn.Module, inputs: object, output: object) -> torch.Tensor | None:
            first = output[0] if isinstance(output, list | tuple) else output
            if isinstance(first, torch.Tensor):
                kept[name] = first
            return output.clone() if isinstance(output, torch.Tensor) else None

        return network.get_submodule(name).register_forward_hook(keep)

    handles = [watch(name) for name in names]
    try:
        network(images.clone())
    finally:
        for handle in handles:
            handle.remove()
    return kept
