"""The same layers on whole images, with NumPy and SciPy in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np

from cnncli.arithmetic.convolution import Axis
from cnncli.arrays import Array
from cnncli.convolving.convolution import Convolution
from cnncli.convolving.normalize import EPSILON, BatchNorm, Softmax
from cnncli.convolving.pointwise import Activated
from cnncli.convolving.pooling import GlobalPooling, Pooling
from cnncli.convolving.step import Step
from cnncli.convolving.values import Values


def forward_large(step: Step, given: Values) -> Values:
    """Return the output of a layer, whose numbers are a flat array of float64.

    Args:
        step: The layer.
        given: Its input; the numbers may be a list.
    """
    maps = np.asarray(given.numbers, np.float64).reshape(given.shape)
    compute = _COMPUTE.get(type(step))
    out = maps if compute is None else np.asarray(compute(step, maps), np.float64)
    return Values(step.out_shape, cast(Any, out.reshape(-1)))


def _convolve(step: Convolution, maps: Array) -> Array:
    out = []
    for found in step.maps:
        kernel = step.kernels[found.kernel]
        axes = step.window_of(kernel).axes
        pads = [axis.pads(size) for axis, size in zip(axes, maps.shape[1:], strict=True)]
        read = maps[found.first : found.first + kernel.channels]
        mode: Any = "reflect" if step.mode == "reflect" else "constant"
        padded = np.pad(read, [(0, 0), *pads], mode)
        sums = [_correlate(padded, np.reshape(p.numbers, p.shape), axes) for p in kernel.parts]
        total = sums[0] if len(sums) == 1 else np.abs(sums).sum(axis=0)
        height, width = step.out_shape[1:]
        out.append(total[:height, :width] + step.biases[found.kernel])
    return np.stack(out)


def _correlate(padded: Array, weights: Array, axes: tuple[Axis, Axis]) -> Array:
    """Return the sum over channels of correlations at every window that fits, with the stride.

    Args:
        padded: (C, H, W).
        weights: (C, h, w).
        axes: The window along the height and the width.
    """
    from scipy.ndimage import correlate  # type: ignore[import-untyped]

    rows, columns = axes
    spread = np.zeros((len(weights), rows.extent, columns.extent))
    spread[:, :: rows.dilation, :: columns.dilation] = weights
    height, width = padded.shape[1] - rows.extent + 1, padded.shape[2] - columns.extent + 1
    total = np.zeros((height, width))
    # SciPy's answer stands at the window's centre; the first window that fits begins at 0.
    top, left = rows.extent // 2, columns.extent // 2
    for plane, grid in zip(padded, spread, strict=True):
        total += correlate(plane, grid, mode="constant")[top : top + height, left : left + width]
    return total[:: rows.stride, :: columns.stride]


def _pool(step: Pooling, maps: Array) -> Array:
    """Pool by looking at all windows' first numbers, then their second ones, and so on."""
    axes, (height, width) = step.window.axes, step.out_shape[1:]
    pads = [axis.pads(size) for axis, size in zip(axes, maps.shape[1:], strict=True)]
    is_max = step.mode == "max"
    # A last partial window reaches behind the padding. What lies there never counts.
    reach = [
        max((count - 1) * axis.stride + axis.extent - size - sum(pad), 0)
        for count, axis, size, pad in zip((height, width), axes, maps.shape[1:], pads, strict=True)
    ]
    beyond = [(0, 0), (0, reach[0]), (0, reach[1])]
    padded = np.pad(maps, [(0, 0), *pads], constant_values=-np.inf if is_max else 0.0)
    padded = np.pad(padded, beyond, constant_values=-np.inf if is_max else 0.0)
    out = _gather(padded, axes, (height, width), np.maximum if is_max else np.add)
    if is_max:
        return out
    inside = 0.0 if step.window.padding == "same" else 1.0
    ones = np.pad(np.ones((1, *maps.shape[1:])), [(0, 0), *pads], constant_values=inside)
    return out / _gather(np.pad(ones, beyond), axes, (height, width), np.add)


def _gather(
    padded: Array, axes: tuple[Axis, Axis], size: tuple[int, int], combine: Callable[..., Array]
) -> Array:
    """Combine the numbers of each window."""
    rows, columns = axes
    out: Array | None = None
    for down in range(0, rows.extent, rows.dilation):
        for right in range(0, columns.extent, columns.dilation):
            bottom = down + (size[0] - 1) * rows.stride + 1
            end = right + (size[1] - 1) * columns.stride + 1
            part = padded[:, down : bottom : rows.stride, right : end : columns.stride]
            out = part.copy() if out is None else combine(out, part)
    assert out is not None
    return out


def _activate(step: Activated, x: Array) -> Array:
    from scipy.special import erfc, expit  # type: ignore[import-untyped]

    functions: dict[str, Callable[[], Array]] = {
        "relu": lambda: np.maximum(x, 0),
        "leaky_relu": lambda: np.where(x > 0, x, 0.01 * x),
        "elu": lambda: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
        "gelu": lambda: x * erfc(-x / np.sqrt(2)) / 2,
        "mish": lambda: x * np.tanh(np.logaddexp(0, x)),
        "silu": lambda: x * expit(x),
        "tanh": lambda: np.tanh(x),
        "sigmoid": lambda: expit(x),
    }
    return functions[step.name]()


def _normalize(step: BatchNorm, maps: Array) -> Array:
    mean, variance = maps.mean((1, 2), keepdims=True), maps.var((1, 2), keepdims=True)
    return np.asarray((maps - mean) / np.sqrt(variance + EPSILON))


def _softmax(step: Softmax, logits: Array) -> Array:
    powers = np.exp(logits - logits.max())
    return np.asarray(powers / powers.sum())


_COMPUTE: dict[type[Step], Callable[..., Array]] = {
    Convolution: _convolve,
    Pooling: _pool,
    GlobalPooling: lambda step, maps: maps.mean((1, 2)),
    Activated: _activate,
    BatchNorm: _normalize,
    Softmax: _softmax,
}
