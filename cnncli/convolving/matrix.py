"""A convolution as the matrix of a dense layer: most entries are 0, and few weights fill the rest.

Flatten the input, row by row, to a vector; each row of the matrix then computes one output.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from cnncli.convolving.convolution import Convolution
from cnncli.convolving.geometry import PADDED
from cnncli.convolving.values import as_list
from cnncli.errors import CnncliError

MOST_ENTRIES = 1_000_000
NO_WEIGHT = -1


@dataclass(frozen=True)
class LayerMatrix:
    """The matrix of a convolution of R outputs and C inputs.

    Attributes:
        numbers: R rows of C numbers.
        weights: R rows of C indices: which weight stands there, counted from 0 through all
            kernels, or `NO_WEIGHT` where input and output are not connected.
        reuse: How many entries each weight fills.
        biases: Number of biases of the convolution, one for each kernel.
    """

    numbers: list[list[float]]
    weights: list[list[int]]
    reuse: list[int]
    biases: int

    @property
    def shape(self) -> tuple[int, int]:
        """(outputs, inputs)."""
        return len(self.numbers), len(self.numbers[0])

    @property
    def connections(self) -> int:
        """Number of entries that hold a weight, which may be 0 itself."""
        return sum(self.reuse)

    def describe(self) -> dict[str, int]:
        """Return what it counts, and what a dense layer of the same inputs and outputs has."""
        outputs, inputs = self.shape
        return {
            "outputs": outputs,
            "inputs": inputs,
            "entries": outputs * inputs,
            "connections": self.connections,
            "zeros": outputs * inputs - self.connections,
            "weights": len(self.reuse),
            "biases": self.biases,
            "parameters": len(self.reuse) + self.biases,
            "dense_weights": outputs * inputs,
            "dense_biases": outputs,
            "dense_parameters": outputs * inputs + outputs,
        }


def build_matrix(layer: Convolution) -> LayerMatrix:
    """Return the matrix of a convolution.

    Raises:
        CnncliError: If it would be too large, or the layer is no matrix of single weights.
    """
    outputs, inputs = prod(layer.out_shape), prod(layer.in_shape)
    if outputs * inputs > MOST_ENTRIES:
        raise CnncliError(
            f"--as-matrix: {outputs:,} outputs times {inputs:,} inputs are more than "
            f"{MOST_ENTRIES:,} entries; take a smaller input, such as one of 28x28"
        )
    if layer.mode == "reflect":
        raise CnncliError(
            "--as-matrix: with --padding-mode reflect an entry is a sum of several weights; leave "
            "it out"
        )
    starts, values = [0], []
    for kernel in layer.kernels:
        if len(kernel.parts) > 1:
            raise CnncliError(
                f"--as-matrix: {kernel.name} is two kernels and a sum of absolute values, which no "
                f"matrix is; take {kernel.name}-x or {kernel.name}-y"
            )
        values += as_list(kernel.parts[0].numbers)
        starts.append(len(values))
    weights, reuse = [], [0] * len(values)
    for index in range(outputs):
        row = [NO_WEIGHT] * inputs
        found, taps = layer.taps(index)
        for weight, source in taps:
            if source != PADDED:
                row[source] = starts[found.kernel] + weight
                reuse[row[source]] += 1
        weights.append(row)
    numbers = [[0 if place == NO_WEIGHT else values[place] for place in row] for row in weights]
    return LayerMatrix(numbers, weights, reuse, len(layer.kernels))
