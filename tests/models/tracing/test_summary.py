"""Layer tables against torchvision's published figures, and against themselves."""

import pytest
import torch
from helpers import smallest_of_each_family
from torch import nn
from torch.overrides import TorchFunctionMode
from torchvision import models

from cnncli.arithmetic.convolution import SlidingWindow, count_macs
from cnncli.models.custom.lenet5 import LeNet5
from cnncli.models.tracing.summary import NO_PIXELS, NOT_RUN, add_up, summarise

AUXILIARY = {"googlenet": ("aux1", "aux2")}  # not in torchvision's num_params


class WeightsOnMeta(TorchFunctionMode):
    """Builds any network at once; on the meta device RegNets cannot compute their widths."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func is torch.empty:
            kwargs["device"] = "meta"
        return func(*args, **kwargs)


def build(name, **options):
    if name in ("googlenet", "inception_v3"):
        options = {**options, "init_weights": False}
    with WeightsOnMeta():
        return models.get_model(name, **options).eval()


def published():
    """Yield each model with every input size it has weights for, and what they publish."""
    small = smallest_of_each_family()
    for name in models.list_models(module=models):
        sizes = {}
        for weights in models.get_model_weights(name):
            size = weights.transforms().crop_size[0]
            sizes.setdefault(size, (weights.meta["num_params"], weights.meta["_ops"]))
        for size, (parameters, gmacs) in sizes.items():
            yield pytest.param(
                name,
                size,
                parameters,
                gmacs,
                id=f"{name}-{size}",
                marks=[] if name in small else [pytest.mark.slow],
            )


@pytest.mark.parametrize(("name", "size", "parameters", "gmacs"), list(published()))
def test_parameters_and_macs_are_those_torchvision_publishes(name, size, parameters, gmacs):
    # Source: meta["num_params"] and meta["_ops"] of torchvision's weights; its GFLOPS are MACs.
    options = {"image_size": size} if name.startswith("vit") else {}
    network = build(name, **options)
    layers = summarise(network, (size, size), 3)
    totals = add_up(layers)
    auxiliary = sum(
        layer.parameters for layer in layers if layer.name.startswith(AUXILIARY.get(name, ("?",)))
    )
    assert totals.parameters - auxiliary == parameters
    assert totals.macs / 1e9 == pytest.approx(gmacs, rel=0.01, abs=0.001)
    assert totals.parameters == sum(p.numel() for p in network.parameters())
    names = [layer.name for layer in layers if layer.call in (None, 1)]
    assert len(set(names)) == len(names)
    assert set(names) <= dict(network.named_modules()).keys()
    for layer in layers:
        assert layer.field is not None or layer.note.endswith((NOT_RUN, NO_PIXELS))


@pytest.mark.parametrize(
    "name",
    [
        *("resnet18", "vit_b_16", "swin_v2_t"),
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("googlenet", "maxvit_t")),
    ],
)
def test_folding_changes_no_sum(name):
    network = build(name)
    whole = add_up(summarise(network, (224, 224), 3))
    for depth in (1, 3):
        layers = summarise(network, (224, 224), 3, depth=depth)
        assert add_up(layers) == whole
        assert all(layer.name.count(".") < depth for layer in layers)


def test_resnet18_folded_to_its_stages():
    layers = summarise(build("resnet18"), (224, 224), 3, depth=1)
    rows = [(x.name, x.output_shape, x.parameters, x.field.size, x.field.jump) for x in layers]
    # Parameters by hand: a block of C channels has 2·9·C² + 4·C.
    assert rows == [
        ("conv1", (64, 112, 112), 9408, 7, 2),
        ("bn1", (64, 112, 112), 128, 7, 2),
        ("relu", (64, 112, 112), 0, 7, 2),
        ("maxpool", (64, 56, 56), 0, 11, 4),
        ("layer1", (64, 56, 56), 147968, 43, 4),
        ("layer2", (128, 28, 28), 525568, 99, 8),
        ("layer3", (256, 14, 14), 2099712, 211, 16),
        ("layer4", (512, 7, 7), 8393728, 435, 32),
        ("avgpool", (512, 1, 1), 0, "whole image", None),
        ("fc", (1000,), 513000, "whole image", None),
    ]
    assert all(layer.stride is None for layer in layers if layer.type == "Sequential")


def test_lenet5_by_hand():
    # LeCun et al. (1998), fig. 2, with full connections and a linear output.
    layers = summarise(LeNet5(10), (32, 32), 1)
    rows = {x.name: (x.kernel, x.input_shape, x.output_shape, x.parameters, x.macs) for x in layers}
    assert rows["conv1"] == ((5, 5), (1, 32, 32), (6, 28, 28), 156, 25 * 6 * 28 * 28)
    assert rows["pool2"] == ((2, 2), (16, 10, 10), (16, 5, 5), 0, 0)
    assert rows["fc1"] == (None, (400,), (120,), 48120, 48000)
    shared = [x for x in layers if x.name == "activation"]
    assert [(x.call, x.calls) for x in shared] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    outputs = 6 * 28 * 28 * 2 + 6 * 14 * 14 + 16 * 10 * 10 * 2 + 400 + 2 * 120 + 2 * 84 + 10
    totals = add_up(layers)
    assert totals.activations == outputs
    assert totals.activation_bytes == 4 * outputs
    assert totals.parameter_bytes == 4 * 61706


def test_rows_stand_in_the_order_in_which_layers_end():
    layers = summarise(build("resnet18"), (224, 224), 3)
    names = [layer.name for layer in layers if layer.name.startswith("layer2.0")]
    assert [name.removeprefix("layer2.0.") for name in names] == [
        "conv1", "bn1", "relu", "conv2", "bn2", "downsample.0", "downsample.1", "relu",
    ]  # fmt: skip


def test_a_shared_activation_has_a_row_for_each_call_in_the_order_of_hooks():
    network = build("resnet50").eval()
    calls = []
    for name, module in network.named_modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(
                lambda module, args, out, name=name: calls.append((name, tuple(out.shape[1:])))
            )
    network.to("meta")(torch.zeros(1, 3, 64, 64, device="meta"))
    called = tuple(calls)  # the copy that is traced calls the hooks again
    layers = summarise(network, (64, 64), 3)
    assert [(x.name, x.output_shape) for x in layers if x.type == "ReLU"] == list(called)
    assert len(called) == 1 + 3 * 16
    block = [x for x in layers if x.name.startswith("layer1.0.")]
    assert [x.type for x in block[:6]] == ["Conv2d", "BatchNorm2d", "ReLU"] * 2
    assert [x.note for x in block if x.type == "ReLU"] == [
        f"call {n} of 3 of one module" for n in (1, 2, 3)
    ]
    assert [x.field.size for x in block if x.type == "ReLU"] == [11, 19, 19]


def test_a_shared_convolution_counts_its_parameters_in_its_first_row():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 3)

        def forward(self, x):
            return self.conv(self.conv(x))

    first, second = summarise(Twice(), (10, 10), 3)
    assert [(x.parameters, x.macs, x.output_shape, x.field.size) for x in (first, second)] == [
        (84, 81 * 64, (3, 8, 8), 3),
        (0, 81 * 36, (3, 6, 6), 5),
    ]
    assert second.note == "call 2 of 2 of one module, with the parameters of call 1"


def test_auxiliary_heads_are_listed_beside_what_they_watch_but_not_run():
    layers = summarise(build("inception_v3"), (299, 299), 3, depth=1)
    names = [layer.name for layer in layers]
    assert names.index("AuxLogits") == names.index("Mixed_6e") + 1
    head = layers[names.index("AuxLogits")]
    assert (head.note, head.macs, head.calls, head.output_shape) == (NOT_RUN, 0, 0, None)
    assert head.parameters == 3_326_696


def test_attention_owns_the_weights_it_multiplies_with():
    layers = {x.name: x for x in summarise(build("vit_b_16"), (224, 224), 3)}
    attention = layers["encoder.layers.encoder_layer_0.self_attention"]
    assert attention.parameters == 4 * (768 * 768 + 768)
    # Projections, and two products of 197 × 197 tokens over 768 values.
    assert attention.macs == 4 * 197 * 768 * 768 + 2 * 197 * 197 * 768
    assert layers[""].parameters == 768  # the class token
    assert layers["encoder"].parameters == 197 * 768  # position embeddings


def test_a_policy_by_parameter_name_decides_what_is_trainable():
    network = build("resnet18")
    layers = summarise(network, (224, 224), 3, is_trainable=lambda name: name.startswith("fc."))
    assert {layer.name for layer in layers if layer.trainable} == {"fc"}
    assert add_up(layers).non_trainable == 11_689_512 - 513_000
    network.fc.weight.requires_grad_(False)
    layers = summarise(network, (224, 224), 3)
    assert next(x for x in layers if x.name == "fc").trainable == 1000


class Functional(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=2, groups=1)
        self.again = self.conv
        self.scale = nn.Parameter(torch.ones(8, 1, 1))
        self.fc = nn.Linear(8, 5)
        self.tied = nn.Linear(8, 5)
        self.tied.weight = self.fc.weight

    def forward(self, x):
        x = self.conv(x) * self.scale
        x = nn.functional.conv2d(x, torch.ones(4, 2, 3, 3, device=x.device), groups=4, padding=1)
        x = torch.einsum("nchw,kc->nk", x, torch.ones(8, 4, device=x.device))
        return self.fc(x) + self.tied(x)


def test_functional_calls_and_shared_weights_count_once_where_they_happen():
    network = Functional()
    layers = {x.name: x for x in summarise(network, (31, 31), 3)}
    size = count_macs(SlidingWindow((3, 3), (2, 2)), (31, 31), 3, 8)
    assert layers["conv"].macs == size
    grouped = count_macs(SlidingWindow((3, 3), padding=(1, 1)), (15, 15), 8, 4, groups=4)
    assert layers[""].macs == grouped + 4 * 8
    assert layers[""].parameters == 8
    assert layers["fc"].parameters == 45
    assert layers["tied"].parameters == 5
    assert add_up(layers.values()).parameters == sum(p.numel() for p in network.parameters())


def test_transposed_convolutions_count_per_input_pixel():
    network = nn.ConvTranspose2d(6, 4, 2, stride=2, groups=2)
    (layer,) = summarise(network, (5, 7), 6)
    assert layer.macs == count_macs(
        SlidingWindow((2, 2), (2, 2), kind="transposed"), (5, 7), 6, 4, groups=2
    )


def test_the_network_stays_as_it_is():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout()).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    fast = torch.backends.mha.get_fastpath_enabled()
    summarise(network, (8, 8), 3)
    after = network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(module.training and not module._forward_hooks for module in network.modules())
    assert torch.backends.mha.get_fastpath_enabled() == fast


def test_what_does_not_fit_raises_as_the_network_does():
    # torch's words: those of today, and those of 2.6.
    with pytest.raises(RuntimeError, match=r"Kernel size|Output size is too small"):
        summarise(build("inception_v3"), (40, 40), 3)
