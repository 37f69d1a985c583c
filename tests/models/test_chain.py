"""Networks written by hand: the numbers of ``conv-size --chain``, and its words in errors."""

import sys

import pytest
import torch
from helpers import stage_parameters
from torch import nn
from torch.nn import functional

from cnncli.arithmetic.chain import parse_chain
from cnncli.arithmetic.layers import trace_chain
from cnncli.errors import CnncliError
from cnncli.models.build import build_network, count_parameters
from cnncli.models.registry import find_model
from cnncli.models.stages import network_head, network_stages
from cnncli.models.tables.layout import Stage

torch.set_num_threads(1)
LENET = (
    "conv5x5 f6 tanh; avgpool2; conv5x5 f16 tanh; avgpool2; flatten; dense 120 tanh; dense 84 tanh"
)


def build(layers, num_classes=10, in_channels=1, size=(28, 28), **options):
    return build_network(
        "cnn:" + layers,
        num_classes=num_classes,
        in_channels=in_channels,
        image_size=size,
        **options,
    )


def test_lenet_by_hand_is_lenet():
    torch.manual_seed(0)
    ours = build(LENET, size=(32, 32))
    torch.manual_seed(0)
    theirs = build_network("lenet5", num_classes=10, in_channels=1, image_size=(32, 32))
    images = torch.randn(2, 1, 32, 32)
    assert torch.equal(ours(images), theirs(images))
    assert count_parameters(ours) == 61_706  # as counted in courses


CHAINS = [
    "conv3x3 f32 relu; bn; pool2; dropout 0.4; flatten; dense 256 relu",
    "conv3x3 f8 s2 same relu; conv3x3 f8 same; maxpool3 s2 same; avgpool3 s2 same; gap",
    "conv3x5 f8 p1x2 nobias; relu; avgpool2 ceil; deconv2x2 f4 s2 op1 d2; conv3 f6 g2 d2; gap; bn",
    "deconv3x3 f4 s2 op1; pool3 s2 p1 d1 ceil gelu; sigmoid",
    "flatten; dense 16 nobias mish; dropout 0.2",
]


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("size", [(28, 28), (23, 30)])
def test_shapes_and_parameters_are_those_of_the_arithmetic(chain, size):
    network = build(chain, size=size, in_channels=2).eval()
    traces = trace_chain(parse_chain(chain), size, 2)
    x = torch.randn(2, 2, *size)
    shapes = []
    for name, module in network.named_children():
        x = module(x)
        if name not in ("flatten", "head"):
            shapes.append((name, tuple(x.shape[1:])))
    assert x.shape == (2, 10)
    by_number = {int("".join(c for c in name if c.isdigit())): shape for name, shape in shapes}
    assert by_number == {trace.layer.number: trace.shape for trace in traces}
    body = count_parameters(network) - count_parameters(network.head)
    assert body == sum(trace.parameters for trace in traces)


def test_same_pooling_leaves_what_it_pads_out():
    x = torch.randn(1, 1, 7, 7)
    network = build("maxpool2 s2 same", size=(7, 7))
    padded = functional.pad(x, (0, 1, 0, 1), value=-torch.inf)
    assert torch.equal(network.pool1(x), functional.max_pool2d(padded, 2))
    average = build("avgpool2 s2 same", size=(7, 7)).pool1(x)
    torch.testing.assert_close(average[0, 0, 3, 3], x[0, 0, 6, 6])
    torch.testing.assert_close(average[0, 0, 0, 3], x[0, 0, :2, 6].mean())


def test_a_last_layer_for_the_classes_is_added_once():
    assert [n for n, _ in build("conv3x3 f4; flatten; dense 7 relu").named_children()] == [
        "conv1", "flatten2", "dense3", "relu3", "head",
    ]  # fmt: skip
    written = build("conv3x3 f4; flatten; dense 10")
    assert [n for n, _ in written.named_children()] == ["conv1", "flatten2", "head"]
    name = "cnn:conv3x3 f4; flatten; dense 10"
    assert network_stages(name, written) == (Stage("stem", ("conv1", "flatten2")),)
    other = build("conv3x3 f4; flatten; dense 10", num_classes=3)
    assert [s.name for s in network_stages(name, other)] == ["stem", "dense3"]
    assert other.head.in_features == 10


def test_maps_are_flattened_for_the_classes():
    network = build("conv3x3 f4 relu; pool2")
    assert isinstance(network.flatten, nn.Flatten)
    assert network.head.in_features == 4 * 13 * 13


def test_stages_hold_every_parameter_once():
    name = "cnn:bn; " + LENET + "; dropout 0.5"
    network = build_network(name, num_classes=4, in_channels=3, image_size=(40, 40))
    stages = network_stages(name, network)
    assert [stage.name for stage in stages] == ["stem", "conv4", "dense7", "dense8"]
    held = [path for stage in stages for path, _ in stage_parameters(network, stage)]
    assert held == [p for p, _ in network.named_parameters() if not p.startswith("head.")]
    assert network_head(name, network) == "head"
    entry = find_model(name)
    assert (entry.layout.stem, entry.head_dropout) == ("conv2", "dropout9")


@pytest.mark.parametrize(
    ("chain", "message"),
    [
        ("conv3x3 f8; con3x3 f8", "--model cnn: layer 2 'con3x3 f8': unknown layer; did you mean"),
        ("conv3x3", "--model cnn: layer 1 'conv3x3': how many filters"),
        ("", "--model cnn: no layers"),
    ],
)
def test_what_cannot_be_read_names_the_layer(chain, message):
    with pytest.raises(CnncliError, match=message):
        find_model("cnn:" + chain)


def test_what_does_not_fit_names_the_layer_and_the_size():
    with pytest.raises(CnncliError, match=r"layer 2 'dense 8': .*put flatten.*images of 28 pixels"):
        build("conv3x3 f8; dense 8")
    with pytest.raises(CnncliError, match=r"layer 2 'conv9x9 f8': .*images of 10x12 pixels"):
        build("pool2; conv9x9 f8", size=(10, 12))


def test_swaps_work_on_it():
    network = build(CHAINS[0], activation="gelu", norm="group", dropout=0.1)
    assert isinstance(network.relu1, nn.GELU)
    assert isinstance(network.bn2, nn.GroupNorm)
    assert network.dropout4.p == 0.1


def test_it_learns():
    torch.manual_seed(0)
    network = build("conv3x3 f8 relu; bn; pool2", num_classes=2, size=(8, 8))
    images = torch.randn(32, 1, 8, 8)
    targets = (images.mean((1, 2, 3)) > 0).long()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    losses = []
    for _ in range(30):
        loss = functional.cross_entropy(network(images), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 10


def test_timm_says_how_it_is_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(CnncliError, match=r"pip install 'cnncli\[timm\]'"):
        build_network("timm:resnet10t", num_classes=2, in_channels=3, image_size=(64, 64))


@pytest.mark.parametrize("architecture", ["resnet10t", "convnext_atto", "vit_tiny_patch16_224"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning:timm.*", "ignore::FutureWarning:timm.*")
def test_timm_through_the_same_interface(architecture):
    pytest.importorskip("timm")
    name = "timm:" + architecture
    network = build_network(name, num_classes=3, in_channels=1, image_size=(64, 64)).eval()
    assert network(torch.randn(1, 1, 64, 64)).shape == (1, 3)
    head = network_head(name, network)
    held = [
        path
        for stage in network_stages(name, network)
        for path, _ in stage_parameters(network, stage)
    ]
    backbone = [p for p, _ in network.named_parameters() if not p.startswith(head + ".")]
    assert sorted(held) == sorted(backbone)
    with pytest.raises(CnncliError, match=f"did you mean .*{architecture}"):
        build_network(name + "x", num_classes=2, in_channels=3, image_size=(64, 64))
