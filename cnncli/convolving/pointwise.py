"""Layers that change each number by itself, or only its place: activations, dropout, flatten."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cnncli.convolving.notation import format_number
from cnncli.convolving.step import Step, item
from cnncli.convolving.values import Values, as_list


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def _softplus(x: float) -> float:
    return max(x, 0) + math.log1p(math.exp(-abs(x)))


def _normal(x: float) -> float:
    """Return the probability that a standard normal number is below x."""
    return math.erfc(-x / math.sqrt(2)) / 2


def _density(x: float) -> float:
    return math.exp(-x * x / 2) / math.sqrt(2 * math.pi) if abs(x) < 40 else 0.0


def _mish_slope(x: float) -> float:
    inner = math.tanh(_softplus(x))
    return inner + x * (1 - inner * inner) * _sigmoid(x)


class Function(NamedTuple):
    """An activation function.

    Attributes:
        value: The function.
        slope: Its derivative.
        formula: It as text, with ``x`` for the number.
    """

    value: Callable[[float], float]
    slope: Callable[[float], float]
    formula: str


# As torch.nn has them by default: leaky_relu with 0.01, gelu without the approximation by tanh. The
# slope at 0 is 0 for relu and 0.01 for leaky_relu.
FUNCTIONS: dict[str, Function] = {
    "relu": Function(lambda x: max(x, 0), lambda x: 1 if x > 0 else 0, "max(0, x)"),
    "leaky_relu": Function(
        lambda x: x if x > 0 else 0.01 * x,
        lambda x: 1 if x > 0 else 0.01,
        "x if x > 0, else 0.01·x",
    ),
    "elu": Function(
        lambda x: x if x > 0 else math.expm1(x),
        lambda x: 1 if x > 0 else math.exp(x),
        "x if x > 0, else e^x − 1",
    ),
    "gelu": Function(
        lambda x: x * _normal(x),
        lambda x: _normal(x) + x * _density(x),
        "x·Φ(x), Φ being the normal distribution",
    ),
    "mish": Function(lambda x: x * math.tanh(_softplus(x)), _mish_slope, "x·tanh(ln(1 + e^x))"),
    "silu": Function(
        lambda x: x * _sigmoid(x),
        lambda x: _sigmoid(x) * (1 + x * (1 - _sigmoid(x))),
        "x / (1 + e^−x)",
    ),
    "tanh": Function(math.tanh, lambda x: 1 - math.tanh(x) ** 2, "tanh(x)"),
    "sigmoid": Function(_sigmoid, lambda x: _sigmoid(x) * (1 - _sigmoid(x)), "1 / (1 + e^−x)"),
}


@dataclass(frozen=True)
class Activated(Step):
    """An activation function, applied to each number.

    Attributes:
        name: A key of `FUNCTIONS`.
    """

    name: str = "relu"

    def forward(self, given: Values) -> Values:
        """Return the function of each number."""
        value = FUNCTIONS[self.name].value
        return Values(self.out_shape, [value(number) for number in as_list(given.numbers)])

    def explain(self, index: int, given: Values, result: Values) -> str:
        """Return ``max(0, -3) = 0``, or the function's name with the number in it."""
        number, answer = format_number(item(given, index)), format_number(item(result, index))
        if self.name == "relu":
            return f"max(0, {number}) = {answer}"
        return f"{self.name}({number}) = {answer}"

    def backward(self, slopes: Sequence[float], given: Values, result: Values) -> list[float]:
        """Return the derivatives."""
        slope_at = FUNCTIONS[self.name].slope
        return [
            slope * slope_at(number)
            for slope, number in zip(slopes, as_list(given.numbers), strict=True)
        ]


class Identity(Step):
    """A layer that leaves the numbers as they are: flatten."""

    @property
    def is_identity(self) -> bool:
        """True."""
        return True

    def explain(self, index: int, given: Values, result: Values) -> str:
        """Return which number of the input it is."""
        return f"input{given.place(index)} = {format_number(item(result, index))}"


class Dropout(Identity):
    """Dropout as it is after training: it does nothing."""

    def remarks(self) -> list[str]:
        """Return that it does nothing."""
        return [f"{self.text}: does nothing after training, and nothing here"]
