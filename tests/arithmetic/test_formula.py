"""The formulas in words, computed as they stand there."""

from __future__ import annotations

import math
import random

from windows import ask_us, random_case

from cnncli.arithmetic.formula import explain


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
