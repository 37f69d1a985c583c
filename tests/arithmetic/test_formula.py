"""The formulas in words, computed as they stand there."""

from __future__ import annotations

import math
import random
import re

import pytest
import torch
from torch import nn
from windows import ask_us, build_layer, random_case

from cnncli.arithmetic.chain import parse_chain
from cnncli.arithmetic.convolution import SlidingWindow
from cnncli.arithmetic.formula import explain, explain_costs, explain_layer, fill_in
from cnncli.arithmetic.layers import trace_chain


def test_every_formula_line_ends_in_the_size() -> None:
    """The numbers in the formula, computed as they stand there, give the output."""
    rng = random.Random(6)
    for kind in ("conv", "transposed", "pool"):
        for _ in range(100):
            window, size = random_case(rng, kind)
            output = ask_us(window, size)
            if output is None:
                continue
            lines = explain(window, size)
            formulas = [line.split("=", 1)[1] for line in lines if line.startswith("       =")]
            values = []
            for formula in formulas:
                left, _, right = formula.partition(", since")[0].partition("= ")
                value = eval(left, {"floor": math.floor, "ceil": math.ceil})
                assert not right or value == int(right)
                values.append(value)
            assert output[1] == values[-1]


@pytest.mark.parametrize("kind", ["conv", "transposed", "pool", "same"])
def test_the_formula_of_a_picture_gives_the_size(kind: str) -> None:
    rng = random.Random(7)
    rounding = {"⌊": "floor(", "⌋": ")", "⌈": "ceil(", "⌉": ")", "·": "*", "−": "-"}
    seen = 0
    for _ in range(300):
        window, size = random_case(rng, "conv" if kind == "same" else kind)
        if kind == "same":
            window = SlidingWindow(window.kernel, window.stride, "same", window.dilation)
        output = ask_us(window, size)
        if output is None:
            continue
        seen += 1
        for axis, n, expected in zip(window.axes, size, output, strict=True):
            text, _, corrected = fill_in(axis, n).partition(", but window ")
            for sign, code in rounding.items():
                text = text.replace(sign, code)
            *formulas, result = text.split(" = ")
            values = [eval(f, {"floor": math.floor, "ceil": math.ceil}) for f in formulas]
            assert values == [int(result)] * len(formulas)
            assert int(corrected.rpartition(": ")[2] or result) == expected
    assert seen > 50


def test_what_the_padding_of_a_transposed_convolution_cuts_off() -> None:
    rng = random.Random(8)
    cut = 0
    for _ in range(200):
        window, size = random_case(rng, "transposed")
        output = ask_us(window, size)
        if output is None or any(n < d for n, d in zip(output, window.dilation, strict=True)):
            continue
        layer = build_layer(window)
        torch.nn.init.ones_(layer.weight)
        image = torch.zeros(1, 1, *size, requires_grad=True)
        layer(image).sum().backward()
        assert image.grad is not None
        seen = image.grad[0, 0] > 0
        lost = int((~seen.any(1)).sum()), int((~seen.any(0)).sum())
        line = explain(window, size)[-1]
        if not any(lost):
            assert line == "a transposed convolution drops no rows and no columns"
            continue
        cut += 1
        rows = f"{lost[0]} row" + "s" * (lost[0] != 1)
        columns = f"{lost[1]} column" + "s" * (lost[1] != 1)
        assert f"{rows} and {columns} of the input" in line
    assert cut > 10


@pytest.mark.parametrize("kind", ["conv", "transposed"])
def test_parameters_and_macs_against_torch_and_a_dense_layer(kind: str) -> None:
    rng = random.Random(9)
    seen = 0
    for _ in range(200):
        window, size = random_case(rng, kind)
        output = ask_us(window, size)
        if output is None:
            continue
        seen += 1
        groups, bias = rng.choice([1, 1, 2, 3]), rng.random() < 0.5
        in_channels, filters = groups * rng.randint(1, 3), groups * rng.randint(1, 3)
        options = {"stride": window.stride, "padding": window.padding, "groups": groups}
        build: type[nn.Module] = nn.ConvTranspose2d if kind == "transposed" else nn.Conv2d
        layer = build(in_channels, filters, window.kernel, **options, bias=bias)
        parameters = sum(each.numel() for each in layer.parameters())
        inputs, units = in_channels * math.prod(size), filters * math.prod(output)
        dense = nn.Linear(inputs, units, bias=bias, device="meta")
        dense_parameters = sum(each.numel() for each in dense.parameters())
        weights = sum(each.numel() for each in layer.parameters() if each.dim() > 1)
        macs = weights * math.prod(size if kind == "transposed" else output)
        lines = explain_costs(window, size, in_channels, filters, groups=groups, bias=bias)
        sides = [lines[i].rpartition(" = ") for i in (1, 3, 5)]
        assert [int(right) for _, _, right in sides] == [parameters, macs, dense_parameters]
        formulas = [left.lstrip(" =") for left, _, _ in sides]
        assert [eval(f) for f in formulas] == [parameters, macs, dense_parameters]
        (said,) = re.findall(r"has (.*) parameters:", lines[4])
        ratio = 1.0 if said == "just as many" else float(said.removesuffix(" times as many"))
        assert ratio == pytest.approx(dense_parameters / parameters, rel=0.06)
    assert seen > 100


def test_costs_of_a_network_have_their_numbers() -> None:
    layers = parse_chain("conv5x5 f6; deconv2x3 f4 s2 g2 nobias; bn; pool2; flatten; dense 10")
    traces = trace_chain(layers, (12, 12), 2)
    shapes = [(2, 12, 12), *(trace.shape for trace in traces)]
    lines = [
        line
        for trace, shape in zip(traces, shapes, strict=False)
        for line in explain_layer(trace, shape)
    ]
    assert f"     (2*12*12 + 1)*6*8*8 = {289 * 384}" in lines  # a dense layer in the first's place
    assert [line for line in lines if line.startswith("parameters")] == [
        "parameters (5*5*2 + 1)*6 = 306, MACs 5*5*2*6*8*8 = 19200",
        "parameters 2*3*6/2*4 = 72, MACs 2*3*6/2*4*8*8 = 4608",
        "parameters 2*4 = 8, MACs 0",
        "parameters (256 + 1)*10 = 2570, MACs 256*10 = 2560",
    ]


def test_what_the_stride_steps_over_is_never_seen() -> None:
    """Far from the borders, the pixels without a gradient are the share that is named."""
    rng = random.Random(10)
    named = 0
    for _ in range(150):
        window, _ = random_case(rng, "conv")
        layer = build_layer(window)
        torch.nn.init.ones_(layer.weight)
        image = torch.zeros(1, 1, 72, 72, requires_grad=True)  # 12, of all strides, six times
        layer(image).sum().backward()
        assert image.grad is not None
        inner = image.grad[0, 0, 24:48, 24:48] > 0
        lines = [line for line in explain(window, (72, 72)) if "steps over" in line]
        shares = {
            word: int(skipped) / int(stride)
            for skipped, stride, word in re.findall(r"(\d+) of every (\d+) (\w+)", "".join(lines))
        }
        named += len(shares)
        assert shares.get("rows", 0) == pytest.approx(1 - float(inner.any(1).double().mean()))
        assert shares.get("columns", 0) == pytest.approx(1 - float(inner.any(0).double().mean()))
    assert named > 30


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("kind", ["conv", "transposed"])
@pytest.mark.parametrize("dilation", [1, 2])
def test_the_parameters_and_those_of_a_dense_layer_are_torchs(kind, groups, bias, dilation):
    window = SlidingWindow((3, 2), (2, 1), (1, 0), (dilation, dilation), kind=kind)
    build = torch.nn.ConvTranspose2d if kind == "transposed" else torch.nn.Conv2d
    layer = build(4, 6, (3, 2), (2, 1), (1, 0), groups=groups, bias=bias, dilation=dilation)
    output = layer(torch.zeros(1, 4, 9, 8))
    dense = torch.nn.Linear(4 * 9 * 8, output.numel(), bias=bias, device="meta")
    counts = [sum(p.numel() for p in module.parameters()) for module in (layer, dense)]
    lines = explain_costs(window, (9, 8), 4, 6, groups=groups, bias=bias)
    assert lines[1].endswith(f" = {counts[0]}")
    assert lines[-1].endswith(f" = {counts[1]}")
    for line in (lines[1], lines[-1]):  # the numbers in the line make what it says
        left, right = line.strip().removeprefix("= ").rsplit(" = ", 1)
        assert eval(left.strip("= ")) == int(right)
