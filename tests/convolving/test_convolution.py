"""Convolutions equal torch's: exactly for whole numbers, to 1e-12 otherwise, small and large."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_layers import convolve, to_tensor, to_values

from cnncli.convolving.convolution import build_convolution
from cnncli.convolving.kernels import Kernel
from cnncli.convolving.large import forward_large
from cnncli.convolving.notation import parse_grids
from cnncli.convolving.values import Values, stack
from cnncli.errors import CnncliError


@st.composite
def layers(draw, whole=True):
    """Draw an input, kernels of all its channels, biases and a window that fits."""
    number = st.integers(-9, 9) if whole else st.floats(-9, 9, width=32)

    def grid(height, width):
        row = st.lists(number, min_size=width, max_size=width)
        return draw(st.lists(row, min_size=height, max_size=height))

    def pair(low, high):
        return draw(st.integers(low, high)), draw(st.integers(low, high))

    kernel, stride, dilation = pair(1, 4), pair(1, 3), pair(1, 3)
    mode = draw(st.sampled_from(["zeros", "reflect"]))
    padding = draw(st.sampled_from(["same", None])) or pair(0, 3)
    extents = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    size = tuple(extent + draw(st.integers(0, 5)) for extent in extents)
    size = tuple(max(s, 2 * 4) for s in size)  # so that reflection has enough to mirror
    size = tuple(max(s, extent) for s, extent in zip(size, extents, strict=True))
    channels, count = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    given_ = stack([grid(*size) for _ in range(channels)])
    kernels = [
        Kernel("drawn", (stack([grid(*kernel) for _ in range(channels)]),)) for _ in range(count)
    ]
    biases = [draw(number) for _ in range(count)]
    window = {"stride": stride, "padding": padding, "dilation": dilation}
    return given_, kernels, biases, mode, window


def of_torch(given_, kernels, biases, mode, window):
    weights = torch.cat([to_tensor(kernel.parts[0]) for kernel in kernels])
    bias = torch.tensor(biases, dtype=torch.float64)
    return convolve(to_tensor(given_), weights, mode=mode, bias=bias, **window)


@settings(max_examples=150, deadline=None)
@given(layers())
def test_whole_numbers_are_equal(layer):
    given_, kernels, biases, mode, window = layer
    built = build_convolution(kernels, biases, given_.shape, mode=mode, **window)
    expected = to_values(of_torch(*layer))
    assert built.forward(given_) == expected
    assert all(isinstance(number, int) for number in built.forward(given_).numbers)
    large = forward_large(built, given_)
    assert (large.shape, large.numbers.tolist()) == (expected.shape, expected.numbers)


@settings(max_examples=60, deadline=None)
@given(layers(whole=False))
def test_other_numbers_are_near(layer):
    given_, kernels, biases, mode, window = layer
    built = build_convolution(kernels, biases, given_.shape, mode=mode, **window)
    expected = of_torch(*layer)
    for found in (built.forward(given_), forward_large(built, given_)):
        torch.testing.assert_close(to_tensor(found), expected, rtol=1e-12, atol=1e-12)


GRIDS = {
    "the first value is 4": (
        "1 1 1 0 0; 0 1 1 1 0; 0 0 1 1 1; 0 0 1 1 0; 0 1 1 0 0",
        "1 0 1; 0 1 0; 1 0 1",
        [[4, 3, 4], [2, 4, 3], [2, 3, 4]],
    ),
    "a vertical line": (
        "0 1 0 0; 0 1 0 0; 0 1 0 0; 0 1 0 0",
        "-1 1 -1; -1 1 -1; -1 1 -1",
        [[3, -3], [3, -3]],
    ),
    "vertical edges": (
        "3 0 1 2 7 4; 1 5 8 9 3 1; 2 7 2 5 1 3; 0 1 3 1 7 8; 4 2 1 6 2 8; 2 4 5 2 3 9",
        "1 0 -1; 1 0 -1; 1 0 -1",
        [[-5, -4, 0, 8], [-10, -2, 2, 3], [0, -2, -4, -7], [-3, -2, -3, -16]],
    ),
}


@pytest.mark.parametrize("name", GRIDS)
def test_the_grids_of_lecture_notes(name):
    numbers, kernel, expected = GRIDS[name]
    values = parse_grids(numbers, "input")
    built = build_convolution([Kernel("k", (parse_grids(kernel, "k"),))], [0], values.shape)
    assert built.forward(values).grids() == [expected]


def test_a_kernel_of_one_channel_is_applied_to_each():
    values = parse_grids("1 2; 3 4 | 5 6; 7 8", "input")
    kernels = [Kernel("k", (parse_grids(text, "k"),)) for text in ("2", "10 | 1")]
    built = build_convolution(kernels, [0, 100], values.shape)
    assert built.forward(values).grids() == [
        [[2, 4], [6, 8]],
        [[10, 12], [14, 16]],
        [[115, 126], [137, 148]],
    ]


def test_a_sum_of_two_kernels_is_of_absolute_values():
    values = parse_grids("5 1; 2 2", "input")
    kernel = Kernel("both", (parse_grids("1 -1", "x"), parse_grids("0 -3", "y")))
    built = build_convolution([kernel], [1], values.shape)
    assert built.forward(values).grids() == [[[8], [7]]]  # |5 - 1| + |-3| + 1, |2 - 2| + |-6| + 1
    assert forward_large(built, values).numbers.tolist() == [8, 7]


@pytest.mark.parametrize(
    ("kernels", "shape", "extra", "why"),
    [
        (["1 1; 1 1; 1 1"], (1, 2, 2), {}, "height: kernel 3 is larger than the padded input 2"),
        (["1 | 1"], (3, 2, 2), {}, "2 channels and the input has 3"),
        (["1", "1 1"], (1, 2, 2), {}, "sizes 2, 2x1 and could not be stacked"),
        (["1"], (1, 2, 2), {"mode": "reflect", "padding": (2, 0)}, "reflection has at most 1"),
    ],
)
def test_what_does_not_fit_is_refused(kernels, shape, extra, why):
    kernels = [Kernel(text, (parse_grids(text, "k"),)) for text in kernels]
    with pytest.raises(CnncliError, match=why):
        build_convolution(kernels, [0], shape, **extra)


def test_biases_are_one_or_one_for_each():
    kernels = [Kernel("k", (parse_grids("1", "k"),))] * 3
    built = build_convolution(kernels, [2], (1, 1, 1))
    assert built.forward(Values((1, 1, 1), [5])).numbers == [7, 7, 7]
    with pytest.raises(CnncliError, match="2 numbers for 3 kernels"):
        build_convolution(kernels, [1, 2], (1, 1, 1))
