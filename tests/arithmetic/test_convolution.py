"""The arithmetic against torch: sizes, refusals, parameters, MACs."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode
from windows import ask_us, build_layer, random_case, random_pair

from cnncli.arithmetic.convolution import (
    Axis,
    SlidingWindow,
    check_channels,
    count_macs,
    count_parameters,
)
from cnncli.errors import CnncliError

torch.set_num_threads(1)
CASES = 1500  # of every kind


def _ask_torch(layer: nn.Module, size: tuple[int, int]) -> tuple[int, int] | None:
    """Return the output's size, or None where torch's CPU refuses.

    The meta device computes sizes too, but from torch 2.14 on it accepts transposed convolutions
    whose output padding is not smaller than stride or dilation, which no device can compute.
    ConvTranspose2d refuses an output of 0 × 0 but lets 3 × 0 pass: no image, so refused here.
    """
    try:
        with torch.no_grad():
            height, width = layer(torch.zeros(1, 1, *size)).shape[2:]
    except RuntimeError:
        return None
    assert min(height, width) > 0 or isinstance(layer, nn.ConvTranspose2d)
    return (height, width) if min(height, width) > 0 else None


@pytest.mark.parametrize(
    ("kind", "mode"),
    [("conv", ""), ("transposed", ""), ("pool", "max"), ("pool", "avg")],
)
def test_sizes_and_refusals_equal_torch(kind: str, mode: str) -> None:
    rng = random.Random(f"{kind}{mode}")
    refused = 0
    for _ in range(CASES):
        window, size = random_case(rng, kind)
        if mode == "avg":
            window = replace(window, dilation=(1, 1))
        expected = _ask_torch(build_layer(window, mode), size)
        assert ask_us(window, size) == expected, (window, size)
        refused += expected is None
    assert CASES / 50 < refused < CASES * 0.9, "the cases should hold both answers"


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
def test_same_equals_torch_for_stride_1() -> None:
    rng = random.Random(1)
    for _ in range(200):
        kernel, dilation = random_pair(rng, 1, 6), random_pair(rng, 1, 3)
        size = random_pair(rng, 1, 20)
        window = SlidingWindow(kernel, padding="same", dilation=dilation)
        x, weight = torch.randn(1, 1, *size), torch.randn(1, 1, *kernel)
        expected = functional.conv2d(x, weight, padding="same", dilation=dilation)
        (top, bottom), (left, right) = (
            axis.pads(n) for axis, n in zip(window.axes, size, strict=True)
        )
        padded = functional.pad(x, (left, right, top, bottom))
        torch.testing.assert_close(functional.conv2d(padded, weight, dilation=dilation), expected)
        assert window.output(size) == expected.shape[2:]


def test_same_with_a_stride_pads_to_what_tensorflow_promises() -> None:
    """Convolving the input that `pads` pads gives ceil(input / stride), by torch's own count."""
    rng = random.Random(2)
    for _ in range(500):
        axis = Axis(rng.randint(1, 7), rng.randint(1, 5), "same", rng.randint(1, 3))
        size = rng.randint(1, 30)
        before, after = axis.pads(size)
        assert 0 <= after - before <= 1
        layer = nn.Conv1d(1, 1, axis.kernel, axis.stride, dilation=axis.dilation, device="meta")
        padded = torch.empty(1, 1, size + before + after, device="meta")
        assert axis.output(size) == layer(padded).shape[2]


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "expected"),
    # tf.nn.max_pool's and the TensorFlow guide's worked cases: 13 pixels, kernel 6, stride 5 pad
    # one before and two after; 28 with 3 and 2 pads only at the end.
    [(13, 6, 5, (1, 2)), (28, 3, 2, (0, 1)), (224, 7, 2, (2, 3)), (5, 1, 3, (0, 0))],
)
def test_same_splits_as_tensorflow_does(
    size: int, kernel: int, stride: int, expected: tuple[int, int]
) -> None:
    assert Axis(kernel, stride, "same").pads(size) == expected


def test_dropped_rows_get_no_gradient() -> None:
    rng = random.Random(3)
    seen = set()
    for _ in range(300):
        kernel, stride, dilation = rng.randint(1, 5), rng.randint(1, 5), rng.randint(1, 2)
        padding: Any = rng.choice([0, 1, 2, "same"])
        axis, size = Axis(kernel, stride, padding, dilation), rng.randint(9, 30)
        padded = torch.zeros(1, 1, size + sum(axis.pads(size)), requires_grad=True)
        weight = torch.ones(1, 1, kernel)
        functional.conv1d(padded, weight, stride=stride, dilation=dilation).sum().backward()
        assert padded.grad is not None
        reached = padded.grad[0, 0].nonzero().max().item() + 1
        assert axis.dropped(size) == padded.shape[2] - reached
        seen.add(axis.dropped(size))
    assert {0, 1, 2} <= seen


def test_parameters_and_macs_equal_torch() -> None:
    rng = random.Random(4)
    for _ in range(150):
        transposed = rng.random() < 0.5
        window, size = random_case(rng, "transposed" if transposed else "conv")
        if ask_us(window, size) is None:
            continue
        groups, bias = rng.randint(1, 3), rng.random() < 0.5
        in_channels, filters = groups * rng.randint(1, 4), groups * rng.randint(1, 4)
        options: dict[str, Any] = {"output_padding": window.output_padding} if transposed else {}
        build: Callable[..., nn.Module] = nn.ConvTranspose2d if transposed else nn.Conv2d
        layer = build(
            in_channels,
            filters,
            window.kernel,
            window.stride,
            window.padding,
            dilation=window.dilation,
            groups=groups,
            bias=bias,
            device="meta",
            **options,
        )
        assert sum(p.numel() for p in layer.parameters()) == count_parameters(
            window, in_channels, filters, groups=groups, bias=bias
        )
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            layer(torch.empty(1, in_channels, *size, device="meta"))
        macs = count_macs(window, size, in_channels, filters, groups=groups)
        assert counter.get_total_flops() == 2 * macs  # torch counts two operations per MAC


def test_a_fault_names_its_side() -> None:
    with pytest.raises(
        CnncliError, match=r"^width: kernel 5 .* at most 4 or padding of at least 1"
    ):
        SlidingWindow((3, 5)).output((9, 4))
    with pytest.raises(CnncliError, match=r"^kernel 5"):
        SlidingWindow((5, 5)).output((4, 4))


def test_what_a_fault_advises_is_right() -> None:
    rng = random.Random(5)
    advised = 0
    for _ in range(600):
        axis = replace(random_case(rng, "conv")[0].axes[0], padding=0)
        size = rng.randint(1, 8)
        fault = axis.why_refused(size)
        if fault is None:
            continue
        advised += 1
        most, least = fault.split("kernel of at most ")[1].split(" or padding of at least ")
        assert replace(axis, kernel=int(most)).why_refused(size) is None
        assert replace(axis, kernel=int(most) + 1).why_refused(size) is not None
        assert replace(axis, padding=int(least)).why_refused(size) is None
        assert replace(axis, padding=int(least) - 1).why_refused(size) is not None
    assert advised > 50
    for padding in range(1, 9):  # transposed: 3 pixels, kernel 1, stride 1
        fault = Axis(1, padding=padding, kind="transposed").why_refused(3)
        if fault:
            assert fault.endswith("use padding of at most 1")
    assert Axis(1, padding=1, kind="transposed").why_refused(3) is None


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ((0, 4, 1), "in-channels 0"),
        ((4, -1, 1), "filters -1"),
        ((4, 4, 0), "groups 0"),
        ((4, 6, 4), "filters 6 cannot be split into groups 4"),
        ((10**10, 1, 1), "in-channels 10000000000"),
    ],
)
def test_impossible_channels(counts: tuple[int, int, int], message: str) -> None:
    with pytest.raises(CnncliError, match=message):
        check_channels(*counts)
