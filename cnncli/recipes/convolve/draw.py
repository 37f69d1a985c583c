"""From the outputs of the layers to the rows of the picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cnncli.convolving.convolution import Convolution
from cnncli.convolving.kernels import Kernel
from cnncli.convolving.matrix import LayerMatrix
from cnncli.convolving.pointwise import Identity
from cnncli.convolving.step import Step
from cnncli.convolving.values import Values
from cnncli.convolving.worked import Worked

if TYPE_CHECKING:
    from cnncli.plots.convolution import LayerRow, Panel

_MOST_MAPS = 4  # of one layer
_MOST_ROWS = 16


def draw_layers(path: Path, worked: Worked, white: float | None) -> None:
    """Draw what each layer does into a PNG or JPEG.

    Args:
        path: File to write, in a folder that exists.
        worked: The layers and their values.
        white: The number of the input that is white, if it is an image; None if it is not.

    Raises:
        OSError: If the file cannot be written.
    """
    from cnncli.plots.convolution import save_convolution

    rows: list[LayerRow] = []
    left_out = 0
    for number, step in enumerate(worked.steps):
        given, result = worked.values[number], worked.values[number + 1]
        if isinstance(step, Identity) and step.in_shape == step.out_shape:
            continue  # dropout
        mine = _build_rows(step, given, result, white if number == 0 else None)
        left_out += max(len(mine) - _MOST_MAPS, 0)
        rows += mine[:_MOST_MAPS]
    left_out += max(len(rows) - _MOST_ROWS, 0)
    save_convolution(
        path, rows[:_MOST_ROWS], f"{left_out} more maps are not drawn" if left_out else ""
    )


def draw_matrix(
    path: Path, matrix: LayerMatrix, kernels: Sequence[Kernel], lines: Sequence[str]
) -> None:
    """Draw a convolution as a matrix into a PNG or JPEG.

    Args:
        path: File to write, in a folder that exists.
        matrix: The matrix.
        kernels: The kernels.
        lines: Sentences under the picture.

    Raises:
        OSError: If the file cannot be written.
    """
    import numpy as np

    from cnncli.plots.layer_matrix import save_layer_matrix

    named = [
        (
            _title_kernel(kernel),
            np.asarray(kernel.parts[0].numbers, float).reshape(kernel.parts[0].shape),
        )
        for kernel in kernels
    ]
    weights, numbers = np.asarray(matrix.weights), np.asarray(matrix.numbers, float)
    save_layer_matrix(path, weights, numbers, named, lines)


def _build_rows(step: Step, given: Values, result: Values, white: float | None) -> list[LayerRow]:
    from cnncli.plots.convolution import LayerRow

    before = "input" if white is not None or isinstance(step, Convolution) else "before"
    if isinstance(step, Convolution):
        return [
            LayerRow(
                _panels(given, white, found.first, step.kernels[found.kernel].channels),
                _kernel_panels(step.kernels[found.kernel]),
                _panels(result, None, number, 1)[0],
                (
                    _title(before, given, found.first, step.kernels[found.kernel].channels),
                    _title_kernel(step.kernels[found.kernel]),
                    _title("output", result, number, 1),
                ),
            )
            for number, found in enumerate(step.maps)
        ]
    if len(result.shape) == 1:
        count = 1 if len(given.shape) == 1 else given.shape[0]
        titles = _title(before, given, 0, count), step.text, _title("after", result, 0, 1)
        return [
            LayerRow(_panels(given, white, 0, count), (), _panels(result, None, 0, 1)[0], titles)
        ]
    return [
        LayerRow(
            _panels(given, white, number, 1),
            (),
            _panels(result, None, number, 1)[0],
            (_title(before, given, number, 1), step.text, _title("after", result, number, 1)),
        )
        for number in range(result.shape[0])
    ]


def _title(word: str, values: Values, first: int, count: int) -> str:
    if len(values.shape) == 1 or values.shape[0] == count:
        return f"{word} {values.describe()}"
    size = "x".join(map(str, values.shape[1:]))
    return f"{word} [{first}] {size}" if count == 1 else f"{word} {count}x{size}"


def _title_kernel(kernel: Kernel) -> str:
    size = kernel.parts[0].describe()
    return f"kernel {size}" if kernel.title == "kernel" else kernel.title


def _panels(values: Values, white: float | None, first: int, count: int) -> list[Panel]:
    """Return some channels of maps, or a vector, as panels; three channels of an image as one."""
    import numpy as np

    from cnncli.plots.convolution import Panel

    maps = np.asarray(values.numbers, np.float64)
    maps = maps.reshape(values.shape if len(values.shape) == 3 else (1, 1, -1))
    chosen = maps[first : first + min(count, _MOST_MAPS)]
    if white is not None and count == 3 and max(maps.shape[1:]) > 12:
        return [Panel(np.moveaxis(chosen, 0, 2), white)]
    return [Panel(part, white) for part in chosen]


def _kernel_panels(kernel: Kernel) -> Sequence[Panel]:
    from cnncli.plots.convolution import Panel

    panels = [each for part in kernel.parts for each in _panels(part, None, 0, kernel.channels)]
    return [Panel(each.numbers, is_kernel=True) for each in panels]
