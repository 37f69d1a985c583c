"""Weights to answer with that are of another network, or broken."""

import pytest
import torch
import torchvision

from cnncli.errors import CnncliError
from cnncli.models.pretrained.report import refuse_other_network
from cnncli.models.pretrained.weights import load_weights, look_up_source
from cnncli.models.registry import MODELS

NAMES = [str(number) for number in range(5)]


def refuse(tmp_path, state):
    torch.save(state, tmp_path / "w.pth")
    entry = MODELS["resnet18"]
    network = torchvision.models.resnet18(num_classes=5)
    source = look_up_source(str(tmp_path / "w.pth"), entry)
    report = load_weights(network, source, entry, class_names=NAMES, assume=NAMES)
    refuse_other_network(report, network, "resnet18")


def test_a_deeper_network_of_the_family_is_refused(tmp_path):
    deeper = torchvision.models.resnet34(num_classes=5)
    with pytest.raises(CnncliError) as caught:
        refuse(tmp_path, deeper.state_dict())
    assert "tensors that resnet18 has not (layer1.2.conv1.weight" in str(caught.value)
    assert "so it is of another network; name that one with --model" in str(caught.value)


def test_tensors_of_something_else_are_no_other_network(tmp_path):
    state = torchvision.models.resnet18(num_classes=5).state_dict()
    refuse(tmp_path, state | {"criterion.weight": torch.zeros(5), "total": torch.zeros(1)})
    refuse(tmp_path, state | {"layer1.0.total_ops": torch.zeros(1)})  # of a profiler


def test_numbers_that_are_not_finite_are_named(tmp_path):
    state = torchvision.models.resnet18(num_classes=5).state_dict()
    state["layer4.0.conv1.weight"][0, 0, 0, 0] = torch.inf
    told = r"have another shape, or hold NaN or infinity, and cannot be used: layer4.0.conv1.weight"
    with pytest.raises(CnncliError, match=told):
        refuse(tmp_path, state)


def test_what_is_missing_is_named(tmp_path):
    state = torchvision.models.resnet18(num_classes=5).state_dict()
    del state["layer4.0.conv1.weight"]
    with pytest.raises(CnncliError, match=r"is missing would be random: layer4.0.conv1.weight"):
        refuse(tmp_path, state)
