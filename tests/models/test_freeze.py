"""Freeze policies on a three-layer network, and on every family of the registry."""

import pytest
import torch
from helpers import smallest_of_each_family
from torch import nn

from cnncli.errors import CnncliError
from cnncli.models.build import build_network
from cnncli.models.freeze import (
    describe_stages,
    freeze,
    is_batch_norm,
    lr_scales,
    parse_policy,
    parse_unfreezing,
    stage_of,
    train_mode,
)
from cnncli.models.head import combine_aux
from cnncli.models.registry import MODELS
from cnncli.models.stages import network_stages

STAGES = {"stem": ("conv",), "layer1": ("block",), "layer2": ("wide",)}


class Tiny(nn.Module):
    """A stem, a block of two layers, a wide layer and a head."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)
        self.block = nn.Sequential(nn.Conv2d(2, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5))
        self.wide = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4))
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        return self.fc(self.wide(self.block(self.conv(x))).mean((2, 3)))


def frozen_names(policy):
    network = Tiny()
    freeze(network, parse_policy(policy, network, STAGES))
    return {name for name, p in network.named_parameters() if not p.requires_grad}


def names(*prefixes):
    return {name for name, _ in Tiny().named_parameters() if name.startswith(prefixes)}


@pytest.mark.parametrize(
    ("policy", "prefixes"),
    [
        ("backbone", ("conv", "block", "wide")),
        ("stages:0", ("conv",)),
        ("stages:1", ("conv", "block")),
        ("until:layer1", ("conv", "block")),
        ("until:block.0", ("conv", "block.0")),
        ("until:wide.0", ("conv", "block", "wide.0")),
        ("block*", ("block",)),
        ("*.1,conv", ("block.1", "wide.1", "conv")),
    ],
)
def test_policy_freezes_what_it_says(policy, prefixes):
    assert frozen_names(policy) == names(*prefixes)


def test_none_freezes_nothing():
    assert frozen_names("none") == set()


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ("stages:3", "to freeze them all, use backbone"),
        ("until:layr1", "did you mean layer1"),
        ("until:fc", "lies in the head"),
        ("blok*", "no layer is named 'blok*'"),
        ("bakbone", "did you mean backbone"),
        ("*", "nothing is left to train"),
    ],
)
def test_wrong_policy_is_told(policy, said):
    with pytest.raises(CnncliError) as caught:
        frozen_names(policy)
    assert said in str(caught.value)


def test_unfreezing_acts_before_its_epoch():
    plan = parse_unfreezing("backbone", ["3=stages:1", "5"])
    assert [plan.at(e) for e in range(1, 7)] == ["backbone"] * 2 + ["stages:1"] * 2 + ["none"] * 2


@pytest.mark.parametrize("text", ["1", "0=none", "x", "2=", "-3", "2.5=none"])
def test_wrong_unfreezing_is_told(text):
    with pytest.raises(CnncliError, match="--unfreeze-at"):
        parse_unfreezing("backbone", [text])


def test_one_epoch_cannot_have_two_policies():
    with pytest.raises(CnncliError, match="twice"):
        parse_unfreezing("backbone", ["2", "2=stages:1"])


@pytest.mark.parametrize(("freeze_norms", "wide_trains"), [(False, True), (True, False)])
def test_frozen_stages_are_in_eval_as_a_whole(freeze_norms, wide_trains):
    network = Tiny()
    train_mode(network, parse_policy("stages:1", network, STAGES), freeze_norms=freeze_norms)
    assert not any(m.training for m in (network.conv, *network.block.modules()))
    assert network.wide[1].training is wide_trains
    assert network.fc.training


def test_learning_rates_by_stage():
    assert lr_scales(STAGES, layer_decay=0.5) == {
        "stem": 0.125,
        "layer1": 0.25,
        "layer2": 0.5,
        "head": 1.0,
    }
    assert set(lr_scales(STAGES, backbone=0.1).values()) == {0.1, 1.0}


def test_table_adds_up():
    network = Tiny()
    frozen = parse_policy("stages:1", network, STAGES)
    rows = describe_stages(
        network, STAGES, frozen, freeze_norms=False, lr=0.1, scales=lr_scales(STAGES, backbone=0.5)
    )
    *stages, total = rows
    for column in ("parameters", "trainable", "frozen"):
        assert sum(row[column] for row in stages) == total[column]
    assert total["parameters"] == sum(p.numel() for p in network.parameters())
    by_name = {row["stage"]: row for row in stages}
    assert by_name["layer1"]["batch_norm"] == "frozen"
    assert by_name["layer1"]["lr"] is None
    assert by_name["layer2"]["batch_norm"] == "train"
    assert by_name["layer2"]["lr"] == pytest.approx(0.05)


# The registry: every policy on real networks, bit by bit.


def smallest_size(entry):
    side = max(entry.min_size, 33 if entry.image_size else 24)
    step = entry.size_multiple
    return -(-side // step) * step


def train_two_steps(name, policy, *, bn_frozen=False):
    """Return the state dict before and after two optimizer steps, the network and its stages."""
    entry = MODELS[name]
    side = smallest_size(entry)
    torch.manual_seed(0)
    network = build_network(name, num_classes=3, in_channels=3, image_size=(side, side))
    stages = {stage.name: stage.paths for stage in network_stages(name, network)}
    frozen = parse_policy(policy, network, stages)
    freeze(network, frozen)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    # Weight decay would move a frozen parameter that still got a (zero) gradient.
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2, weight_decay=0.1)
    for _ in range(2):
        train_mode(network, frozen, freeze_norms=bn_frozen)
        images, targets = torch.randn(3, 3, side, side), torch.tensor([0, 1, 2])
        loss, _ = combine_aux(network(images), targets, nn.CrossEntropyLoss())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    return before, network, stages, frozen


def check_policy(name, policy):
    before, network, stages, frozen = train_two_steps(name, policy)
    moved, still = set(), set()
    for key, value in network.state_dict().items():
        same = torch.equal(value, before[key])
        if frozen.holds(key):
            assert same, f"{key} is frozen and has changed"
        else:
            (still if same else moved).add(key)
    trainable = {key for key, _ in network.named_parameters() if not frozen.holds(key)}
    # ReLUs that are dead on three random images leave a gradient of zero here and there.
    assert len(trainable & moved) > 0.8 * len(trainable)
    stages_moved = {stage_of(key, stages) for key in moved}
    assert stages_moved == {stage_of(key, stages) for key in trainable}
    norms = [f"{n}.running_mean" for n, m in network.named_modules() if is_batch_norm(m)]
    assert all(key in moved for key in norms if key in before and not frozen.holds(key))


POLICIES = ("backbone", "none", "stages:1")


def policies_of_networks():
    """Yield every policy for the smallest of a family; the larger ones take turns."""
    small = smallest_of_each_family()
    for number, (name, entry) in enumerate(MODELS.items()):
        policies = POLICIES if len(entry.stages) > 2 else POLICIES[:2]  # one stage is all there is
        if name in small:
            for policy in policies:
                is_quick = policy == policies[-1] and (entry.parameters or 0) < 80e6
                marks = [] if is_quick else [pytest.mark.slow]
                yield pytest.param(name, policy, marks=marks)
        elif (entry.parameters or 0) <= 100e6:
            yield pytest.param(name, policies[number % len(policies)], marks=pytest.mark.slow)


@pytest.mark.parametrize(("name", "policy"), list(policies_of_networks()))
def test_every_policy_on_real_networks(name, policy):
    check_policy(name, policy)


def test_bn_frozen_keeps_statistics_everywhere():
    before, network, _, _ = train_two_steps("resnet_small", "none", bn_frozen=True)
    for name, value in network.named_buffers():
        assert torch.equal(value, before[name]), name
    assert not torch.equal(network.fc.weight, before["fc.weight"])
