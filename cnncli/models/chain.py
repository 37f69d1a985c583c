"""Build a network written by hand, ``cnn:LAYERS``, from torch's modules."""

from __future__ import annotations

from collections import OrderedDict
from math import prod

import torch
from torch import nn
from torch.nn import functional

from cnncli.arithmetic.convolution import SlidingWindow
from cnncli.arithmetic.layers import (
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalPool,
    LayerSpec,
    Norm,
    Pool,
    trace_chain,
)
from cnncli.errors import CnncliError
from cnncli.models.swap import ACTIVATIONS
from cnncli.models.tables.chain_plan import HEAD, activation_name, plan_chain


class SamePadding(nn.Module):
    """Pads maps so that a window with a stride gives ⌈size / stride⌉ positions.

    If the number of added pixels is odd, the last side gets one more.

    Args:
        window: Window that will slide over the padded maps.
        value: Value of the added pixels.

    Shapes: (N, C, H, W) to (N, C, H + h, W + w).

    Source: TensorFlow's "SAME".
    """

    def __init__(self, window: SlidingWindow, value: float = 0.0) -> None:
        super().__init__()
        self.window = window
        self.value = value

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the padded maps of x (N, C, H, W)."""
        rows, columns = self.window.axes
        pads = (*columns.pads(x.shape[3]), *rows.pads(x.shape[2]))
        return functional.pad(x, pads, value=self.value)


class SameAvgPool2d(nn.Module):
    """Average pooling with "same" padding, whose averages leave out the padded pixels.

    Args:
        window: The pooling window.

    Shapes: (N, C, H, W) to (N, C, ⌈H / stride⌉, ⌈W / stride⌉).
    """

    def __init__(self, window: SlidingWindow) -> None:
        super().__init__()
        self.pad = SamePadding(window)
        self.pool = nn.AvgPool2d(window.kernel, window.stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the averages of x (N, C, H, W)."""
        counted: torch.Tensor = self.pool(self.pad(x.new_ones(1, 1, *x.shape[2:])))
        pooled: torch.Tensor = self.pool(self.pad(x))
        return pooled / counted


def build_chain(
    text: str, num_classes: int, in_channels: int, image_size: tuple[int, int]
) -> nn.Sequential:
    """Build a network from its layers in the notation of ``conv-size --chain``.

    A dense layer for the classes is added at the end, after a flatten if the last output is still
    maps. If the last layer as written is dense, has K units and no activation, it is that layer and
    none is added.

    Args:
        text: The layers.
        num_classes: K.
        in_channels: C.
        image_size: (H, W) in pixels.

    Raises:
        CnncliError: At the first layer that cannot be parsed or does not fit its input; the
            message gives its place.
    """
    plan = plan_chain(text)
    layers = plan.layers
    last = layers[-1]
    if isinstance(last, Dense) and last.units == num_classes and not last.activation:
        layers = layers[:-1]
        bias = last.bias
    else:
        bias = True
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    shape: tuple[int, ...] = (in_channels, *image_size)
    # All written layers are traced, so that an error names a head that does not fit as written.
    traces = trace_chain(plan.layers, image_size, in_channels)
    for layer, name, trace in zip(layers, plan.names, traces, strict=False):
        if name is not None:
            modules[name] = _build_module(layer, shape)
        if (activation := activation_name(layer)) is not None:
            modules[activation] = ACTIVATIONS[str(layer.activation)]()
        shape = trace.shape
    if len(shape) == 3:
        modules["flatten"] = nn.Flatten()
    modules[HEAD] = nn.Linear(prod(shape), num_classes, bias=bias)
    return nn.Sequential(modules)


def _build_module(layer: LayerSpec, shape: tuple[int, ...]) -> nn.Module:
    """Return the module of a layer without its activation, for an input of ``shape``."""
    if isinstance(layer, Conv):
        return _build_convolution(layer, shape[0])
    if isinstance(layer, Pool):
        return _build_pooling(layer)
    if isinstance(layer, Norm):
        return nn.BatchNorm2d(shape[0]) if len(shape) == 3 else nn.BatchNorm1d(shape[0])
    if isinstance(layer, Dense):
        return nn.Linear(shape[0], layer.units, bias=layer.bias)
    if isinstance(layer, GlobalPool):
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    if isinstance(layer, Dropout):
        return nn.Dropout(layer.probability)
    if isinstance(layer, Flatten):
        return nn.Flatten()
    raise CnncliError(f"layer {layer.number} {layer.text!r}: no module does this")


def _build_convolution(layer: Conv, in_channels: int) -> nn.Module:
    window = layer.window
    if window.kind == "transposed":
        assert window.padding != "same"
        return nn.ConvTranspose2d(
            in_channels,
            layer.filters,
            window.kernel,
            window.stride,
            window.padding,
            window.output_padding,
            layer.groups,
            layer.bias,
            window.dilation,
        )
    strided_same = window.padding == "same" and window.stride != (1, 1)
    convolution = nn.Conv2d(
        in_channels,
        layer.filters,
        window.kernel,
        window.stride,
        0 if strided_same else window.padding,
        window.dilation,
        layer.groups,
        layer.bias,
    )
    if strided_same:
        return nn.Sequential(SamePadding(window), convolution)
    return convolution


def _build_pooling(layer: Pool) -> nn.Module:
    window = layer.window
    if layer.mode == "avg":
        if window.padding == "same":
            return SameAvgPool2d(window)
        return nn.AvgPool2d(window.kernel, window.stride, window.padding, window.ceil_mode)
    if window.padding == "same":
        pool = nn.MaxPool2d(window.kernel, window.stride, dilation=window.dilation)
        return nn.Sequential(SamePadding(window, -torch.inf), pool)
    return nn.MaxPool2d(
        window.kernel, window.stride, window.padding, window.dilation, ceil_mode=window.ceil_mode
    )
