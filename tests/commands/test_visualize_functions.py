"""``cnncli visualize functions``: values and slopes are those of the formulas."""

import csv
import io
import math
from statistics import NormalDist

import numpy as np
import pytest

import cnncli.recipes.visualize.functions as recipe
from cnncli.choices import ActivationName

NORMAL = NormalDist()


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def mish_slope(x):
    softplus = math.log1p(math.exp(x))
    return math.tanh(softplus) + x * sigmoid(x) * (1 - math.tanh(softplus) ** 2)


# The value and the slope. At 0, where ReLU and leaky ReLU have none, torch takes that of the left.
FORMULAS = {
    "relu": (lambda x: max(x, 0), lambda x: float(x > 0)),
    "leaky_relu": (lambda x: x if x > 0 else 0.01 * x, lambda x: 1 if x > 0 else 0.01),
    "elu": (
        lambda x: x if x > 0 else math.exp(x) - 1,
        lambda x: 1 if x > 0 else math.exp(x),
    ),
    "gelu": (lambda x: x * NORMAL.cdf(x), lambda x: NORMAL.cdf(x) + x * NORMAL.pdf(x)),
    "mish": (lambda x: x * math.tanh(math.log1p(math.exp(x))), mish_slope),
    "silu": (
        lambda x: x * sigmoid(x),
        lambda x: sigmoid(x) * (1 + x * (1 - sigmoid(x))),
    ),
    "tanh": (math.tanh, lambda x: 1 - math.tanh(x) ** 2),
    "sigmoid": (sigmoid, lambda x: sigmoid(x) * (1 - sigmoid(x))),
}


@pytest.fixture
def functions(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *args: cli("visualize", "functions", *args)


def test_every_function_is_drawn_by_its_formula(functions):
    assert set(FORMULAS) == set(ActivationName.__args__)
    rows = list(csv.DictReader(io.StringIO(functions("--format", "csv").out)))
    assert len(rows) == 161 * len(FORMULAS)
    for row in rows:
        value, slope = FORMULAS[row["function"]]
        x = float(row["x"])
        assert float(row["y"]) == pytest.approx(value(x), abs=1e-12)
        assert float(row["slope"]) == pytest.approx(slope(x), abs=1e-12)


def test_names_are_chosen_and_a_wrong_one_gets_the_nearest(functions):
    rows = list(csv.DictReader(io.StringIO(functions("gelu, relu", "--format", "csv").out)))
    assert list(dict.fromkeys(row["function"] for row in rows)) == ["gelu", "relu"]
    result = functions("sigmoit")
    assert result.code == 2
    assert result.error == "sigmoit: no activation function; did you mean sigmoid?"
    assert "there are relu, " in functions("resnet18").error
    assert functions(" , ").error.startswith("' , ': names no function; there are relu,")


def test_a_slope_that_jumps_is_drawn_as_a_step(functions, monkeypatch):
    drawn = {}
    monkeypatch.setattr(recipe, "save_functions", lambda path, **given: drawn.update(given))
    assert functions("relu", "leaky_relu").code == 2  # one text, not two
    assert functions("relu,leaky_relu").code == 0
    jump = np.flatnonzero(np.diff(drawn["values"][1, 0]))
    assert len(jump) == 1
    left, right = drawn["inputs"][jump[0] : jump[0] + 2]
    assert left == 0
    assert right < 1e-6
