"""The layers behind a convolution, small and large, against torch in float64."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_layers import pad_same, to_tensor
from torch.nn import functional as F  # noqa: N812

from cnncli.convolving.chain import build_steps, parse_then
from cnncli.convolving.large import forward_large
from cnncli.convolving.notation import parse_grids
from cnncli.convolving.values import stack
from cnncli.errors import CnncliError


def run(text, values):
    """Return what the layers make of values, by Python's and by NumPy's numbers."""
    small = large = values
    for step in build_steps(parse_then(text), values.shape):
        small, large = step.forward(small), forward_large(step, large)
        assert small.shape == large.shape == step.out_shape
    return to_tensor(small), to_tensor(large)


def same_average(x):
    """Average pooling 3x3 with stride 2, whose padding does not count."""
    pads = [pad_same(size, 3, 2, 1) for size in x.shape[2:]]
    sums, ones = (F.pad(t, (*pads[1], *pads[0])) for t in (x, torch.ones_like(x)))
    return F.avg_pool2d(sums, 3, 2) / F.avg_pool2d(ones, 3, 2)


TORCH = {
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "elu": F.elu,
    "gelu": F.gelu,
    "mish": F.mish,
    "silu": F.silu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "pool2": lambda x: F.max_pool2d(x, 2),
    "pool3 s2 p1": lambda x: F.max_pool2d(x, 3, 2, 1),
    "pool2 d2 s1": lambda x: F.max_pool2d(x, 2, 1, 0, 2),
    "pool3 s2 ceil": lambda x: F.max_pool2d(x, 3, 2, ceil_mode=True),
    "pool2x3 s1x2": lambda x: F.max_pool2d(x, (2, 3), (1, 2)),
    "pool3 s2 p1 ceil relu": lambda x: F.relu(F.max_pool2d(x, 3, 2, 1, ceil_mode=True)),
    "avgpool2": lambda x: F.avg_pool2d(x, 2),
    "avgpool3 s2 p1": lambda x: F.avg_pool2d(x, 3, 2, 1),
    "avgpool3 s2 ceil": lambda x: F.avg_pool2d(x, 3, 2, ceil_mode=True),
    "avgpool3 s2 p1 ceil": lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True),
    "avgpool3 s2 same": same_average,
    "gap": lambda x: x.mean((2, 3)),
    "flatten": lambda x: x.flatten(1),
    "bn": lambda x: F.batch_norm(x, None, None, training=True),
    "dropout 0.4": lambda x: F.dropout(x, 0.4, training=False),
    "flatten; softmax": lambda x: F.softmax(x.flatten(1), 1),
    "gap; relu; softmax": lambda x: F.softmax(F.relu(x.mean((2, 3))), 1),
}


@st.composite
def maps(draw):
    number = st.integers(-20, 20) | st.floats(-20, 20, width=32)
    channels, height, width = (
        draw(st.integers(1, 3)),
        draw(st.integers(4, 8)),
        draw(st.integers(4, 8)),
    )
    row = st.lists(number, min_size=width, max_size=width)
    grid = st.lists(row, min_size=height, max_size=height)
    return stack([draw(grid) for _ in range(channels)])


@pytest.mark.parametrize("text", TORCH)
@settings(max_examples=25, deadline=None)
@given(maps())
def test_as_torch(text, values):
    expected = TORCH[text](to_tensor(values))
    for found in run(text, values):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_large_numbers_do_not_overflow():
    values = parse_grids("-1000 1000 1e12 -1e12 0 800 0 0", "x")
    for text in ("sigmoid", "silu", "mish", "gelu", "tanh", "elu", "flatten; softmax"):
        expected = TORCH[text](to_tensor(values))
        for found in run(text, values):
            torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


GRIDS = {
    "relu": (
        "9 3 5 -8; -6 2 -3 1; 1 3 4 1; 3 -4 5 1",
        [[9, 3, 5, 0], [0, 2, 0, 1], [1, 3, 4, 1], [3, 0, 5, 1]],
    ),
    "pool2": ("4 3 1 5; 1 3 4 8; 4 5 4 3; 6 5 9 4", [[4, 8], [6, 9]]),
    # Lecture notes print 2.8 and 5.3. The first is rounded; the third average is 20 / 4 = 5.
    "avgpool2": ("4 3 1 5; 1 3 4 8; 4 5 4 3; 6 5 9 4", [[2.75, 4.5], [5, 5]]),
}


@pytest.mark.parametrize("text", GRIDS)
def test_the_grids_of_lecture_notes(text):
    numbers, expected = GRIDS[text]
    for found in run(text, parse_grids(numbers, "x")):
        assert found[0, 0].tolist() == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("relux", r"--then: layer 1 'relux': unknown layer; did you mean relu"),
        ("relu; sofmax", "layer 2 'sofmax': did you mean softmax"),
        ("conv3x3 f2", "has weights of its own"),
        ("relu; flatten; dense 10", "layer 3 'dense 10': has weights of its own"),
        ("", "no layers"),
        ("pool", "its number is missing"),
    ],
)
def test_what_is_no_layer(text, why):
    with pytest.raises(CnncliError, match=why):
        parse_then(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("pool9", "--then: layer 1 'pool9': kernel 9 is larger than the padded input 4"),
        ("flatten; pool2", "layer 2 'pool2': takes maps but gets a vector of 16 values"),
        ("relu; softmax", "layer 2 'softmax': takes a vector; put flatten or gap before it"),
        ("flatten; bn", "layer 2 'bn': batch normalisation of one image needs maps"),
        ("pool4; bn", "layer 2 'bn': batch normalisation of one image needs maps"),
    ],
)
def test_what_does_not_fit(text, why):
    with pytest.raises(CnncliError, match=why):
        build_steps(parse_then(text), (1, 4, 4))
