"""A convolution as CNNs compute it (cross-correlation), with the kernels that the user gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

from cnncli.arithmetic.convolution import Size, SlidingWindow
from cnncli.choices import format_channels, format_size
from cnncli.convolving.geometry import (
    PADDED,
    PaddingMode,
    check_reflect,
    find_sources,
)
from cnncli.convolving.kernels import Kernel
from cnncli.convolving.notation import format_number
from cnncli.convolving.step import Step, item
from cnncli.convolving.values import Values, as_list
from cnncli.errors import CnncliError

Sources = list[list[int]]


class Map(NamedTuple):
    """One map of the output.

    Attributes:
        kernel: Number of its kernel, from 0.
        first: The first input channel that the kernel reads; it reads as many as it has.
    """

    kernel: int
    first: int


@dataclass(frozen=True)
class Convolution(Step):
    """A layer with one or several kernels.

    A kernel of as many channels as the input gives one map. A kernel of one channel is applied to
    each channel of the input by itself and gives a map for each.

    Attributes:
        kernels: The kernels.
        biases: A number for each kernel that is added to its maps.
        window: Stride, padding and dilation; its kernel size is that of the first kernel.
        mode: What is beside the input.
    """

    kernels: tuple[Kernel, ...] = ()
    biases: tuple[float, ...] = ()
    window: SlidingWindow = field(default_factory=lambda: SlidingWindow(kernel=(1, 1)))
    mode: PaddingMode = "zeros"

    @cached_property
    def maps(self) -> tuple[Map, ...]:
        """The maps of the output in their order."""
        channels = self.in_shape[0]
        return tuple(
            Map(number, first)
            for number, kernel in enumerate(self.kernels)
            for first in range(0, channels - kernel.channels + 1)
        )

    @property
    def cost(self) -> int:
        """Weights of the largest kernel."""
        return max(len(k.parts) * len(k.parts[0].numbers) for k in self.kernels)

    def remarks(self) -> list[str]:
        """Return how each kernel reads the channels, where there are several."""
        channels = self.in_shape[0]
        if channels == 1:
            return []
        return [
            f"{kernel.title}: {channels} channels as the input has, summed up to one map"
            if kernel.channels == channels
            else f"{kernel.title}: 1 channel, applied to each of the input's {channels} by itself: "
            f"{channels} maps"
            for kernel in self.kernels
        ]

    def window_of(self, kernel: Kernel) -> SlidingWindow:
        """Return the window with the size of one kernel."""
        return replace(self.window, kernel=kernel.size)

    @cached_property
    def _by_size(self) -> dict[Size, tuple[Sources, Sources]]:
        return {}

    def axes_of(self, kernel: Kernel) -> tuple[Sources, Sources]:
        """Return which input rows, and which input columns, each output reads with each tap."""
        if kernel.size not in self._by_size:
            rows, columns = self.window_of(kernel).axes
            self._by_size[kernel.size] = (
                find_sources(rows, self.in_shape[1], self.mode),
                find_sources(columns, self.in_shape[2], self.mode),
            )
        return self._by_size[kernel.size]

    def taps(self, index: int) -> tuple[Map, list[tuple[int, int]]]:
        """Return what one output reads.

        Returns:
            Its map; and for each weight of one part of the kernel its index and the index of the
            input number that it multiplies, or `PADDED`.
        """
        _, height, width = self.in_shape
        _, out_height, out_width = self.out_shape
        place, pixel = divmod(index, out_height * out_width)
        row, column = divmod(pixel, out_width)
        found = self.maps[place]
        kernel = self.kernels[found.kernel]
        rows, columns = self.axes_of(kernel)
        pairs = [
            PADDED if r < 0 or c < 0 else (channel * height + r) * width + c
            for channel in range(found.first, found.first + kernel.channels)
            for r in rows[row]
            for c in columns[column]
        ]
        return found, list(enumerate(pairs))

    def forward(self, given: Values) -> Values:
        """Return the maps for an input."""
        numbers, out = as_list(given.numbers), []
        for found in self.maps:
            kernel, bias = self.kernels[found.kernel], self.biases[found.kernel]
            sums = [self._correlate(numbers, part, kernel, found.first) for part in kernel.parts]
            if len(sums) > 1:
                out += [sum(map(abs, both)) + bias for both in zip(*sums, strict=True)]
            else:
                out += [total + bias for total in sums[0]]
        return Values(self.out_shape, out)

    def _correlate(
        self, numbers: list[float], part: Values, kernel: Kernel, first: int
    ) -> list[float]:
        _, height, width = self.in_shape
        rows, columns = self.axes_of(kernel)
        weights, out = as_list(part.numbers), []
        for row in rows:
            for column in columns:
                total: float = 0
                place = 0
                for channel in range(first, first + kernel.channels):
                    for r in row:
                        start = (channel * height + r) * width
                        for c in column:
                            if r >= 0 and c >= 0:
                                total += weights[place] * numbers[start + c]
                            place += 1
                out.append(total)
        return out

    def sources(self, index: int) -> list[int]:
        """Return the indices of the input numbers under the kernel."""
        return [source for _, source in self.taps(index)[1] if source != PADDED]

    def explain(self, index: int, given: Values, result: Values) -> str:
        """Return the sum term by term, weight·input; a number of padding stands in brackets.

        Several channels, and two parts, have a sum each, which are then added.
        """
        found, taps = self.taps(index)
        kernel, bias = self.kernels[found.kernel], self.biases[found.kernel]
        is_sum = len(kernel.parts) > 1
        texts, totals = [], []
        for part in kernel.parts:
            count = len(taps) // part.shape[0]
            for start in range(0, len(taps), count):
                text, total = _explain_sum(part, taps[start : start + count], given)
                texts.append(text)
                totals.append(total)
        if is_sum and kernel.channels == 1:
            texts = [f"|{text}|" for text in texts]
            totals = [abs(total) for total in totals]
        elif len(texts) > 1:
            texts = [f"({text})" for text in texts]
        last = [f"bias {format_number(bias)}"] if bias else []
        lines = [" + ".join([*texts, *last])]
        if len(texts) > 1:
            lines.append(" + ".join([*map(format_number, totals), *last]))
        return " = ".join([*lines, format_number(item(result, index))])

    def backward(self, slopes: Sequence[float], given: Values, result: Values) -> list[float]:
        """Return the derivative with respect to each input number."""
        out: list[float] = [0] * len(given.numbers)
        for index, slope in enumerate(slopes):
            if slope:
                found, taps = self.taps(index)
                weights = as_list(self.kernels[found.kernel].parts[0].numbers)
                for weight, source in taps:
                    if source != PADDED:
                        out[source] += slope * weights[weight]
        return out

    def backward_weights(
        self, slopes: Sequence[float], given: Values
    ) -> tuple[list[Values], list[float]]:
        """Return the derivative with respect to each weight of each kernel, and to each bias.

        Args:
            slopes: Derivative of the loss with respect to each number of the output.
            given: The input.
        """
        numbers = as_list(given.numbers)
        sums: list[list[float]] = [[0] * len(k.parts[0].numbers) for k in self.kernels]
        biases: list[float] = [0] * len(self.kernels)
        for index, slope in enumerate(slopes):
            found, taps = self.taps(index)
            biases[found.kernel] += slope
            for weight, source in taps:
                if source != PADDED:
                    sums[found.kernel][weight] += slope * numbers[source]
        shapes = [kernel.parts[0].shape for kernel in self.kernels]
        return [Values(s, n) for s, n in zip(shapes, sums, strict=True)], biases


def _explain_sum(part: Values, taps: Sequence[tuple[int, int]], given: Values) -> tuple[str, float]:
    """Return a sum of weight·input as text, and what it is."""
    words, total = [], 0.0
    for weight, source in taps:
        factor = as_list(part.numbers)[weight]
        number = 0 if source == PADDED else item(given, source)
        shown = "(0)" if source == PADDED else format_number(number)
        words.append(f"{format_number(factor)}·{shown}")
        total += factor * number
    return " + ".join(words), total


def build_convolution(
    kernels: Sequence[Kernel],
    biases: Sequence[float],
    shape: tuple[int, ...],
    *,
    mode: PaddingMode = "zeros",
    **window: Any,
) -> Convolution:
    """Return the layer for an input of a shape.

    Args:
        kernels: At least one kernel.
        biases: One number for all kernels, or one for each.
        shape: (C, H, W) of the input.
        mode: What is beside the input.
        window: ``stride``, ``padding`` and ``dilation`` as `SlidingWindow` takes them.

    Raises:
        CnncliError: If a kernel does not fit the input, the maps differ in size, or the biases are
            more or fewer than the kernels.
    """
    if len(biases) not in (1, len(kernels)):
        raise CnncliError(
            f"--bias: {len(biases)} numbers for {len(kernels)} kernels; write one for all, or one "
            "for each"
        )
    biases = tuple(biases) if len(biases) == len(kernels) else (biases[0],) * len(kernels)
    sizes = []
    for kernel in kernels:
        if kernel.channels not in (1, shape[0]):
            raise CnncliError(
                f"--kernel {kernel.shown} has {format_channels(kernel.channels)} and the input "
                f"has {shape[0]}; a kernel has as many as the input, or 1, which is applied to "
                "each channel"
            )
        sliding = SlidingWindow(kernel=kernel.size, **window)
        try:
            sizes.append(sliding.output((shape[1], shape[2])))
        except CnncliError as error:
            raise CnncliError(f"--kernel {kernel.shown}: {error}") from None
        if mode == "reflect":
            check_reflect(sliding, (shape[1], shape[2]))
    if len(set(sizes)) > 1:
        found = ", ".join(map(format_size, sizes))
        raise CnncliError(
            f"--kernel: the maps would be of the sizes {found} and could not be stacked; use "
            "kernels of one size, or --padding same"
        )
    count = sum(shape[0] - kernel.channels + 1 for kernel in kernels)
    return Convolution(
        "convolution",
        shape,
        (count, *sizes[0]),
        tuple(kernels),
        biases,
        SlidingWindow(kernel=kernels[0].size, **window),
        mode,
    )
