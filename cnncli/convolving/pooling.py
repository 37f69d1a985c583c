"""Max, average and global average pooling on numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from cnncli.arithmetic.convolution import SlidingWindow
from cnncli.convolving.geometry import BEYOND, find_sources
from cnncli.convolving.notation import format_number
from cnncli.convolving.step import Step, item
from cnncli.convolving.values import Values, as_list


@dataclass(frozen=True)
class Pooling(Step):
    """Max or average pooling of each map.

    Padding never wins a maximum. It counts as 0 in an average, as in torch, but with padding
    "same" it is left out, as in TensorFlow.

    Attributes:
        window: Kernel, stride, padding and dilation.
        mode: ``max`` or ``avg``.
    """

    window: SlidingWindow = field(default_factory=lambda: SlidingWindow(kernel=(1, 1)))
    mode: Literal["max", "avg"] = "max"

    @property
    def cost(self) -> int:
        """Numbers in a window."""
        return self.window.kernel[0] * self.window.kernel[1]

    @cached_property
    def _axes(self) -> tuple[list[list[int]], list[list[int]]]:
        rows, columns = self.window.axes
        return find_sources(rows, self.in_shape[1]), find_sources(columns, self.in_shape[2])

    def _reads(self, index: int) -> tuple[list[int], int]:
        """Return the input indices in the window, and by what an average is divided."""
        _, height, width = self.in_shape
        channel, pixel = divmod(index, self.out_shape[1] * self.out_shape[2])
        row, column = divmod(pixel, self.out_shape[2])
        rows, columns = self._axes[0][row], self._axes[1][column]
        inside = [
            (channel * height + r) * width + c for r in rows for c in columns if r >= 0 and c >= 0
        ]
        if self.window.padding == "same":
            return inside, len(inside)
        counted = [sum(place != BEYOND for place in places) for places in (rows, columns)]
        return inside, counted[0] * counted[1]

    def forward(self, given: Values) -> Values:
        """Return the pooled maps."""
        numbers = as_list(given.numbers)
        count = self.out_shape[0] * self.out_shape[1] * self.out_shape[2]
        out: list[float] = []
        for index in range(count):
            inside, divisor = self._reads(index)
            chosen = [numbers[source] for source in inside]
            out.append(max(chosen) if self.mode == "max" else sum(chosen) / divisor)
        return Values(self.out_shape, out)

    def sources(self, index: int) -> list[int]:
        """Return the indices of the input numbers in the window."""
        return self._reads(index)[0]

    def explain(self, index: int, given: Values, result: Values) -> str:
        """Return ``max(4, 3, 1, 3) = 4`` or ``(4 + 3 + 1 + 3) / 4 = 2.75``."""
        inside, divisor = self._reads(index)
        words = [format_number(item(given, source)) for source in inside]
        answer = format_number(item(result, index))
        if self.mode == "max":
            return f"max({', '.join(words)}) = {answer}"
        return f"({' + '.join(words)}) / {divisor} = {answer}"

    def backward(self, slopes: Sequence[float], given: Values, result: Values) -> list[float]:
        """Return the derivatives; of equal maxima the first gets it all, as in torch."""
        numbers = as_list(given.numbers)
        out: list[float] = [0] * len(numbers)
        for index, slope in enumerate(slopes):
            inside, divisor = self._reads(index)
            if self.mode == "max":
                out[max(inside, key=numbers.__getitem__)] += slope
            else:
                for source in inside:
                    out[source] += slope / divisor
        return out


class GlobalPooling(Step):
    """Global average pooling: each map becomes its average."""

    @property
    def cost(self) -> int:
        """Numbers of a map."""
        return self.in_shape[1] * self.in_shape[2]

    def sources(self, index: int) -> range:
        """Return the indices of one map."""
        size = self.in_shape[1] * self.in_shape[2]
        return range(index * size, (index + 1) * size)

    def forward(self, given: Values) -> Values:
        """Return the average of each map."""
        numbers = as_list(given.numbers)
        size = self.in_shape[1] * self.in_shape[2]
        cut = [numbers[start : start + size] for start in range(0, len(numbers), size)]
        return Values(self.out_shape, [sum(part) / size for part in cut])

    def explain(self, index: int, given: Values, result: Values) -> str:
        """Return ``(4 + 3 + 1 + 3) / 4 = 2.75``."""
        words = [format_number(item(given, source)) for source in self.sources(index)]
        return f"({' + '.join(words)}) / {len(words)} = {format_number(item(result, index))}"

    def backward(self, slopes: Sequence[float], given: Values, result: Values) -> list[float]:
        """Return the derivatives: each number of a map gets its part of one."""
        size = self.in_shape[1] * self.in_shape[2]
        return [slope / size for slope in slopes for _ in range(size)]
