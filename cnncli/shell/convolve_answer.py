"""What ``convolve`` answers, in every format."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from cnncli.convolving.convolution import Convolution
from cnncli.convolving.kernels import Kernel
from cnncli.convolving.notation import format_number
from cnncli.convolving.values import Values, nest
from cnncli.convolving.worked import Worked
from cnncli.reporting import Reporter
from cnncli.shell.grids import print_csv, print_npy, print_values
from cnncli.shell.terminal import print_json, print_line

if TYPE_CHECKING:
    from cnncli.convolving.gradients import Gradients
    from cnncli.convolving.matrix import LayerMatrix

_MOST_WEIGHTS = 225  # of a kernel whose numbers are written in one line


class Answer(NamedTuple):
    """All that may be printed.

    Attributes:
        worked: The layers and their values.
        kernels: The kernels as they are used.
        lines: Worked sums.
        gradients: Derivatives, if they are asked for.
    """

    worked: Worked
    kernels: Sequence[Kernel]
    lines: Sequence[str] = ()
    gradients: Gradients | None = None


def tell_kernels(kernels: Sequence[Kernel], reporter: Reporter) -> None:
    """Write the numbers of the kernels to stderr."""
    for kernel in kernels:
        for part in kernel.parts:
            text = " | ".join(
                "; ".join(" ".join(format_number(x, 4) for x in row) for row in grid)
                for grid in part.grids()
            )
            if len(part.numbers) > _MOST_WEIGHTS:
                text = f"{len(part.numbers):,} numbers, which --format json writes out"
            reporter.note(f"{kernel.title}: {text}")


def print_answer(answer: Answer, form: str) -> None:
    """Print the answer to stdout as ``table``, ``csv``, ``json`` or ``npy``.

    CSV and NumPy hold the result alone; of derivatives, those of the input, then those of each
    kernel, then a line of those of the biases.
    """
    if form == "csv":
        print_csv(list_gradients(answer.gradients) if answer.gradients else [answer.worked.result])
    elif form == "npy":
        print_npy(answer.worked.result)
    elif form == "json":
        print_json(_describe(answer))
    else:
        _print_table(answer)


def list_gradients(gradients: Gradients) -> list[Values]:
    """Return all derivatives in the order of a CSV."""
    biases = gradients.biases
    last = [Values((len(biases),), list(biases))] if biases else []
    return [gradients.given, *gradients.kernels, *last]


def _print_table(answer: Answer) -> None:
    worked, gradients = answer.worked, answer.gradients
    print_values("input", worked.values[0])
    for kernel in answer.kernels:
        for part in kernel.parts:
            print_values(kernel.title, part)
    for step, values in zip(worked.steps, worked.values[1:], strict=True):
        print_values("output" if isinstance(step, Convolution) else step.text, values)
    if worked.loss is not None:
        print_line(f"cross-entropy of class {worked.target}: {format_number(worked.loss)} nats")
    if gradients:
        from cnncli.convolving.gradients import describe_loss

        print_line(f"derivatives of {describe_loss(worked)}")
        named = list(zip(worked.steps, gradients.values[1:], strict=False))
        for step, values in reversed(named):
            is_conv = isinstance(step, Convolution)
            print_values(f"by {'output' if is_conv else step.text}", values)
        print_values("by input", gradients.given)
        for kernel, values in zip(answer.kernels, gradients.kernels, strict=True):
            print_values(f"by {kernel.title}", values)
        if gradients.biases:
            print_values("by bias", Values((len(gradients.biases),), list(gradients.biases)))
    for line in answer.lines:
        print_line(line)


def _describe(answer: Answer) -> dict[str, Any]:
    worked, gradients = answer.worked, answer.gradients
    row: dict[str, Any] = {
        "input_shape": list(worked.values[0].shape),
        "kernels": [
            {"name": kernel.name, "weights": [nest(part) for part in kernel.parts]}
            for kernel in answer.kernels
        ],
        "layers": [
            {
                "layer": step.text,
                "output_shape": list(values.shape),
                "output": nest(values),
            }
            for step, values in zip(worked.steps, worked.values[1:], strict=True)
        ],
    }
    if worked.loss is not None:
        row["cross_entropy"] = worked.loss
    if answer.lines:
        row["explanation"] = list(answer.lines)
    if gradients:
        row["gradients"] = {
            "of": "cross_entropy" if worked.loss is not None else "sum of the outputs",
            "input": nest(gradients.given),
            "layers": [nest(values) for values in gradients.values[1:]],
            "kernels": [nest(values) for values in gradients.kernels],
            "biases": list(gradients.biases),
        }
    return row


def print_matrix(matrix: LayerMatrix, kernels: Sequence[Kernel], form: str) -> None:
    """Print the matrix of a convolution; a dot stands where nothing is connected."""
    from cnncli.convolving.matrix import NO_WEIGHT

    outputs, inputs = matrix.shape
    values = Values((1, outputs, inputs), [number for row in matrix.numbers for number in row])
    if form == "csv":
        print_csv([values])
    elif form == "npy":
        print_npy(Values((outputs, inputs), values.numbers))
    elif form == "json":
        places = [[None if each == NO_WEIGHT else each for each in row] for row in matrix.weights]
        uses = {"reuse": matrix.reuse, "weight_of_entry": places, "matrix": matrix.numbers}
        print_json({**matrix.describe(), **uses})
    else:
        flat = [weight for row in matrix.weights for weight in row]
        print_values("matrix", values, missing=lambda index: flat[index] == NO_WEIGHT)
        start = 0
        for kernel in kernels:
            part = kernel.parts[0]
            print_values(kernel.title, part)
            uses_of = matrix.reuse[start : start + len(part.numbers)]
            print_values("entries that hold each weight", Values(part.shape, uses_of))
            start += len(part.numbers)
        for line in explain_matrix(matrix):
            print_line(line)


def explain_matrix(matrix: LayerMatrix) -> list[str]:
    """Return what the matrix counts, in sentences."""
    facts = matrix.describe()
    return [
        f"{facts['outputs']:,} outputs × {facts['inputs']:,} inputs = {facts['entries']:,} entries",
        f"connections {facts['connections']:,}, zeros {facts['zeros']:,} "
        f"({facts['zeros'] / facts['entries']:.1%})",
        f"parameters of the convolution: {facts['weights']:,} weights + {facts['biases']:,} bias = "
        f"{facts['parameters']:,}",
        f"parameters of a dense layer of this shape: {facts['dense_weights']:,} weights + "
        f"{facts['dense_biases']:,} bias = {facts['dense_parameters']:,}",
    ]
