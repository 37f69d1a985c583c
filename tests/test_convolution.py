"""The arithmetic against torch: sizes, refusals, parameters, MACs, receptive fields, chains."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from cnncli.architecture import (
    Activation,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalPool,
    Norm,
    Pool,
    parse_chain,
    read_pair,
    trace_chain,
)
from cnncli.convolution import (
    Axis,
    ReceptiveField,
    Window,
    check_channels,
    count_macs,
    count_parameters,
    explain,
    solve,
)
from cnncli.errors import CnncliError

torch.set_num_threads(1)
CASES = 1500  # of every kind; the meta device computes shapes only


def _pair(rng: random.Random, low: int, high: int) -> tuple[int, int]:
    first = rng.randint(low, high)
    return first, first if rng.random() < 0.4 else rng.randint(low, high)


def _random_case(rng: random.Random, kind: str) -> tuple[Window, tuple[int, int]]:
    window = Window(
        kernel=_pair(rng, 1, 7),
        stride=_pair(rng, 1, 4),
        padding=_pair(rng, 0, 3 if kind == "pool" else 5),
        dilation=_pair(rng, 1, 3),
        output_padding=_pair(rng, 0, 2) if kind == "transposed" else (0, 0),
        kind=kind,  # type: ignore[arg-type]
        ceil_mode=kind == "pool" and rng.random() < 0.6,
    )
    return window, _pair(rng, 1, 24)


def _build(window: Window, mode: str = "max") -> nn.Module:
    options: dict[str, Any] = {"stride": window.stride, "padding": window.padding}
    if window.kind == "pool":
        options["ceil_mode"] = window.ceil_mode
        if mode == "avg":
            return nn.AvgPool2d(window.kernel, **options)
        return nn.MaxPool2d(window.kernel, dilation=window.dilation, **options)
    options.update(dilation=window.dilation, device="meta")
    if window.kind == "transposed":
        options["output_padding"] = window.output_padding
        return nn.ConvTranspose2d(1, 1, window.kernel, **options)
    return nn.Conv2d(1, 1, window.kernel, **options)


def _ask_torch(layer: nn.Module, size: tuple[int, int]) -> tuple[int, int] | None:
    """Return the output's size, or None where torch refuses.

    ConvTranspose2d refuses an output of 0 × 0 but lets 3 × 0 pass: no image, so refused here.
    """
    try:
        with torch.no_grad():
            height, width = layer(torch.empty(1, 1, *size, device="meta")).shape[2:]
    except RuntimeError:
        return None
    assert min(height, width) > 0 or isinstance(layer, nn.ConvTranspose2d)
    return (height, width) if min(height, width) > 0 else None


def _ask_us(window: Window, size: tuple[int, int]) -> tuple[int, int] | None:
    try:
        return window.output(size)
    except CnncliError:
        return None


@pytest.mark.parametrize(
    ("kind", "mode"),
    [("conv", ""), ("transposed", ""), ("pool", "max"), ("pool", "avg")],
)
def test_sizes_and_refusals_equal_torch(kind: str, mode: str) -> None:
    rng = random.Random(f"{kind}{mode}")
    refused = 0
    for _ in range(CASES):
        window, size = _random_case(rng, kind)
        if mode == "avg":
            window = replace(window, dilation=(1, 1))
        expected = _ask_torch(_build(window, mode), size)
        assert _ask_us(window, size) == expected, (window, size)
        refused += expected is None
    assert CASES / 50 < refused < CASES * 0.9, "the cases should hold both answers"


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
def test_same_equals_torch_for_stride_1() -> None:
    rng = random.Random(1)
    for _ in range(200):
        kernel, dilation, size = _pair(rng, 1, 6), _pair(rng, 1, 3), _pair(rng, 1, 20)
        window = Window(kernel, padding="same", dilation=dilation)
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
        window, size = _random_case(rng, "transposed" if transposed else "conv")
        if _ask_us(window, size) is None:
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


@pytest.mark.parametrize("unknown", ["padding", "kernel", "stride"])
@pytest.mark.parametrize("kind", ["conv", "transposed", "pool"])
def test_solve_finds_what_brute_force_finds(kind: str, unknown: Any) -> None:
    rng = random.Random(f"{kind}{unknown}")
    solved = 0
    for _ in range(150):
        axis = _random_case(rng, kind)[0].axes[0]
        size, target = rng.randint(1, 16), rng.randint(1, 16)
        tied = kind == "pool" and unknown == "kernel" and rng.random() < 0.5
        outputs = {}
        for value in range(0 if unknown == "padding" else 1, 70):
            tie = {"stride": value} if tied else {}
            candidate = replace(axis, **{unknown: value}, **tie)
            if candidate.find_fault(size) is None:
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


LENET5 = "conv5x5 f6 tanh; avgpool2; conv5x5 f16 tanh; avgpool2; flatten; dense 120; dense84;fc 10"


def _build_chain(text: str, size: tuple[int, int], in_channels: int) -> nn.Sequential:
    """Build a chain the simplest way there is, from the parser's layers."""
    modules: list[nn.Module] = []
    for layer in parse_chain(text):
        part: nn.Module
        match layer:
            case Conv(window=w):
                part = (nn.LazyConvTranspose2d if w.kind == "transposed" else nn.LazyConv2d)(
                    layer.filters,
                    w.kernel,
                    w.stride,
                    w.padding,
                    dilation=w.dilation,
                    groups=layer.groups,
                    bias=layer.bias,
                    **({"output_padding": w.output_padding} if w.kind == "transposed" else {}),
                )
            case Pool(window=w):
                part = _build(w, layer.mode)
            case GlobalPool():
                part = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
            case Norm():
                part = nn.LazyBatchNorm2d()
            case Dense():
                part = nn.LazyLinear(layer.units, bias=layer.bias)
            case Flatten():
                part = nn.Flatten()
            case Dropout():
                part = nn.Dropout(layer.probability)
            case _:
                part = nn.Identity()
        modules.append(part)
    return nn.Sequential(*modules)


@pytest.mark.parametrize(
    ("text", "size", "in_channels"),
    [
        (LENET5, (32, 32), 1),
        ("conv3x3 f32 relu; pool2; conv3 f32 relu; pool 2; flatten; dense 256; dense 256; "
         "dropout 0.4; dense 10", (28, 28), 1),
        ("conv3x5 f8 s2 same nobias\nbn relu; maxpool3x3 s2 p1 ceil; conv3 f8 g8 p1; "
         "conv 1x1 f24 d1; silu; gap; dense 5 nobias".replace("s2 same", "s2x1 p1x2"),
         (37, 50), 3),
        ("conv3x3 f6 same d2; deconv4 f4 s2 p1 op1; Deconv2x2 f2 s2; avgpool3 s1", (11, 13), 2),
    ],
    ids=["lenet5", "course-cnn", "strided", "transposed"],
)  # fmt: skip
def test_chain_equals_a_real_network(text: str, size: tuple[int, int], in_channels: int) -> None:
    traces = trace_chain(parse_chain(text), size, in_channels)
    network = _build_chain(text, size, in_channels).eval()
    x = torch.zeros(1, in_channels, *size)
    with torch.no_grad():
        for trace, module in zip(traces, network, strict=True):
            with FlopCounterMode(display=False) as counter:
                x = module(x)
            assert trace.shape == tuple(x.shape[1:]), trace.layer.text
            assert trace.parameters == sum(p.numel() for p in module.parameters())
            assert 2 * trace.macs == counter.get_total_flops(), trace.layer.text


def test_receptive_field_of_lenet5_by_the_recurrence() -> None:
    """r += (k - 1)·j, j *= s, written out: 5, 5+1=6, 6+4·2=14, 14+1·2=16."""
    traces = trace_chain(parse_chain(LENET5), (32, 32), 1)
    fields = [t.field and (t.field.size, t.field.jump[0]) for t in traces[:4]]
    assert fields == [((5, 5), 1), ((6, 6), 2), ((14, 14), 2), ((16, 16), 4)]
    assert [trace.field for trace in traces[4:]] == [None] * 4


@pytest.mark.parametrize(
    "text",
    [
        # VGG-like: 3, 5, 6, 10, 14, 16, 24, 32 by the recurrence
        "conv3 f1 p1; conv3 f1 p1; pool2; conv3 f1 p1; conv3 f1 p1; pool2; conv3 f1; conv3 f1",
        "conv5x3 f1 s2x1 d2; avgpool3x2 s2; relu; conv3x1 f1 d3; bn; deconv3 f1",
        LENET5.split("; flatten", maxsplit=1)[0],
    ],
)
def test_receptive_field_equals_a_gradient_probe(text: str) -> None:
    size = (96, 96)
    layers = parse_chain(text)
    x = torch.ones(1, 1, *size, requires_grad=True)
    y: torch.Tensor = x
    rows = []
    for trace in trace_chain(layers, size, 1):
        if isinstance(trace.layer, Conv | Pool):
            window = trace.layer.window
            # every tap counts alike: positive weights, and the average in place of the maximum
            channels = y.shape[1]
            weight = torch.ones(channels, 1, *window.kernel)
            if window.kind == "transposed":
                y = functional.conv_transpose2d(y, weight, groups=channels)
            else:
                assert window.padding != "same"
                y = functional.conv2d(
                    y, weight, None, window.stride, window.padding, window.dilation, channels
                )
        (gradient,) = torch.autograd.grad(
            y[0, 0, y.shape[2] // 2, y.shape[3] // 2], x, retain_graph=True
        )
        rows.append(trace)
        seen = gradient[0, 0].nonzero()
        height, width = (seen.max(0).values - seen.min(0).values + 1).tolist()
        assert trace.field is not None
        assert trace.field.size == (height, width), trace.layer.text
    assert rows[-1].field.size[0] > 12


def test_receptive_field_behind_a_strided_transposed_layer_is_not_one_number() -> None:
    (trace,) = trace_chain(parse_chain("deconv2 f1 s2"), (8, 8), 1)
    assert trace.field == ReceptiveField(None, (Fraction(1, 2), Fraction(1, 2)))


def test_words_become_layers() -> None:
    parsed = parse_chain("Conv3x5 F8 s2 SAME g2 nobias relu ;; pool3 s2 ceil\ntanh; dropout.25;")
    assert parsed == (
        Conv(
            window=Window((3, 5), (2, 2), "same"),
            filters=8,
            groups=2,
            bias=False,
            activation="relu",
        ),
        Pool(window=Window((3, 3), (2, 2), kind="pool", ceil_mode=True)),
        Activation(activation="tanh"),
        Dropout(probability=0.25),
    )
    assert [layer.number for layer in parsed] == [1, 2, 3, 4]
    assert parsed[1].text == "pool3 s2 ceil"


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("pool2", "maxpool2d 2"),
        ("gap", "globalavgpool"),
        ("bn", "batchnorm2d"),
        ("dense 3 leaky_relu", "linear3 leakyrelu"),
        ("deconv2 f1 s2", "convtranspose2d 2x2 f1 s2x2 valid".replace(" valid", "")),
        ("conv3 f2 p0", "conv2d 3x3 valid f2"),
    ],
)
def test_names_mean_the_same(short: str, long: str) -> None:
    assert parse_chain(short) == parse_chain(long)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pool2; pool2; cnv3x3 f8", "layer 3 'cnv3x3 f8': unknown layer; did you mean conv"),
        ("zzz", "layer 1 'zzz': unknown layer; the layers are conv,"),
        ("conv3x3", "how many filters"),
        ("conv f32", "number is missing; write it as in 'conv3x3 f32'"),
        ("conv0 f3", "kernel: '0' is not a size"),
        ("conv3x f3", "kernel: '3x' is not a size"),
        ("conv3 f0", "filters 0: use a whole number"),
        ("conv3 f2.5", "filters 2.5: use a whole number"),
        ("conv3 f8 s0", "stride: '0' is not a size"),
        ("conv3 f8 p-1", "unknown option 'p-1'"),
        ("conv3 f8 p1 same", "'same' comes after another 'p' option"),
        ("conv3 f8 f9", "'f9' comes after another 'f' option"),
        ("conv3 f8 relu tanh", "'tanh' comes after another 'activation' option"),
        ("conv3 f8 bn", "'bn' is a layer of its own: put a ; before it"),
        ("conv3 f8 pool2", "'pool2' is a layer of its own"),
        ("conv3 f8 rleu", "did you mean relu"),
        ("conv3 f8 op1", "unknown option 'op1'"),
        ("deconv3 f8 same", "unknown option 'same'"),
        ("avgpool2 d2", "unknown option 'd2'"),
        ("pool2 same ceil", "leave ceil out"),
        ("relu 3", "relu takes no options: leave '3' out"),
        ("relu6", "relu takes no options: leave '6' out"),
        ("dropout 1", "probability 1: write a number from 0"),
        ("dropout nan", "number is missing"),
        ("dense 0", "units 0"),
        ("flatten 3", "unknown option '3'"),
        (" ; \n", "no layers"),
        ("conv3 f99999999999", "filters 99999999999: use a whole number"),
        ("conv9999999999 f1", "kernel: 9999999999 is too large"),
    ],
)
def test_a_slip_in_the_words_is_told_with_its_place(text: str, message: str) -> None:
    with pytest.raises(CnncliError) as caught:
        parse_chain(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("conv3 f6; dense 9", "layer 2 'dense 9': takes a vector but gets maps of 6x6x6; put flat"),
        ("flatten; conv3 f6", "layer 2 'conv3 f6': takes maps but gets a vector of 64 values"),
        ("gap; pool2", "layer 2 'pool2': takes maps but gets a vector of 1 values"),
        ("pool2; conv5 f6", "layer 2 'conv5 f6': kernel 5 is larger than the padded input 4"),
        ("conv3 f6; conv3 f8 g4", "layer 2 'conv3 f8 g4': in-channels 6 cannot be split"),
        ("pool3 p2", "padding 2 is more than half of the pooling kernel 3"),
        ("deconv3 f1 op1", "output padding 1 must be smaller than the stride 1"),
    ],
)
def test_layers_that_do_not_fit_are_told_with_their_place(text: str, message: str) -> None:
    with pytest.raises(CnncliError) as caught:
        trace_chain(parse_chain(text), (8, 8), 1)
    assert message in str(caught.value)


def test_a_fault_names_its_side() -> None:
    with pytest.raises(
        CnncliError, match=r"^width: kernel 5 .* at most 4 or padding of at least 1"
    ):
        Window((3, 5)).output((9, 4))
    with pytest.raises(CnncliError, match=r"^kernel 5"):
        Window((5, 5)).output((4, 4))


def test_what_a_fault_advises_is_right() -> None:
    rng = random.Random(5)
    advised = 0
    for _ in range(600):
        axis = replace(_random_case(rng, "conv")[0].axes[0], padding=0)
        size = rng.randint(1, 8)
        fault = axis.find_fault(size)
        if fault is None:
            continue
        advised += 1
        most, least = fault.split("kernel of at most ")[1].split(" or padding of at least ")
        assert replace(axis, kernel=int(most)).find_fault(size) is None
        assert replace(axis, kernel=int(most) + 1).find_fault(size) is not None
        assert replace(axis, padding=int(least)).find_fault(size) is None
        assert replace(axis, padding=int(least) - 1).find_fault(size) is not None
    assert advised > 50
    for padding in range(1, 9):  # transposed: 3 pixels, kernel 1, stride 1
        fault = Axis(1, padding=padding, kind="transposed").find_fault(3)
        if fault:
            assert fault.endswith("use padding of at most 1")
    assert Axis(1, padding=1, kind="transposed").find_fault(3) is None


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


def test_read_pair_bounds() -> None:
    assert read_pair("3", "x") == (3, 3)
    assert read_pair(" 3 X 0005", "x") == (3, 5)
    assert read_pair("0x2", "x", least=0) == (0, 2)
    for text in ("0", "-1", "1.5", "", "3x", "x3", "3x3x3", "9" * 5000, "1" + "0" * 10):
        with pytest.raises(CnncliError, match=r"^side: "):
            read_pair(text, "side")


def test_every_formula_line_ends_in_the_size() -> None:
    """The numbers in the formula, computed as they stand there, give the output."""
    import math

    rng = random.Random(6)
    for kind in ("conv", "transposed", "pool"):
        for _ in range(100):
            window, size = _random_case(rng, kind)
            output = _ask_us(window, size)
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
