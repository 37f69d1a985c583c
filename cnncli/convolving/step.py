"""What every layer that is worked on numbers can do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cnncli.convolving.values import Values


@dataclass(frozen=True)
class Step:
    """One layer, for an input of a certain shape. Each kind of layer is a subclass.

    Numbers are addressed by their index in `Values.numbers`.

    Attributes:
        text: The layer in the user's words.
        in_shape: Shape of its input, (C, H, W) or (values,).
        out_shape: Shape of its output.
    """

    text: str
    in_shape: tuple[int, ...]
    out_shape: tuple[int, ...]

    @property
    def is_identity(self) -> bool:
        """Whether the numbers stay as they are; only their shape may change."""
        return False

    @property
    def gives_probabilities(self) -> bool:
        """Whether the output is a softmax."""
        return False

    @property
    def cost(self) -> int:
        """Numbers of the input that one number of the output is computed from, at most."""
        return 1

    def remarks(self) -> list[str]:
        """Return in sentences what a reader of the numbers has to know."""
        return []

    def forward(self, given: Values) -> Values:
        """Return the output for an input."""
        return Values(self.out_shape, given.numbers)

    def sources(self, index: int) -> Iterable[int]:
        """Return the indices of the input numbers that one output's worked sum writes out."""
        return (index,)

    def explain(self, index: int, given: Values, result: Values) -> str:
        """Return how one number of the output comes about, as ``1·2 + 0·3 = 2``.

        Args:
            index: Which number of the output.
            given: The input.
            result: The output.
        """
        raise NotImplementedError

    def backward(self, slopes: Sequence[float], given: Values, result: Values) -> list[float]:
        """Return the derivative of a loss with respect to each number of the input.

        Args:
            slopes: Its derivative with respect to each number of the output.
            given: The input.
            result: The output.
        """
        return list(slopes)


def item(values: Values, index: int) -> float:
    """Return one number as Python's int or float, also from a NumPy array."""
    number = values.numbers[index]
    return number if isinstance(number, int | float) else float(number)
