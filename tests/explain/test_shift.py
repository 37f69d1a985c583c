"""Equivariance to shifts: exact where the theory says so, and only there."""

import math

import pytest
import torch
from torch import nn

from cnncli.explain.shift import compare_maps, find_interior, shift_right
from cnncli.models.tracing.receptive_field import Span
from cnncli.models.tracing.trace import trace_network

NOT_KNOWN = Span(16, size=None, low=None)  # every position is compared, round the border
EXACT = 1e-6


def differences(network, shifts=range(1, 9), span=NOT_KNOWN, jump=1, size=16):
    torch.manual_seed(0)
    image = torch.randn(1, 2, size, size)
    with torch.no_grad():
        still = network(image)
        return {
            s: compare_maps(network(torch.roll(image, s, 3)), still, s, span, jump, 3)
            for s in shifts
        }


def circular(stride):
    return nn.Conv2d(2, 3, 3, stride, padding=1, padding_mode="circular")


def test_a_circular_convolution_of_stride_1_is_equivariant():
    found = differences(circular(1))
    assert all(one.value < EXACT for one in found.values())
    assert not any(one.interior for one in found.values())


def test_a_circular_convolution_of_stride_2_is_so_at_even_shifts_alone():
    for shift, one in differences(circular(2), jump=2).items():
        assert (one.value < EXACT) == (shift % 2 == 0), shift
        assert one.value < EXACT or one.value > 0.1


def test_only_the_interior_is_equivariant_under_zero_padding():
    network = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3, padding=1)
    )
    span = trace_network(network, (24, 24), 2)["2"].field.spans[1]
    assert (span.size, span.jump) == (8, 2)  # (3 + 1) + (3 - 1) · 2
    inside = differences(network, span=span, jump=2, size=24)
    around = differences(network, jump=2, size=24)
    for shift in inside:
        assert inside[shift].interior
        assert (inside[shift].value < EXACT) == (shift % 2 == 0)
        assert around[shift].value > 0.01


@pytest.mark.parametrize("size", [1, 3, 8])
@pytest.mark.parametrize("jump", [1, 2, 3])
@pytest.mark.parametrize("low", [-4, -1, 0, 2])
@pytest.mark.parametrize("shift", [1, 2, 5])
def test_the_interior_is_what_the_definition_says(size, jump, low, shift):
    width, count = 20, 8
    span = Span(width, size, jump, low, low + (count - 1) * jump + size - 1)

    def sees(position):
        return low + position * jump, low + position * jump + size - 1

    expected = []
    for position in range(count):
        before = position - math.ceil(shift / jump)  # where what is seen here was before
        first, last = sees(position)
        if first >= shift and last < width and before >= 0 and sees(before)[0] >= 0:
            expected.append(position)
    kept = find_interior(span, count, shift, jump)
    assert ([] if kept is None else list(range(count))[kept]) == expected


def test_half_a_position_is_the_mean_of_two():
    line = torch.tensor([[1.0, 3.0, 7.0, 5.0]])
    assert shift_right(line, 0.5, 1).tolist() == [[3.0, 2.0, 5.0, 6.0]]
    assert shift_right(line, 1.25, 1).tolist() == [[5.5, 2.0, 2.5, 6.0]]


def test_a_map_of_zeros_has_no_relative_difference():
    zeros = torch.zeros(1, 2, 4, 4)
    assert compare_maps(zeros, zeros, 1, NOT_KNOWN, 1, 3).value is None
