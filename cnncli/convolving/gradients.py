"""Derivatives by numbers: back through the layers to the input, the weights and the biases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cnncli.convolving.convolution import Convolution
from cnncli.convolving.geometry import PADDED
from cnncli.convolving.normalize import cross_entropy
from cnncli.convolving.notation import format_number
from cnncli.convolving.step import item
from cnncli.convolving.values import Values, as_list
from cnncli.convolving.worked import MOST_TERMS, Worked, count_products
from cnncli.errors import CnncliError

MOST_PRODUCTS = 3_000_000  # a few seconds


@dataclass(frozen=True)
class Gradients:
    """Derivatives of the sum of the outputs, or of the cross-entropy.

    Attributes:
        values: With respect to the input and to the output of each layer, in their shapes and
            their order. Those of a last softmax are left out where the cross-entropy is derived.
        kernels: With respect to each weight of each kernel; empty without a convolution.
        biases: With respect to the bias of each kernel.
    """

    values: tuple[Values, ...]
    kernels: tuple[Values, ...] = ()
    biases: tuple[float, ...] = ()

    @property
    def given(self) -> Values:
        """With respect to the input."""
        return self.values[0]


def find_gradients(worked: Worked) -> Gradients:
    """Return the derivatives of the sum of the outputs, or of the cross-entropy.

    Raises:
        CnncliError: If the input is too large for it, or a map is a sum of absolute values.
    """
    if count_products(worked.steps) > MOST_PRODUCTS:
        raise CnncliError(
            f"--backward: takes more than {MOST_PRODUCTS:,} products; take a smaller input"
        )
    steps, values = list(worked.steps), list(worked.values)
    slopes: list[float] = [1] * len(worked.result.numbers)
    if worked.target is not None:
        slopes = cross_entropy(values[-2], worked.target)[1]
        steps, values = steps[:-1], values[:-1]
    found = [Values(values[-1].shape, slopes)]
    kernels: tuple[Values, ...] = ()
    biases: tuple[float, ...] = ()
    for number in range(len(steps) - 1, -1, -1):
        step, given, result = steps[number], values[number], values[number + 1]
        if isinstance(step, Convolution):
            _check_linear(step)
            weights, offsets = step.backward_weights(slopes, given)
            kernels, biases = tuple(weights), tuple(offsets)
        slopes = step.backward(slopes, given, result)
        found.insert(0, Values(given.shape, slopes))
    return Gradients(tuple(found), kernels, biases)


def _check_linear(layer: Convolution) -> None:
    for kernel in layer.kernels:
        if len(kernel.parts) > 1:
            raise CnncliError(
                f"--backward: {kernel.name} is two kernels and a sum of absolute values; take "
                f"{kernel.name}-x or {kernel.name}-y"
            )


def describe_loss(worked: Worked) -> str:
    """Return what the derivatives are of."""
    if worked.loss is not None:
        return f"the cross-entropy of class {worked.target}, {format_number(worked.loss)} nats"
    total = sum(as_list(worked.result.numbers))
    return f"the sum of the outputs, {format_number(total)}"


def remark_gradients(worked: Worked) -> list[str]:
    """Return in sentences what a reader of the derivatives has to know."""
    if worked.target is None and worked.steps and worked.steps[-1].gives_probabilities:
        return [
            "the outputs of a softmax always sum to 1, so that the derivatives of their sum are 0; "
            "--target CLASS takes the cross-entropy"
        ]
    return []


def explain_gradients(worked: Worked, gradients: Gradients) -> Iterator[str]:
    """Yield how the derivatives come about, a line each: of the logits, weights, biases and input.

    Those of a weight are the sum over all outputs of the derivative by the output times the input
    that the weight multiplied there.

    Raises:
        CnncliError: If the sums are too long.
    """
    if worked.target is not None:
        name = worked.steps[-2].text if len(worked.steps) > 1 else "input"
        for index, slope in enumerate(gradients.values[-1].numbers):
            probability = format_number(item(worked.result, index))
            right = int(index == worked.target)
            yield f"by {name}[{index}] = {probability} - {right} = {format_number(slope)}"
    if not worked.steps or not isinstance(worked.steps[0], Convolution):
        return
    layer, given, slopes = worked.steps[0], worked.values[0], gradients.values[1]
    if count_products([layer]) > MOST_TERMS:
        raise CnncliError(
            "--explain: the sums are too long to be written out: take a smaller input"
        )
    weights: list[dict[int, list[str]]] = [{} for _ in layer.kernels]
    inputs: dict[int, list[str]] = {}
    biases: list[list[str]] = [[] for _ in layer.kernels]
    for index, slope in enumerate(as_list(slopes.numbers)):
        found, taps = layer.taps(index)
        factors = as_list(layer.kernels[found.kernel].parts[0].numbers)
        shown = format_number(slope)
        biases[found.kernel].append(shown)
        for weight, source in taps:
            number = "(0)" if source == PADDED else format_number(item(given, source))
            weights[found.kernel].setdefault(weight, []).append(f"{shown}·{number}")
            if source != PADDED:
                term = f"{shown}·{format_number(factors[weight])}"
                inputs.setdefault(source, []).append(term)
    for kernel, sums, values in zip(layer.kernels, weights, gradients.kernels, strict=True):
        for weight, terms in sorted(sums.items()):
            yield _write(f"by {kernel.title}{values.place(weight)}", terms, values.numbers[weight])
    for kernel, terms, total in zip(layer.kernels, biases, gradients.biases, strict=True):
        yield _write(f"by the bias of {kernel.title}", terms, total)
    for source, terms in sorted(inputs.items()):
        place = gradients.given.place(source)
        yield _write(f"by input{place}", terms, gradients.given.numbers[source])


def _write(name: str, terms: list[str], total: float) -> str:
    return f"{name} = {' + '.join(terms)} = {format_number(total)}"
