"""From kernels and an input to the outputs of all layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from cnncli.arithmetic.convolution import Size
from cnncli.arithmetic.layers import LayerSpec
from cnncli.convolving.chain import build_steps
from cnncli.convolving.convolution import Convolution, build_convolution
from cnncli.convolving.geometry import PaddingMode
from cnncli.convolving.kernels import Kernel
from cnncli.convolving.step import Step
from cnncli.convolving.values import Values
from cnncli.convolving.worked import Worked, work
from cnncli.errors import CnncliError

if TYPE_CHECKING:
    from cnncli.convolving.matrix import LayerMatrix

MOST_VALUES = 100_000_000  # of one layer's input, with its padding, or output: 0.8 GB


@dataclass(frozen=True)
class ConvolveSettings:
    """What to compute.

    Attributes:
        stride: (down, right) in pixels.
        padding: (rows, columns) on each side, or "same".
        dilation: (down, right) in pixels.
        padding_mode: What is beside the input.
        biases: One number for all kernels, or one for each.
        then: The layers behind the convolution.
        target: The right class for the cross-entropy; None for none.
    """

    stride: Size = (1, 1)
    padding: Any = (0, 0)
    dilation: Size = (1, 1)
    padding_mode: PaddingMode = "zeros"
    biases: tuple[float, ...] = (0,)
    then: tuple[LayerSpec, ...] = ()
    target: int | None = None


def run_layers(given: Values, kernels: tuple[Kernel, ...], settings: ConvolveSettings) -> Worked:
    """Return the outputs of the convolution and of all layers behind it.

    Args:
        given: The input, (C, H, W).
        kernels: The kernels of the convolution; none for no convolution.
        settings: Window, biases and layers.

    Raises:
        CnncliError: If a kernel or a layer does not fit, or the result would be too large.
    """
    steps: list[Step] = []
    if kernels:
        steps.append(_build_convolution(given, kernels, settings))
    steps += build_steps(settings.then, steps[-1].out_shape if steps else given.shape)
    for step in steps:
        _check_count(step.out_shape)
    return work(given, steps, settings.target)


def build_layer_matrix(
    given: Values, kernels: tuple[Kernel, ...], settings: ConvolveSettings
) -> LayerMatrix:
    """Return the convolution as a matrix; see `cnncli.convolving.matrix`."""
    from cnncli.convolving.matrix import build_matrix

    return build_matrix(_build_convolution(given, kernels, settings))


def _build_convolution(
    given: Values, kernels: tuple[Kernel, ...], settings: ConvolveSettings
) -> Convolution:
    convolution = build_convolution(
        kernels,
        settings.biases,
        given.shape,
        mode=settings.padding_mode,
        stride=settings.stride,
        padding=settings.padding,
        dilation=settings.dilation,
    )
    padded = [
        size + sum(axis.pads(size))
        for axis, size in zip(convolution.window.axes, given.shape[1:], strict=True)
    ]
    _check_count((given.shape[0], *padded))
    return convolution


def _check_count(shape: Sequence[int]) -> None:
    if prod(shape) > MOST_VALUES:
        raise CnncliError(
            f"{'x'.join(map(str, shape))} values of a layer are more than {MOST_VALUES:,}; take a "
            "smaller input, less padding or fewer kernels"
        )
