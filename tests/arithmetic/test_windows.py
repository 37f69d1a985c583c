"""The place of every window against torch: which pixels each output value depends on."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional
from windows import ask_us, build_layer

from cnncli.arithmetic.convolution import Size, SlidingWindow
from cnncli.arithmetic.formula import describe_unseen
from cnncli.arithmetic.windows import Plane, lay_out

torch.set_num_threads(1)


def _pairs(low: int, high: int) -> st.SearchStrategy[Size]:
    return st.tuples(st.integers(low, high), st.integers(low, high))


@st.composite
def _cases(draw: Any, kind: str, mode: str = "") -> tuple[SlidingWindow, Size]:
    pool, transposed = kind == "pool", kind == "transposed"
    axes = []
    for _ in range(2):
        kernel, stride = draw(st.integers(1, 5)), draw(st.integers(1, 4))
        dilation = 1 if mode == "avg" else draw(st.integers(1, 3))
        padding = draw(st.integers(0, kernel // 2 if pool else 4))
        extra = draw(st.integers(0, max(stride, dilation) - 1)) if transposed else 0
        least = 1 if transposed else max(1, dilation * (kernel - 1) + 1 - 2 * padding)
        size = draw(st.integers(least, least + 8))
        axes.append((kernel, stride, padding, dilation, extra, size))
    *values, size = zip(*axes, strict=True)
    window = SlidingWindow(*values, kind=kind, ceil_mode=pool and draw(st.booleans()))
    assume(ask_us(window, size) is not None)
    return window, size


def _depends(layer: nn.Module, size: Size) -> torch.Tensor:
    """Return (H, W, H', W'): whether an output value changes with a pixel, by torch.

    Each pixel in its turn is 1 among zeros; weights are 1, so that nothing cancels.
    """
    for parameter in layer.parameters():
        nn.init.constant_(parameter, float(parameter.dim() > 1))
    count = size[0] * size[1]
    with torch.no_grad():
        one_hot = torch.eye(count, dtype=torch.float64).reshape(count, 1, *size)
        answers = layer.double()(one_hot)
    # The maximum over padding alone is -inf, whatever the image.
    return (answers > 0).reshape(*size, *answers.shape[2:])


def _by_frames(plane: Plane, size: Size) -> torch.Tensor:
    """Return the same (H, W, H', W') from the frames, by what stands in the cells they touch."""
    found = torch.zeros(*size, *plane.output, dtype=torch.bool)
    for frame in plane.frames():
        for row, column in itertools.product(frame.rows, frame.columns):
            if plane.kind(row, column) == "input":
                pixel = (
                    (row - plane.rows.first) // plane.rows.pace,
                    (column - plane.columns.first) // plane.columns.pace,
                )
                found[(*pixel, *frame.output)] = True
    return found


@pytest.mark.parametrize(
    ("kind", "mode"), [("conv", ""), ("transposed", ""), ("pool", "max"), ("pool", "avg")]
)
def test_a_frame_touches_the_pixels_that_torch_depends_on(kind: str, mode: str) -> None:
    @settings(max_examples=150, deadline=None, derandomize=True, database=None)
    @given(_cases(kind, mode))
    def check(case: tuple[SlidingWindow, Size]) -> None:
        window, size = case
        expected = _depends(build_layer(window, mode), size)
        plane = lay_out(window, size)
        assert torch.equal(_by_frames(plane, size), expected)
        # What is drawn as never seen is what no output depends on.
        seen = expected.any(3).any(2)
        rows = tuple(torch.nonzero(~seen.any(1)).flatten().tolist())
        columns = tuple(torch.nonzero(~seen.any(0)).flatten().tolist())
        if seen.any():
            assert plane.rows.unseen_pixels == rows
            assert plane.columns.unseen_pixels == columns

    check()


def test_a_gradient_flows_to_the_pixels_of_the_frame() -> None:
    window, size = SlidingWindow((3, 2), (2, 1), (1, 0), (1, 2)), (6, 5)
    layer = build_layer(window).double()
    image = torch.ones(1, 1, *size, dtype=torch.float64, requires_grad=True)
    output = layer(image)
    plane = lay_out(window, size)
    for row, column in itertools.product(*map(range, plane.output)):
        (gradient,) = torch.autograd.grad(output[0, 0, row, column], image, retain_graph=True)
        touched = {tuple(place) for place in torch.nonzero(gradient[0, 0]).tolist()}
        pixels = itertools.product(plane.rows.pixels(row), plane.columns.pixels(column))
        assert set(pixels) == touched


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(_pairs(1, 5), _pairs(1, 4), _pairs(1, 3), _pairs(1, 9))
def test_same_pads_as_tensorflow_says(
    kernel: Size, stride: Size, dilation: Size, size: Size
) -> None:
    padding = []
    for n, k, s, d in zip(size, kernel, stride, dilation, strict=True):
        total = max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
        padding = [total // 2, total - total // 2, *padding]  # the last axis first
    weight = torch.ones(1, 1, *kernel, dtype=torch.float64)

    class Same(nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            padded = functional.pad(image, padding)
            return functional.conv2d(padded, weight, stride=stride, dilation=dilation)

    window = SlidingWindow(kernel, stride, "same", dilation)
    assert torch.equal(_by_frames(lay_out(window, size), size), _depends(Same(), size))


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(_cases("transposed"))
def test_sliding_over_the_stretched_input_is_a_transposed_convolution(
    case: tuple[SlidingWindow, Size],
) -> None:
    """The picture itself: the plane's cells, convolved by the turned kernel, give the output."""
    window, size = case
    layer = build_layer(window).double()
    image, plane = torch.randn(1, 1, *size, dtype=torch.float64), lay_out(window, size)
    cells = torch.zeros(plane.rows.length, plane.columns.length, dtype=torch.float64)
    rows, columns = (
        slice(line.first, line.first + line.stretched, line.pace)
        for line in (plane.rows, plane.columns)
    )
    cells[rows, columns] = image[0, 0]
    turned = layer.weight[0, 0].flip(0, 1)
    with torch.no_grad():
        expected = layer(image)[0, 0]
        found = torch.stack(
            [(cells[list(f.rows)][:, list(f.columns)] * turned).sum() for f in plane.frames()]
        ).reshape(expected.shape)
        torch.testing.assert_close(found + layer.bias, expected)


def _kinds(window: SlidingWindow, size: int) -> str:
    """Return the cells of one direction by their first letters."""
    line = lay_out(window, (size, size)).rows
    return "".join({"output padding": "+", "outside": "."}.get(k := line.kind(c), k[0])
                   for c in range(line.length))  # fmt: skip


def test_what_stands_in_the_cells() -> None:
    transposed = SlidingWindow((3, 3), (2, 2), (1, 1), output_padding=(1, 1), kind="transposed")
    pool = SlidingWindow((3, 3), (2, 2), kind="pool", ceil_mode=True)
    assert _kinds(SlidingWindow((3, 3), (2, 2), (1, 1)), 5) == "piiiiip"
    assert _kinds(SlidingWindow((4, 4), padding="same"), 5) == "piiiiipp"
    assert _kinds(transposed, 3) == "pizizip+"
    assert _kinds(pool, 6) == "iiiiii."


def test_frames_are_numbered_row_by_row() -> None:
    frames = list(lay_out(SlidingWindow((3, 2)), (4, 6)).frames())
    assert [frame.number for frame in frames] == list(range(1, 11))
    assert [frame.output for frame in frames][4:6] == [(0, 4), (1, 0)]
    assert (frames[-1].rows, frames[-1].columns) == ((1, 2, 3), (4, 5))


@pytest.mark.parametrize(
    ("window", "size", "sentence"),
    [
        (SlidingWindow((3, 3)), (5, 5), ""),
        (SlidingWindow((3, 3), (2, 2)), (6, 5), "The last row is never seen."),
        (SlidingWindow((3, 3), (3, 3)), (5, 6), "The last 2 rows are never seen."),
        (SlidingWindow((3, 3), (2, 2)), (6, 6),
         "The last row and the last column are never seen."),
        (SlidingWindow((3, 3), (2, 2), (1, 1)), (8, 7),
         "The last row of the padding is never seen."),
        (SlidingWindow((1, 1), (2, 2)), (3, 7),
         "Row 2 and columns 2, 4 and 6 are never seen."),
        (SlidingWindow((1, 1), (2, 2)), (3, 15), "Row 2 and 7 of 15 columns are never seen."),
        (SlidingWindow((1, 1), padding=(1, 1), kind="transposed"), (5, 3),
         "The first row, the last row, the first column and the last column are never seen."),
        (SlidingWindow((3, 3), (4, 4), (1, 1)), (8, 5),
         "Rows 3, 7 and 8, the last row of the padding and column 3 are never seen."),
    ],
)  # fmt: skip
def test_what_is_never_seen_in_words(window: SlidingWindow, size: Size, sentence: str) -> None:
    assert describe_unseen(lay_out(window, size)) == sentence
