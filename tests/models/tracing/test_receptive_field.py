"""The receptive field against what gradients say, and against the literature."""

import functools
from collections.abc import Mapping

import pytest
import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torchvision import models

from cnncli.models.custom.cnn import CNN
from cnncli.models.custom.lenet5 import LeNet5
from cnncli.models.tracing.receptive_field import Field, Span
from cnncli.models.tracing.trace import trace_network

LARGEST = 512  # pixels: fields from here on are checked by hand


class AllOnes(TorchFunctionMode):
    """Makes a network's gradients non-zero wherever an input counts, and only there.

    Weights are positive, biases zero, activations and norms off, average in place of maximum. With
    equal weights all channels are equal, so that one is computed for all of them: what a position
    sees does not depend on the number of channels, and the probe takes milliseconds.
    """

    OFF = ("relu", "relu_", "hardtanh", "batch_norm", "dropout", "hardswish", "hardsigmoid", "tanh")

    def __torch_function__(self, func, types, args=(), kwargs: Mapping | None = None):
        kwargs = dict(kwargs or {})
        name = func.__name__
        if name == "conv2d":
            x, weight, _, stride, padding, dilation = args[:6]
            ones = torch.ones(1, 1, *weight.shape[2:], dtype=x.dtype) / weight[0, 0].numel()
            mixed = x.mean(1, keepdim=True)
            return func(mixed, ones, None, stride, padding, dilation)
        if name == "linear":
            return args[0].mean(-1, keepdim=True)
        if name in self.OFF:
            return args[0]
        if name == "max_pool2d":
            keep = {k: kwargs[k] for k in ("stride", "padding", "ceil_mode") if k in kwargs}
            return torch.nn.functional.avg_pool2d(args[0], *args[1:2], **keep)
        return func(*args, **kwargs)


def probe(network, size):
    """Return a probe image and what each module made of it the last time it ran."""
    outputs = {}

    def note(name):
        return lambda module, inputs, output: outputs.__setitem__(name, output)

    hooks = [module.register_forward_hook(note(name)) for name, module in network.named_modules()]
    # float64: no gradient underflows on its way from a field's corner.
    image = torch.ones(1, 1, *size, dtype=torch.float64, requires_grad=True)
    with AllOnes():
        network(image)
    for hook in hooks:
        hook.remove()
    return image, outputs


def seen_by(image, output, axis):
    """Return the middle position and the first and last pixel whose gradient is not zero there."""
    middle = [side // 2 for side in output.shape[2:]]
    value = output[(0, slice(None), *middle)].sum()  # concatenated parts see different pixels
    (gradient,) = torch.autograd.grad(value, image, retain_graph=True)
    pixels = gradient[0, 0].abs().sum(1 - axis).nonzero()
    return middle, (int(pixels.min()), int(pixels.max()))


@functools.cache
def build(name):
    if name == "lenet5":
        return LeNet5(10, 1, image_size=(64, 64)).eval()
    options = {"init_weights": False} if name in ("inception_v3", "googlenet") else {}
    with torch.device("meta"):  # the probe reads the weights' shapes only
        return models.get_model(name, **options).eval()


def trace_shapes(network, size):
    first = next(m for m in network.modules() if isinstance(m, nn.Conv2d))
    return trace_network(network, size, first.in_channels)


def compare(network, size, axis):
    """Return the layers whose field is not what gradients say, and how many were compared."""
    records = trace_shapes(network, size)
    image, outputs = probe(network, size)
    seen, wrong, checked = {}, [], 0
    for layer, output in outputs.items():
        span = records[layer].field.spans[axis]
        if span.size is None or span.whole or span.size >= LARGEST or output.ndim != 4:
            continue
        if id(output) not in seen:  # norms and activations are off: most outputs are the same
            seen[id(output)] = seen_by(image, output, axis)
        middle, pixels = seen[id(output)]
        checked += 1
        if span.interval(middle[axis]) != pixels:
            wrong.append((layer, span, pixels))
    return wrong, checked


# How many modules run and see a known field of under 512 pixels, along rows and along columns
# (Inception has kernels of 1×7 and 7×1).
PROBED = {
    "lenet5": (4, 4), "alexnet": (15, 15), "vgg11": (22, 22), "resnet18": (65, 65),
    "resnet50": (148, 148), "densenet121": (196, 196), "mobilenet_v2": (209, 209),
    "inception_v3": (151, 154), "googlenet": (220, 220), "shufflenet_v2_x1_0": (178, 178),
    "squeezenet1_1": (65, 65),
}  # fmt: skip


# Along the columns, too, where kernels are uneven; of the others the fields are square.
@pytest.mark.parametrize(
    ("name", "axis"),
    [
        *((name, 0) for name in PROBED),
        *(
            pytest.param(name, 1, marks=() if rows != columns else pytest.mark.slow)
            for name, (rows, columns) in PROBED.items()
        ),
    ],
)
def test_every_layer_sees_the_pixels_that_have_a_gradient(name, axis):
    network = build(name)
    # Long along one axis for the fields to fit into; the other needs but to let the network run.
    size = (1200, 96) if axis == 0 else (96, 1200)
    size = (64, 64) if name == "lenet5" else size
    wrong, checked = compare(network, size, axis)
    assert not wrong
    assert checked == PROBED[name][axis]


class Odd(nn.Module):
    """What torchvision's networks lack: dilation, uneven windows, strided slices and pads."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, (3, 5), stride=(2, 1), padding=(0, 2), dilation=(2, 3))
        self.conv2 = nn.Conv2d(4, 4, 4, padding="same")
        self.pool = nn.MaxPool2d(3, 2, padding=1, ceil_mode=True)
        self.left = nn.Conv2d(4, 4, 3, padding=1)
        self.right = nn.Identity()
        self.joined = nn.Identity()
        self.halved = nn.Identity()
        self.stacked = nn.Identity()
        self.last = nn.Conv2d(16, 4, 3)

    def forward(self, x):
        x = self.pool(self.conv2(self.conv1(x)))
        late = self.right(torch.nn.functional.pad(x, (3, 0, 0, 2))[:, :, 2:, :-3])
        x = self.joined(self.left(x) + late)
        x = self.halved(torch.cat([x[:, :, :36:2, 1:37:3], x[:, :, 1:37:2, :36:3]], 1))
        x = self.stacked(torch.stack([x, x * 2], 1).flatten(1, 2))
        return self.last(x.permute(0, 1, 3, 2).transpose(2, 3).contiguous())


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.filterwarnings("ignore:Using padding='same'")
def test_slices_pads_and_uneven_windows_move_the_field(axis):
    wrong, checked = compare(Odd().eval(), (301, 302), axis)
    assert not wrong
    assert checked == 10


def recur(*layers):
    """Return size and jump after windows of (kernel, stride): the recurrence written out."""
    size = jump = 1
    for kernel, stride in layers:
        size += (kernel - 1) * jump
        jump *= stride
    return size, jump


C3, POOL2 = (3, 1), (2, 2)
STEM = [(7, 2), (3, 2)]


def bottlenecks(*blocks):
    """The 3×3 convolutions of a ResNet: torchvision halves in a stage's first block."""
    return [
        (3, 2 if stage and not block else 1)
        for stage, count in enumerate(blocks)
        for block in range(count)
    ]


@pytest.mark.parametrize(
    ("name", "layer", "windows", "published"),
    [
        ("alexnet", "features", [(11, 4), (3, 2), (5, 1), (3, 2), C3, C3, C3, (3, 2)], 195),
        ("vgg16", "features", [C3, C3, POOL2] * 2 + [C3, C3, C3, POOL2] * 3, 212),
        # Distill's ResNets halve in the *last* block of stages 1 to 3 (TensorFlow slim): 483, 1027.
        ("resnet50", "layer4", STEM + bottlenecks(3, 4, 6, 3), 427),
        ("resnet101", "layer4", STEM + bottlenecks(3, 4, 23, 3), 971),
        ("inception_v3", "Mixed_7c", None, 1311),
    ],
)
def test_fields_above_the_probe_are_the_written_out_recurrence(name, layer, windows, published):
    # Source: Araujo, Norris, Sim (2019), table 1; ResNets by the recurrence for torchvision.
    field = trace_shapes(build(name), (299, 299))[layer].field
    assert field.size == published
    if windows:
        assert recur(*windows) == (field.size, field.jump)


def test_halving_in_the_last_block_gives_the_published_resnet50():
    # The same network as TensorFlow slim orders it: what makes 483 of 427.
    strides = [1, 1, 2] + [1, 1, 1, 2] + [1] * 5 + [2] + [1, 1, 1]
    assert recur(*STEM, *((3, stride) for stride in strides)) == (483, 32)


# How many modules see the whole image: all behind the first gate, or behind the last pooling.
WHOLE = {"mobilenet_v3_small": 201, "efficientnet_b0": 322, "resnet18": 3, "lenet5": 5}


@pytest.mark.parametrize("name", WHOLE)
def test_whole_image_means_a_gradient_at_every_border(name):
    network = build(name)
    size = (64, 64) if name == "lenet5" else (224, 224)
    records = trace_shapes(network, size)
    image, outputs = probe(network, size)
    whole = {n: out for n, out in outputs.items() if records[n].field.size == "whole image"}
    for output in {id(out): out for out in whole.values()}.values():
        (gradient,) = torch.autograd.grad(output.flatten()[0], image, retain_graph=True)
        seen = gradient[0, 0] != 0
        assert seen.any(0).all()
        assert seen.any(1).all()
    assert len(whole) == WHOLE[name]
    assert records[""].field.size == "whole image"


def test_behind_a_gate_everything_sees_the_whole_image_and_keeps_its_jump():
    records = trace_shapes(build("mobilenet_v3_small"), (224, 224))
    assert records["features.1.block.0"].field.size == 7
    assert records["features.1.block.1"].field.size == "whole image"  # squeeze-and-excitation
    after = records["features.2.block.1"].field
    assert (after.size, after.jump) == ("whole image", 8)


def test_pixels_that_rounding_drops_are_not_seen():
    # 28 → conv 26 → pool 13 → conv 11 → pool 5: the 11th row is dropped, two pixels of the image.
    records = trace_shapes(CNN(10).eval(), (28, 28))
    assert records["fc1"].field.size == 26
    image, outputs = probe(CNN(10).eval().to("meta"), (28, 28))
    (gradient,) = torch.autograd.grad(outputs["fc1"].sum(), image)
    assert gradient[0, 0].sum(1).nonzero().max() == 25


@pytest.mark.parametrize("name", ["vit_b_16", "swin_t", "swin_v2_t"])
def test_attention_is_unknown_and_says_why(name):
    size = (256, 256) if name == "swin_v2_t" else (224, 224)
    records = trace_shapes(build(name), size)
    first = records["conv_proj" if name == "vit_b_16" else "features.0.0"].field
    assert (first.size, first.jump) == ((16, 16) if name == "vit_b_16" else (4, 4))
    last = records[""].field
    assert (last.size, last.reason) == ("unknown", "attention")


class Apply(nn.Module):
    """A convolution with something behind it."""

    def __init__(self, then, *layers):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.layers = nn.ModuleList(layers)
        self.then = then

    def forward(self, x):
        return self.then(self.conv(x), *self.layers)


def write_in_part(x):
    canvas = torch.zeros_like(x)
    canvas[:, :2] = x[:, :2]
    return canvas


@pytest.mark.parametrize(
    ("then", "size"),
    [
        (lambda x: nn.functional.layer_norm(x.permute(0, 2, 3, 1), [4]), 3),
        (lambda x: nn.functional.group_norm(x, 2), "whole image"),
        (nn.functional.instance_norm, "whole image"),
        (lambda x: x.softmax(1), 3),
        (lambda x: x.softmax(2).softmax(3), "whole image"),
        (lambda x: x.mean((2, 3)), "whole image"),
        (lambda x: x.amax(3).amax(2), "whole image"),
        (lambda x: x.flatten(2).transpose(1, 2) @ torch.ones(4, 5, device="meta"), 3),
        (lambda x: torch.ones(6, 256, device="meta") @ x.flatten(2).transpose(1, 2), "whole image"),
        (lambda x: x.view(1, 2, 2, 16, 16).transpose(1, 2).reshape(1, 4, 16, 16), 3),
        (lambda x: nn.functional.local_response_norm(x, 3), 3),
        (lambda x: nn.functional.adaptive_avg_pool2d(x, 8), 4),
        (lambda x: nn.functional.adaptive_avg_pool2d(x, 7), "the windows of an adaptive pool vary"),
        (lambda x: nn.functional.interpolate(x, scale_factor=2), "no rule for torch's upsample"),
        (lambda x: nn.functional.conv_transpose2d(x, x.new_ones(4, 2, 2, 2)), "transposed"),
        (lambda x: x.view(1, 4, 4, 4, 16), "rows and columns are regrouped"),
        (lambda x: x.roll(3, 2), "positions are rearranged"),
        (lambda x: x.flatten(2) @ x.flatten(2).mT, "attention"),
        (write_in_part, "written to in part"),
    ],
)
def test_each_kind_of_operation(then, size):
    field = trace_network(Apply(then), (16, 16), 3)[""].field
    if field.size == "unknown":
        assert field.reason.startswith(size)
    else:
        assert field.size == size


def test_what_an_adaptive_pool_scatters_a_dense_layer_gathers():
    dense = nn.Linear(4 * 49, 5)

    def then(x, layer):
        return layer(nn.functional.adaptive_avg_pool2d(x, 7).flatten(1))

    records = trace_network(Apply(then, dense), (16, 16), 3)
    assert records[""].field.size == "whole image"


def test_parallel_paths_join_from_the_first_start_to_the_last_end():
    left = Span(100, size=5, jump=2, low=-4, high=100)
    right = Span(100, size=3, jump=2, low=1, high=103)
    joined = left.join(right)
    assert (joined.size, joined.low, joined.high, joined.jump) == (8, -4, 103, 2)
    other_grid = left.join(Span(100, size=3, jump=4, low=0, high=100))
    assert (other_grid.size, other_grid.jump) == (None, None)
    assert other_grid.reason


def test_the_image_itself_sees_one_pixel():
    field = Field.of_image(3, 20, 30)
    assert (field.size, field.jump) == (1, 1)
    assert field.spans[1].interval(7) == (7, 7)
