"""The plan of what is frozen: policies by epoch, the optimizer's groups, a fixed backbone."""

import pytest
from torch import nn

from cnncli.errors import CnncliError
from cnncli.models.freeze_plan import FreezePlan

STAGES = {"stem": ("0", "1"), "layer1": ("2",)}


def build_network():
    """Return a stem with BatchNorm (8 values), a layer (9 values) and a head (12 values)."""
    return nn.Sequential(
        nn.Linear(1, 2), nn.BatchNorm1d(2), nn.Linear(2, 3), nn.Linear(3, 4, bias=False)
    )


def trained(network):
    return {name for name, parameter in network.named_parameters() if parameter.requires_grad}


def test_each_epoch_has_its_policy():
    network = build_network()
    plan = FreezePlan(network, STAGES, policy="backbone", unfreeze_at=["3=stages:0", "5"])
    assert trained(network) == {"3.weight"}
    assert not plan.begin(2)
    assert plan.begin(3)
    assert trained(network) == {"2.weight", "2.bias", "3.weight"}
    assert not plan.begin(4)
    assert plan.begin(5)
    assert trained(network) == {name for name, _ in network.named_parameters()}
    plan.begin(1)  # as when a run is resumed
    plan.train_mode()
    assert [module.training for module in network] == [False, False, False, True]


def test_a_policy_of_a_late_epoch_is_checked_at_once():
    with pytest.raises(CnncliError, match="until:layer9"):
        FreezePlan(build_network(), STAGES, policy="none", unfreeze_at=["30=until:layer9"])


def test_groups_hold_every_parameter_once_with_the_scale_of_its_stage():
    network = build_network()
    plan = FreezePlan(network, STAGES, policy="backbone", layer_decay=0.5)
    groups = plan.parameter_groups(weight_decay=0.1)
    held = [
        (group["lr_scale"], group["weight_decay"], parameter.numel())
        for group in groups
        for parameter in group["params"]
    ]
    assert sorted(held) == sorted(
        [
            (0.25, 0.1, 2),  # the stem's weight; its bias and its norm do not decay
            (0.25, 0.0, 2),
            (0.25, 0.0, 2),
            (0.25, 0.0, 2),
            (0.5, 0.1, 6),
            (0.5, 0.0, 3),
            (1.0, 0.1, 12),
        ]
    )


@pytest.mark.parametrize(
    ("policy", "unfreeze_at", "fixed"),
    [
        ("backbone", [], True),
        ("backbone", ["2"], False),
        ("stages:0", [], False),
        ("none", [], False),
    ],
)
def test_the_backbone_is_fixed_only_if_nothing_but_the_head_ever_trains(policy, unfreeze_at, fixed):
    plan = FreezePlan(build_network(), STAGES, policy=policy, unfreeze_at=unfreeze_at)
    assert plan.backbone_is_fixed == fixed


def test_the_table_adds_up():
    plan = FreezePlan(build_network(), STAGES, policy="stages:0", backbone_scale=0.1)
    rows = {row["stage"]: row for row in plan.table(lr=0.5)}
    assert [rows[stage]["parameters"] for stage in ("stem", "layer1", "head")] == [8, 9, 12]
    assert (rows["total"]["trainable"], rows["total"]["frozen"]) == (21, 8)
    assert rows["stem"]["lr"] is None
    assert rows["layer1"]["lr"] == pytest.approx(0.05)
    assert rows["head"]["lr"] == 0.5
