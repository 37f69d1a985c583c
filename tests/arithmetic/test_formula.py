"""The formulas in words, computed as they stand there."""

from __future__ import annotations

import math
import random

import pytest
import torch
from windows import ask_us, build_layer, random_case

from cnncli.arithmetic.convolution import SlidingWindow
from cnncli.arithmetic.formula import explain, fill_in


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
