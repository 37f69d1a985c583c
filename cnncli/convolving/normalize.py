"""Layers that look at many numbers at once: batch normalisation and softmax; cross-entropy."""

from __future__ import annotations

import math
from collections.abc import Sequence

from cnncli.convolving.notation import format_number
from cnncli.convolving.step import Step, item
from cnncli.convolving.values import Values, as_list

EPSILON = 1e-5  # torch's, added to the variance


class BatchNorm(Step):
    """Batch normalisation of maps by their own mean and variance.

    There are no trained statistics, so each map is normalised as in training on a batch of this one
    image, with scale 1 and shift 0: (x - mean) / sqrt(variance + 1e-5). The variance is divided by
    the number of values, not by one less.
    """

    def remarks(self) -> list[str]:
        """Return which statistics these are."""
        return [
            f"{self.text}: no trained statistics, so each map is normalised by its own mean and "
            "variance, as in training on this one image; scale 1, shift 0"
        ]

    def _size(self) -> int:
        return self.in_shape[1] * self.in_shape[2]

    def _map_of(self, index: int) -> range:
        """Return the indices of all numbers of a number's map."""
        start = index // self._size() * self._size()
        return range(start, start + self._size())

    def _statistics(self, given: Values) -> list[tuple[float, float]]:
        """Return the mean and the variance of each map."""
        numbers, size = as_list(given.numbers), self._size()
        found = []
        for start in range(0, len(numbers), size):
            part = numbers[start : start + size]
            mean = math.fsum(part) / size
            found.append((mean, math.fsum((x - mean) ** 2 for x in part) / size))
        return found

    def forward(self, given: Values) -> Values:
        """Return the normalised maps."""
        statistics, size = self._statistics(given), self._size()
        out = []
        for index, number in enumerate(as_list(given.numbers)):
            mean, variance = statistics[index // size]
            out.append((number - mean) / math.sqrt(variance + EPSILON))
        return Values(self.out_shape, out)

    def explain(self, index: int, given: Values, result: Values) -> str:
        """Return ``(3 - 1.5) / sqrt(2.25 + 0.00001) = 1``."""
        part = [item(given, place) for place in self._map_of(index)]
        mean = math.fsum(part) / len(part)
        variance = math.fsum((x - mean) ** 2 for x in part) / len(part)
        number, answer = format_number(item(given, index)), format_number(item(result, index))
        return (
            f"({number} - mean {format_number(mean)}) / sqrt(variance {format_number(variance)} + "
            f"0.00001) = {answer}"
        )

    def backward(self, slopes: Sequence[float], given: Values, result: Values) -> list[float]:
        """Return the derivatives, with those through the mean and the variance.

        Source: S. Ioffe, C. Szegedy (2015), Batch Normalization, arXiv:1502.03167, section 3.
        """
        size, out = self._size(), []
        normal = as_list(result.numbers)
        for number, (_, variance) in enumerate(self._statistics(given)):
            part = slice(number * size, (number + 1) * size)
            mine, values = list(slopes[part]), normal[part]
            mean = math.fsum(mine) / size
            along = math.fsum(a * b for a, b in zip(mine, values, strict=True)) / size
            deviation = math.sqrt(variance + EPSILON)
            out += [
                (slope - mean - value * along) / deviation
                for slope, value in zip(mine, values, strict=True)
            ]
        return out


class Softmax(Step):
    """The softmax of a vector: e^z of each number, divided by their sum."""

    @property
    def gives_probabilities(self) -> bool:
        """True."""
        return True

    @property
    def cost(self) -> int:
        """Numbers of the vector."""
        return self.in_shape[0]

    def sources(self, index: int) -> range:
        """Return all indices."""
        return range(self.in_shape[0])

    def forward(self, given: Values) -> Values:
        """Return probabilities, which sum to 1; the largest number is subtracted from all first."""
        numbers = as_list(given.numbers)
        powers = [math.exp(number - max(numbers)) for number in numbers]
        total = math.fsum(powers)
        return Values(self.out_shape, [power / total for power in powers])

    def explain(self, index: int, given: Values, result: Values) -> str:
        """Return ``e^2 / (e^2 + e^1) = 7.38906 / 10.1073 = 0.731059``."""
        numbers = as_list(given.numbers)
        shift = max(numbers) if max(numbers) > 50 or max(numbers) < -50 else 0
        shifted = [number - shift for number in numbers]
        powers = [math.exp(number) for number in shifted]
        words = [f"e^{format_number(number)}" for number in shifted]
        text = (
            f"{words[index]} / ({' + '.join(words)}) = {format_number(powers[index])} / "
            f"{format_number(math.fsum(powers))} = {format_number(item(result, index))}"
        )
        return text + (f" (after {format_number(shift)} is subtracted from all)" if shift else "")

    def backward(self, slopes: Sequence[float], given: Values, result: Values) -> list[float]:
        """Return the derivatives: p·(slope − Σ p·slope)."""
        probabilities = as_list(result.numbers)
        along = math.fsum(p * s for p, s in zip(probabilities, slopes, strict=True))
        return [p * (s - along) for p, s in zip(probabilities, slopes, strict=True)]


def cross_entropy(logits: Values, target: int) -> tuple[float, list[float]]:
    """Return the cross-entropy of the softmax of logits, and its derivatives.

    Args:
        logits: (K,) the input of the softmax.
        target: The right class, from 0 to K − 1.

    Returns:
        −ln of the class's probability, in nats; and its derivative with respect to each logit,
        which is its probability, less 1 for the right class.
    """
    numbers = as_list(logits.numbers)
    powers = [math.exp(number - max(numbers)) for number in numbers]
    total = math.fsum(powers)
    loss = math.log(total) - (numbers[target] - max(numbers))
    return loss, [power / total - (place == target) for place, power in enumerate(powers)]
