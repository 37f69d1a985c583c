"""Derivatives equal torch's autograd; worked sums; the matrix of a convolution."""

import math
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_layers import convolve, to_tensor
from torch.nn import functional as F  # noqa: N812

from cnncli.convolving.chain import build_steps, parse_then
from cnncli.convolving.convolution import build_convolution
from cnncli.convolving.gradients import explain_gradients, find_gradients, remark_gradients
from cnncli.convolving.kernels import Kernel, parse_kernel
from cnncli.convolving.matrix import build_matrix
from cnncli.convolving.notation import parse_grids
from cnncli.convolving.values import Values
from cnncli.convolving.worked import explain, find_indices, work
from cnncli.errors import CnncliError

IMAGE = parse_grids("3 0 1 2 7; 1 5 8 9 3; 2 7 2 5 1; 0 1 3 1 7; 4 2 1 6 2", "input")


def build(values, kernels, then="", biases=(0,), **window):
    steps = [build_convolution([parse_kernel(k) for k in kernels], biases, values.shape, **window)]
    return [*steps, *build_steps(parse_then(then), steps[0].out_shape)] if then else steps


CHAINS = {
    "": lambda x: x,
    "relu": F.relu,
    "pool2": lambda x: F.max_pool2d(x, 2),
    "relu; pool2 s1": lambda x: F.max_pool2d(F.relu(x), 2, 1),
    "avgpool2 ceil": lambda x: F.avg_pool2d(x, 2, ceil_mode=True),
    "bn relu": lambda x: F.relu(F.batch_norm(x, None, None, training=True)),
    "gelu": F.gelu,
    "mish": F.mish,
    "silu": F.silu,
    "elu": F.elu,
    "leaky_relu": F.leaky_relu,
    "tanh": torch.tanh,
    "sigmoid; gap": lambda x: torch.sigmoid(x).mean((2, 3)),
    "dropout 0.5; relu; flatten": lambda x: F.relu(x).flatten(1),
}


def leaf(values):
    return to_tensor(values).requires_grad_()


def near(values, tensor):
    torch.testing.assert_close(to_tensor(values), tensor, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("then", CHAINS)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_gradients_of_the_sum(then, data):
    number = st.integers(-6, 6).map(lambda x: x / 4)
    padding, stride = data.draw(st.integers(0, 2)), data.draw(st.integers(1, 2))
    numbers = data.draw(st.lists(number, min_size=72, max_size=72))
    weights = data.draw(st.lists(number, min_size=24, max_size=24))
    given_ = Values((2, 6, 6), numbers)
    parts = [Values((2, 2, 3), weights[:12]), Values((2, 2, 3), weights[12:])]
    layer = build_convolution(
        [Kernel("drawn", (part,)) for part in parts],
        [1, -0.5],
        given_.shape,
        padding=(padding, padding),
        stride=(stride, stride),
    )
    steps = [layer, *(build_steps(parse_then(then), layer.out_shape) if then else [])]
    found = find_gradients(work(given_, steps))
    x, w = leaf(given_), torch.cat([to_tensor(part) for part in parts]).requires_grad_()
    b = torch.tensor([1, -0.5], dtype=torch.float64, requires_grad=True)
    out = convolve(x, w, stride=(stride,) * 2, padding=(padding,) * 2, dilation=(1, 1), bias=b)
    CHAINS[then](out).sum().backward()
    near(found.given, x.grad)
    for values, grad in zip(found.kernels, w.grad, strict=True):
        near(values, grad[None])
    torch.testing.assert_close(
        torch.tensor(found.biases, dtype=torch.float64), b.grad, rtol=1e-10, atol=1e-12
    )


@pytest.mark.parametrize("target", range(4))
def test_gradients_of_the_cross_entropy(target):
    steps = build(IMAGE, ["1 0 -1; 2 0 -2; 1 0 -1"], "relu; pool2 s1; flatten; softmax")
    worked = work(IMAGE, steps, target)
    found = find_gradients(worked)
    x, w = leaf(IMAGE), leaf(parse_kernel("sobel-x").parts[0])
    out = F.max_pool2d(F.relu(F.conv2d(x, w)), 2, 1).flatten(1)
    loss = F.cross_entropy(out, torch.tensor([target]))
    loss.backward()
    assert worked.loss == pytest.approx(loss.item(), rel=1e-12)
    near(found.given, x.grad)
    near(found.kernels[0], w.grad)


def test_every_worked_derivative_is_right():
    steps = build(IMAGE, ["1 -1; 0 1/2", "2 0; 1 -3"], "relu; pool2; flatten; softmax", (1, 2),
                  padding=(1, 0))  # fmt: skip
    worked = work(IMAGE, steps, 3)
    found = find_gradients(worked)
    lines = list(explain_gradients(worked, found))
    assert len(lines) == worked.result.shape[0] + 8 + 2 + 25
    for line in lines:
        values = [value_of(term) for term in line.split(" = ")[1:]]
        assert len(values) == 2
        assert values[0] == pytest.approx(values[1], rel=1e-4, abs=1e-4)
    answers = [float(line.split(" = ")[-1]) for line in lines]
    numbers = [x for values in found.kernels for x in values.numbers]
    numbers = [*found.values[-1].numbers, *numbers, *found.biases, *found.given.numbers]
    assert answers == pytest.approx(numbers, rel=1e-4)


def test_gradients_of_an_image_that_numpy_convolved():
    values = Values((1, 60, 60), [(7 * n) % 31 for n in range(3600)])
    worked = work(values, build(values, ["sobel-x"], "relu; pool2"))
    assert not isinstance(worked.result.numbers, list)
    found = find_gradients(worked)
    x, w = leaf(values), leaf(parse_kernel("sobel-x").parts[0])
    F.max_pool2d(F.relu(F.conv2d(x, w)), 2).sum().backward()
    near(found.given, x.grad)
    near(found.kernels[0], w.grad)
    with pytest.raises(CnncliError, match="take a smaller input"):
        list(explain_gradients(worked, found))


def test_a_kernel_that_is_applied_to_each_channel_sums_up_its_gradients():
    values = parse_grids("1 2; 3 4 | 5 6; 7 8", "x")
    found = find_gradients(work(values, build(values, ["2 -1"])))
    x, w = leaf(values), torch.tensor([[[[2.0, -1.0]]]], dtype=torch.float64, requires_grad=True)
    F.conv2d(x.reshape(2, 1, 2, 2), w).sum().backward()
    near(found.given, x.grad)
    near(found.kernels[0], w.grad)
    assert found.biases == (4,)


def test_gradients_of_mirrored_padding():
    values = parse_grids("1 2 3; 4 5 6; 7 8 9", "x")
    steps = build(values, ["1 2; 3 4"], mode="reflect", padding=(1, 1))
    found = find_gradients(work(values, steps))
    x, w = leaf(values), leaf(parse_grids("1 2; 3 4", "k"))
    F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), w).sum().backward()
    near(found.given, x.grad)
    near(found.kernels[0], w.grad)


def test_of_equal_maxima_the_first_counts():
    values = parse_grids("0 3; 3 3", "x")
    found = find_gradients(work(values, build_steps(parse_then("pool2"), values.shape)))
    assert found.given.numbers == [0, 1, 0, 0]
    assert (found.kernels, found.biases) == ((), ())


def test_the_slope_of_relu_at_zero_is_zero():
    values = parse_grids("0 -1 2", "x")
    found = find_gradients(work(values, build_steps(parse_then("relu"), values.shape)))
    assert found.given.numbers == [0, 0, 1]


def value_of(term):
    """Compute a worked sum as it is written, with Python's own arithmetic."""
    text = re.sub(r"bias ", "", term).replace("·", "*").replace("^", "**")
    text = re.sub(r"\|([^|]*)\|", r"abs(\1)", text)
    return eval(text, {"max": max, "abs": abs, "e": math.e})


@pytest.mark.parametrize(
    ("kernels", "extra"),
    [
        (["sobel-x"], {}),
        (["1 0; 0 -1", "-2 1; 1/2 0"], {"biases": [3, -1]}),
        (["sobel"], {"padding": "same"}),
        (["1 2; 3 4"], {"padding": (1, 1), "stride": (2, 2), "then": "relu; pool2; flatten; relu"}),
        (["laplacian"], {"then": "avgpool2 s1 ceil; gap; softmax"}),
    ],
)
def test_every_worked_sum_is_right(kernels, extra):
    worked = work(IMAGE, build(IMAGE, kernels, **extra))
    lines = list(explain(worked, None))
    told = [step for step in worked.steps if not step.is_identity]
    assert len(lines) == sum(math.prod(step.out_shape) for step in told)
    for line in lines:
        _, *terms = line.split(" = ")
        values = [value_of(term) for term in terms]
        assert len(values) >= 2
        assert values == pytest.approx([values[-1]] * len(values), rel=1e-4)


def test_the_worked_sum_of_lecture_notes():
    image = parse_grids("0 1 0 0; 0 1 0 0; 0 1 0 0; 0 1 0 0", "input")
    worked = work(image, build(image, ["-1 1 -1; -1 1 -1; -1 1 -1"]))
    assert next(explain(worked, [0])) == (
        "output[0,0] = -1·0 + 1·1 + -1·0 + -1·0 + 1·1 + -1·0 + -1·0 + 1·1 + -1·0 = 3"
    )


def test_one_output_is_told_back_to_the_input():
    worked = work(IMAGE, build(IMAGE, ["1 0; 0 -1"], "relu; pool2"))
    lines = list(explain(worked, find_indices("1,0", worked.result)))
    names = [line.split(" = ")[0] for line in lines]
    places = ["[2,0]", "[2,1]", "[3,0]", "[3,1]"]
    assert names == [*("output" + p for p in places), *("relu" + p for p in places), "pool2[1,0]"]


def test_of_batch_normalisation_mean_and_variance_are_told():
    worked = work(IMAGE, build(IMAGE, ["1 0; 0 -1"], "bn"))
    first, second = explain(worked, find_indices("1,2", worked.result))
    assert first.startswith("output[1,2] = ")
    x = F.conv2d(to_tensor(IMAGE), torch.tensor([[[[1.0, 0], [0, -1]]]], dtype=torch.float64))
    words = re.search(r"= \((.*) - mean (.*)\) / sqrt\(variance (.*) \+ 0.00001\) = (.*)", second)
    expected = [
        x[0, 0, 1, 2],
        x.mean(),
        x.var(correction=0),
        F.batch_norm(x, None, None, training=True)[0, 0, 1, 2],
    ]
    assert [float(word) for word in words.groups()] == pytest.approx(
        [each.item() for each in expected], rel=1e-4
    )


@pytest.mark.parametrize(
    ("text", "indices"), [("0,1", [1, 5]), ("1,1,0", [6]), (" 1 , 1 ", [3, 7])]
)
def test_places(text, indices):
    assert find_indices(text, Values((2, 2, 2), list(range(8)))) == indices


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("2,0", "lies outside of the output of 2x2x2; counted from 0, its last place is 1,1"),
        ("0,0,2", "its last place is 1,1,1"),
        ("1", "write ROW,COL or MAP,ROW,COL, counted from 0"),
        ("a,b", "write ROW,COL"),
        ("-1,0", "write ROW,COL"),
        ("", "write ROW,COL"),
    ],
)
def test_wrong_places(text, why):
    with pytest.raises(CnncliError, match=why):
        find_indices(text, Values((2, 2, 2), list(range(8))))


def test_too_many_sums_ask_for_one_place():
    values = Values((1, 50, 50), [1] * 2500)
    worked = work(values, build(values, ["1"]))
    with pytest.raises(CnncliError, match="choose one number of the output with --at"):
        list(explain(worked, None))


def test_remarks():
    values = parse_grids("1 2; 3 4 | 5 6; 7 9", "x")
    worked = work(values, build(values, ["1", "1 | 2"], "bn; dropout 0.2; gap; softmax"))
    lines = [line for step in worked.steps for line in step.remarks()]
    text = "\n".join([*lines, *remark_gradients(worked)])
    for words in (
        "1 channel, applied to each of the input's 2 by itself: 2 maps",
        "2 channels as the input has, summed up to one map",
        "no trained statistics",
        "does nothing after training",
        "always sum to 1",
    ):
        assert words in text


@pytest.mark.parametrize(
    ("kernels", "extra"),
    [
        (["sobel-x"], {"padding": "same"}),
        (["1 2; 3 4", "0 1; 0 -1"], {"stride": (2, 1)}),
        (["1 0; 2 3"], {"padding": (1, 1), "dilation": (2, 2)}),
        (["1 2 | 3 4", "5 6"], {}),
    ],
)
def test_the_matrix_is_the_jacobian(kernels, extra):
    text = "1 2 3 4 5; 5 4 3 2 1; 1 1 1 1 1; 2 0 2 0 2; 9 8 7 6 5"
    values = parse_grids(f"{text} | {text}" if "|" in kernels[0] else text, "x")
    layer = build(values, kernels, **extra)[0]
    matrix = build_matrix(layer)

    def forward(x):
        maps = []
        for found in layer.maps:
            kernel = layer.kernels[found.kernel]
            read = x[:, found.first : found.first + kernel.channels]
            window = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1)} | extra
            maps.append(convolve(read, to_tensor(kernel.parts[0]), **window))
        return torch.cat(maps, 1).reshape(-1)

    jacobian = torch.autograd.functional.jacobian(forward, to_tensor(values))
    found = torch.tensor(matrix.numbers, dtype=torch.float64)
    torch.testing.assert_close(found, jacobian.reshape(found.shape), rtol=0, atol=0)
    facts = matrix.describe()
    assert facts["connections"] + facts["zeros"] == found.numel() == facts["dense_weights"]
    assert facts["connections"] == sum(weight >= 0 for row in matrix.weights for weight in row)
    assert facts["dense_parameters"] == torch.nn.Linear(
        found.shape[1], found.shape[0]
    ).weight.numel() + len(found)


def test_the_reuse_of_each_weight():
    values = Values((1, 5, 5), [0] * 25)
    matrix = build_matrix(build(values, ["sobel-x"], padding="same")[0])
    assert matrix.shape == (25, 25)
    # The middle weight meets every pixel; one at a corner misses a row and a column.
    assert matrix.reuse == [16, 20, 16, 20, 25, 20, 16, 20, 16]


@pytest.mark.parametrize(
    ("shape", "kernel", "extra", "why"),
    [
        ((1, 60, 60), "1", {}, "more than 1,000,000 entries"),
        ((1, 5, 5), "sobel", {}, "take sobel-x or sobel-y"),
        ((1, 5, 5), "1 1 1", {"mode": "reflect", "padding": (1, 1)}, "a sum of several weights"),
    ],
)
def test_what_is_no_matrix(shape, kernel, extra, why):
    values = Values(shape, [0] * math.prod(shape))
    with pytest.raises(CnncliError, match=why):
        build_matrix(build(values, [kernel], **extra)[0])


@pytest.mark.parametrize(
    ("then", "target", "why"),
    [
        ("relu", 0, "needs a softmax as the last layer"),
        ("flatten; softmax", 9, "9: the softmax has 9 classes, from 0 to 8"),
        ("flatten; softmax", -1, "from 0 to 8"),
    ],
)
def test_wrong_targets(then, target, why):
    with pytest.raises(CnncliError, match=why):
        work(IMAGE, build(IMAGE, ["sobel-x"], then), target)


def test_no_gradients_of_absolute_values():
    with pytest.raises(CnncliError, match="take sobel-x or sobel-y"):
        find_gradients(work(IMAGE, build(IMAGE, ["sobel"])))
