"""A convolution and the layers behind it: all values in between, worked sums, and gradients."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

from cnncli.convolving.convolution import Convolution
from cnncli.convolving.notation import format_number
from cnncli.convolving.step import Step, item
from cnncli.convolving.values import Values
from cnncli.errors import CnncliError

MOST_LINES = 1000  # of a worked sum
MOST_TERMS = 20_000  # numbers in all lines of one
# Products that Python computes by itself in some hundredths of a second. NumPy, which is faster
# with many, takes longer than that to be imported.
SMALL = 20_000


@dataclass(frozen=True)
class Worked:
    """What became of an input.

    Attributes:
        steps: The layers.
        values: The input and the output of each layer, one more than layers.
        loss: Cross-entropy in nats; None where no class is the target.
        target: The right class, from 0; None for none.
    """

    steps: tuple[Step, ...]
    values: tuple[Values, ...]
    loss: float | None = None
    target: int | None = None

    @property
    def result(self) -> Values:
        """The output of the last layer."""
        return self.values[-1]


def count_products(steps: Sequence[Step]) -> int:
    """Return about how many products and sums the layers take."""
    return sum(prod(step.out_shape) * step.cost for step in steps)


def work(given: Values, steps: Sequence[Step], target: int | None = None) -> Worked:
    """Return the output of each layer.

    Args:
        given: The input, (C, H, W).
        steps: The layers.
        target: The right class for the cross-entropy, from 0; the last layer is a softmax then.

    Raises:
        CnncliError: If there is a target and no softmax, or no such class.
    """
    if target is not None:
        _check_target(steps, target)
    values = [given]
    if count_products(steps) <= SMALL:
        for step in steps:
            values.append(step.forward(values[-1]))
    else:
        from cnncli.convolving.large import forward_large

        for step in steps:
            values.append(forward_large(step, values[-1]))
    if target is None:
        return Worked(tuple(steps), tuple(values))
    from cnncli.convolving.normalize import cross_entropy

    return Worked(tuple(steps), tuple(values), cross_entropy(values[-2], target)[0], target)


def _check_target(steps: Sequence[Step], target: int) -> None:
    if not steps or not steps[-1].gives_probabilities:
        raise CnncliError(
            "--target: the cross-entropy needs a softmax as the last layer, such as "
            "--then 'flatten; softmax'"
        )
    classes = steps[-1].in_shape[0]
    if not 0 <= target < classes:
        raise CnncliError(
            f"--target {target}: the softmax has {classes} classes, from 0 to {classes - 1}"
        )


def explain(worked: Worked, chosen: Sequence[int] | None) -> Iterator[str]:
    """Yield how the numbers come about, layer by layer, a line each.

    Args:
        worked: The layers and their values.
        chosen: Numbers of the last output, whose way is told back to the input; None for all
            numbers of all layers.

    Raises:
        CnncliError: If these are too many lines.
    """
    needed: list[Sequence[int]] = []
    wanted = range(len(worked.result.numbers)) if chosen is None else chosen
    lines = terms = 0
    for step in reversed(worked.steps):
        needed.insert(0, wanted)
        if not step.is_identity:
            lines += len(wanted)
            terms += len(wanted) * step.cost
        if lines > MOST_LINES or terms > MOST_TERMS:
            raise CnncliError(
                "--explain: the sums are too long to be written out; "
                + (
                    "choose one number of the output with --at"
                    if chosen is None
                    else "take a smaller input or fewer layers"
                )
            )
        if chosen is None:
            wanted = range(prod(step.in_shape))
        else:
            wanted = sorted({source for each in wanted for source in step.sources(each)})
    for number, (step, each) in enumerate(zip(worked.steps, needed, strict=True)):
        if not step.is_identity:
            given, result = worked.values[number], worked.values[number + 1]
            name = "output" if isinstance(step, Convolution) else step.text
            for place in each:
                yield f"{name}{result.place(place)} = {step.explain(place, given, result)}"
    if worked.loss is not None and worked.target is not None:
        right = format_number(item(worked.result, worked.target))
        loss = format_number(worked.loss)
        yield f"cross-entropy of class {worked.target} = −ln({right}) = {loss} nats"


def find_indices(text: str, result: Values) -> list[int]:
    """Return the indices of the numbers of the output at a place, which is counted from 0.

    Args:
        text: ``ROW,COL``, which is a number in each map; ``MAP,ROW,COL``; one number for a vector.
        result: The output.

    Raises:
        CnncliError: If the text is no such place, or outside of the output.
    """
    sides = result.shape[1:] if len(result.shape) == 3 else result.shape
    words = [word.strip() for word in text.split(",")]
    if len(words) == len(result.shape):
        sides = result.shape
    form = (
        "INDEX" if len(result.shape) == 1 else "ROW,COL" + " or MAP,ROW,COL" * (result.shape[0] > 1)
    )
    if len(words) != len(sides) or not all(re.fullmatch(r"[0-9]{1,9}", word) for word in words):
        raise CnncliError(
            f"--at {text.strip()!r}: write {form}, counted from 0, for an output of "
            f"{result.describe()}"
        )
    index = 0
    for word, side in zip(words, sides, strict=True):
        if int(word) >= side:
            last = ",".join(str(side - 1) for side in sides)
            raise CnncliError(
                f"--at {text.strip()}: lies outside of the output of {result.describe()}; counted "
                f"from 0, its last place is {last}"
            )
        index = index * side + int(word)
    whole = len(result.numbers)
    return list(range(index, whole, prod(sides)))
