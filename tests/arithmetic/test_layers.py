"""Layers in a row against torch: shapes, parameters, MACs, receptive fields."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode
from windows import build_layer

from cnncli.arithmetic.chain import parse_chain
from cnncli.arithmetic.convolution import ReceptiveField
from cnncli.arithmetic.layers import (
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalPool,
    Norm,
    Pool,
    trace_chain,
)
from cnncli.errors import CnncliError

torch.set_num_threads(1)


LENET5 = "conv5x5 f6 tanh; avgpool2; conv5x5 f16 tanh; avgpool2; flatten; dense 120; dense84;fc 10"


def _build_chain(text: str, size: tuple[int, int], in_channels: int) -> nn.Sequential:
    """Build a chain the simplest way there is, from the parser's layers."""
    modules: list[nn.Module] = []
    for layer in parse_chain(text):
        part: nn.Module
        match layer:
            case Conv(window=w):
                part = (nn.LazyConvTranspose2d if w.kind == "transposed" else nn.LazyConv2d)(
                    layer.filters,
                    w.kernel,
                    w.stride,
                    w.padding,
                    dilation=w.dilation,
                    groups=layer.groups,
                    bias=layer.bias,
                    **({"output_padding": w.output_padding} if w.kind == "transposed" else {}),
                )
            case Pool(window=w):
                part = build_layer(w, layer.mode)
            case GlobalPool():
                part = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
            case Norm():
                part = nn.LazyBatchNorm2d()
            case Dense():
                part = nn.LazyLinear(layer.units, bias=layer.bias)
            case Flatten():
                part = nn.Flatten()
            case Dropout():
                part = nn.Dropout(layer.probability)
            case _:
                part = nn.Identity()
        modules.append(part)
    return nn.Sequential(*modules)


@pytest.mark.parametrize(
    ("text", "size", "in_channels"),
    [
        (LENET5, (32, 32), 1),
        ("conv3x3 f32 relu; pool2; conv3 f32 relu; pool 2; flatten; dense 256; dense 256; "
         "dropout 0.4; dense 10", (28, 28), 1),
        ("conv3x5 f8 s2 same nobias\nbn relu; maxpool3x3 s2 p1 ceil; conv3 f8 g8 p1; "
         "conv 1x1 f24 d1; silu; gap; dense 5 nobias".replace("s2 same", "s2x1 p1x2"),
         (37, 50), 3),
        ("conv3x3 f6 same d2; deconv4 f4 s2 p1 op1; Deconv2x2 f2 s2; avgpool3 s1", (11, 13), 2),
    ],
    ids=["lenet5", "course-cnn", "strided", "transposed"],
)  # fmt: skip
def test_chain_equals_a_real_network(text: str, size: tuple[int, int], in_channels: int) -> None:
    traces = trace_chain(parse_chain(text), size, in_channels)
    network = _build_chain(text, size, in_channels).eval()
    x = torch.zeros(1, in_channels, *size)
    with torch.no_grad():
        for trace, module in zip(traces, network, strict=True):
            with FlopCounterMode(display=False) as counter:
                x = module(x)
            assert trace.shape == tuple(x.shape[1:]), trace.layer.text
            assert trace.parameters == sum(p.numel() for p in module.parameters())
            assert 2 * trace.macs == counter.get_total_flops(), trace.layer.text


def test_receptive_field_of_lenet5_by_the_recurrence() -> None:
    """r += (k - 1)·j, j *= s, written out: 5, 5+1=6, 6+4·2=14, 14+1·2=16."""
    traces = trace_chain(parse_chain(LENET5), (32, 32), 1)
    fields = [t.field and (t.field.size, t.field.jump[0]) for t in traces[:4]]
    assert fields == [((5, 5), 1), ((6, 6), 2), ((14, 14), 2), ((16, 16), 4)]
    assert traces[4].field == traces[3].field  # a flattened value sees what it saw in its map
    assert [trace.field for trace in traces[5:]] == [None] * 3
    assert [trace.region for trace in traces[5:]] == [((0, 31), (0, 31))] * 3


@pytest.mark.parametrize(
    "text",
    [
        # VGG-like: 3, 5, 6, 10, 14, 16, 24, 32 by the recurrence
        "conv3 f1 p1; conv3 f1 p1; pool2; conv3 f1 p1; conv3 f1 p1; pool2; conv3 f1; conv3 f1",
        "conv5x3 f1 s2x1 d2; avgpool3x2 s2; relu; conv3x1 f1 d3; bn; deconv3 f1",
        LENET5.split("; flatten", maxsplit=1)[0],
    ],
)
def test_receptive_field_equals_a_gradient_probe(text: str) -> None:
    size = (96, 96)
    layers = parse_chain(text)
    x = torch.ones(1, 1, *size, requires_grad=True)
    y: torch.Tensor = x
    rows = []
    for trace in trace_chain(layers, size, 1):
        if isinstance(trace.layer, Conv | Pool):
            window = trace.layer.window
            # every tap counts alike: positive weights, and the average in place of the maximum
            channels = y.shape[1]
            weight = torch.ones(channels, 1, *window.kernel)
            if window.kind == "transposed":
                y = functional.conv_transpose2d(y, weight, groups=channels)
            else:
                assert window.padding != "same"
                y = functional.conv2d(
                    y, weight, None, window.stride, window.padding, window.dilation, channels
                )
        (gradient,) = torch.autograd.grad(
            y[0, 0, y.shape[2] // 2, y.shape[3] // 2], x, retain_graph=True
        )
        rows.append(trace)
        seen = gradient[0, 0].nonzero()
        height, width = (seen.max(0).values - seen.min(0).values + 1).tolist()
        assert trace.field is not None
        assert trace.field.size == (height, width), trace.layer.text
    assert rows[-1].field.size[0] > 12


def test_receptive_field_behind_a_strided_transposed_layer_is_not_one_number() -> None:
    (trace,) = trace_chain(parse_chain("deconv2 f1 s2"), (8, 8), 1)
    assert trace.field == ReceptiveField(None, (Fraction(1, 2), Fraction(1, 2)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("conv3 f6; dense 9", "layer 2 'dense 9': takes a vector but gets maps of 6x6x6; put flat"),
        ("flatten; conv3 f6", "layer 2 'conv3 f6': takes maps but gets a vector of 64 values"),
        ("gap; pool2", "layer 2 'pool2': takes maps but gets a vector of 1 value"),
        ("pool2; conv5 f6", "layer 2 'conv5 f6': kernel 5 is larger than the padded input 4"),
        ("conv3 f6; conv3 f8 g4", "layer 2 'conv3 f8 g4': in-channels 6 cannot be split"),
        ("pool3 p2", "padding 2 is more than half of the pooling kernel 3"),
        ("deconv3 f1 op1", "output padding 1 must be smaller than the stride 1"),
    ],
)
def test_layers_that_do_not_fit_are_told_with_their_place(text: str, message: str) -> None:
    with pytest.raises(CnncliError) as caught:
        trace_chain(parse_chain(text), (8, 8), 1)
    assert message in str(caught.value)
