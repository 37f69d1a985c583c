"""The inverse question against brute force."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from windows import random_case

from cnncli.arithmetic.convolution import Axis
from cnncli.arithmetic.solve import solve
from cnncli.errors import CnncliError


@pytest.mark.parametrize("unknown", ["padding", "kernel", "stride"])
@pytest.mark.parametrize("kind", ["conv", "transposed", "pool"])
def test_solve_finds_what_brute_force_finds(kind: str, unknown: Any) -> None:
    rng = random.Random(f"{kind}{unknown}")
    solved = 0
    for _ in range(150):
        axis = random_case(rng, kind)[0].axes[0]
        size, target = rng.randint(1, 16), rng.randint(1, 16)
        tied = kind == "pool" and unknown == "kernel" and rng.random() < 0.5
        outputs = {}
        for value in range(0 if unknown == "padding" else 1, 70):
            tie = {"stride": value} if tied else {}
            candidate = replace(axis, **{unknown: value}, **tie)
            if candidate.why_refused(size) is None:
                outputs[value] = candidate.output(size)
        expected = [value for value, output in outputs.items() if output == target]
        try:
            found = solve(axis, unknown, size, target, tied=tied)
        except CnncliError:
            assert not outputs
            continue
        if found.open_ended:
            assert expected == list(range(found.values[0], 70))
        else:
            assert list(found.values) == expected, (axis, size, target)
        if not expected:
            below = max((o for o in outputs.values() if o < target), default=None)
            above = min((o for o in outputs.values() if o > target), default=None)
            assert found.nearest == tuple(o for o in (below, above) if o is not None)
        solved += bool(expected)
    assert solved > 10


def test_solve_refuses_a_kernel_under_same() -> None:
    with pytest.raises(CnncliError, match="does not change the size"):
        solve(Axis(3, padding="same"), "kernel", 28, 28)
