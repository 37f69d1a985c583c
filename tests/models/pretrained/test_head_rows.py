"""The rows of a head belong to classes: they follow the names and never stand for others."""

import json
import re

import pytest
import torch
from safetensors.torch import save_file
from torchvision import models

from cnncli.errors import CnncliError
from cnncli.models.build import build_network
from cnncli.models.pretrained import download
from cnncli.models.pretrained.head_rows import find_heads
from cnncli.models.pretrained.weights import load_weights, look_up_source
from cnncli.models.registry import MODELS

CLASSES = ("ant", "bee", "cat", "dog", "eel")
OTHER_ORDER = ("dog", "ant", "eel", "cat", "bee")
# One network of each family, the first in the registry.
FAMILIES = {entry.family: name for name, entry in reversed(MODELS.items())}
QUICK = ("lenet5", "resnet18", "squeezenet1_0", "googlenet", "inception_v3")


def build(name, seed, num_classes=5):
    torch.manual_seed(seed)
    network = build_network(name, num_classes=num_classes, in_channels=3, image_size=(224, 224))
    return network.eval()


def write_run(folder, name, network, class_names=CLASSES):
    folder.mkdir(exist_ok=True)
    meta = {"model": name, "class_names": list(class_names)}
    save_file(network.state_dict(), folder / "best.safetensors", {"cnncli": json.dumps(meta)})
    return str(folder)


def load(network, spec, name, class_names):
    entry = MODELS[name]
    return load_weights(network, look_up_source(spec, entry), entry, class_names=class_names)


def head_tensors(name, network):
    state = network.state_dict()
    names = [
        f"{h}.{kind}" for h in find_heads(MODELS[name], network) for kind in ("weight", "bias")
    ]
    return {n: state[n] for n in names if n in state}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
        for name in sorted({*QUICK, *FAMILIES.values()})
    ],
)
def test_rows_follow_the_names_of_the_classes_in_every_family(tmp_path, name):
    theirs, ours, others = build(name, 1), build(name, 2), build(name, 3)
    run = write_run(tmp_path / "run", name, theirs)
    rows = head_tensors(name, theirs)
    assert rows
    assert all(len(tensor) == 5 for tensor in rows.values())

    report = load(ours, run, name, OTHER_ORDER)
    assert report.missing == ()
    assert report.line().endswith(
        "the rows of the head were put into the order of this run's classes"
    )
    order = [CLASSES.index(label) for label in OTHER_ORDER]
    for tensor, moved in head_tensors(name, ours).items():
        assert torch.equal(moved, rows[tensor][order])

    before = {tensor: value.clone() for tensor, value in head_tensors(name, others).items()}
    report = load(others, run, name, ("ant", "bee", "cat", "dog", "fox"))
    assert set(rows) <= set(report.dropped)
    assert report.line().endswith("the head is not used, since its classes are others (eel)")
    for tensor, kept in head_tensors(name, others).items():
        assert torch.equal(kept, before[tensor])


def test_logits_are_those_of_the_same_classes(tmp_path):
    theirs, ours = build("squeezenet1_0", 1), build("squeezenet1_0", 2)
    load(ours, write_run(tmp_path / "run", "squeezenet1_0", theirs), "squeezenet1_0", OTHER_ORDER)
    images = torch.randn(2, 3, 64, 64)
    for label in CLASSES:
        torch.testing.assert_close(
            ours(images)[:, OTHER_ORDER.index(label)], theirs(images)[:, CLASSES.index(label)]
        )


def test_auxiliary_heads_are_heads():
    assert find_heads(MODELS["googlenet"], build("googlenet", 1)) == ("fc", "aux1.fc2", "aux2.fc2")


def test_the_same_classes_in_the_same_order_are_not_worth_a_word(tmp_path):
    theirs, ours = build("lenet5", 1), build("lenet5", 2)
    report = load(ours, write_run(tmp_path / "run", "lenet5", theirs), "lenet5", CLASSES)
    assert report.dropped == report.missing == ()
    assert report.head == ""


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_head_of_unknown_classes_is_not_used_and_that_is_told(tmp_path, suffix):
    theirs, ours = build("lenet5", 1), build("lenet5", 2)
    path = tmp_path / f"w{suffix}"
    (torch.save if suffix == ".pth" else save_file)(theirs.state_dict(), path)
    report = load(ours, str(path), "lenet5", CLASSES)
    assert set(report.dropped) == set(report.missing) == {"fc3.weight", "fc3.bias"}
    assert report.line().endswith("not used, since the file does not name its classes")
    assert torch.equal(ours.conv1.weight, theirs.conv1.weight)


@pytest.mark.parametrize("kind", ["equal", "moved", "own"])
def test_a_thousand_classes_of_ones_own_are_not_imagenets(tmp_path, monkeypatch, kind):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(download, "_HASH", re.compile("(?!)"))  # not the file of that name
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    theirs, ours = build("resnet18", 1, 1000), build("resnet18", 2, 1000)
    torch.save(theirs.state_dict(), folder / MODELS["resnet18"].weights[0].file)
    names = list(models.ResNet18_Weights.IMAGENET1K_V1.meta["categories"])
    if kind == "moved":
        names = names[::-1]
    elif kind == "own":
        names[7] = "my class"
    report = load(ours, "default", "resnet18", names)
    if kind == "own":
        assert report.dropped == ("fc.weight", "fc.bias")
        assert "its classes are others (cock)" in report.line()
    else:
        assert report.dropped == ()
        rows = theirs.fc.weight if kind == "equal" else theirs.fc.weight.flip(0)
        assert torch.equal(ours.fc.weight, rows)


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (["a", "b", "a"], "class_names have a more than once"),
        ([], "not a list of names"),
        ("abc", "not a list of names"),
        (None, "not a list of names"),
        ({"a": 0}, "not a list of names"),
        (["a", 1], "not all of its class_names are texts"),
        (["a", ""], "not all of its class_names are texts"),
        (["a", ["b"]], "not all of its class_names are texts"),
    ],
)
def test_weights_with_impossible_class_names_are_refused(tmp_path, names, why):
    folder = tmp_path / "run"
    folder.mkdir()
    meta = {"model": "lenet5", "class_names": names}
    network = build("lenet5", 1)
    save_file(network.state_dict(), folder / "best.safetensors", {"cnncli": json.dumps(meta)})
    with pytest.raises(CnncliError, match=why) as caught:
        look_up_source(str(folder), MODELS["lenet5"])
    assert caught.value.exit_code == 2
