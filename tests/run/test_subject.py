"""The network to look at: a run's, or one of the registry with random weights or a file's."""

import re
from functools import partial

import pytest
import torch
from helpers import HeardInOrder
from safetensors.torch import save_file

from cnncli.errors import CnncliError
from cnncli.images.preprocess import Preprocess
from cnncli.models.build import build_network
from cnncli.models.pretrained import download
from cnncli.models.registry import find_model
from cnncli.run.subject import is_run, load_subject, load_trained
from cnncli.training.checkpoint import Checkpoint, save_checkpoint


@pytest.fixture
def notes():
    return HeardInOrder()


def weights_of(name, classes, seed=5, size=224):
    torch.manual_seed(seed)
    network = build_network(name, num_classes=classes, in_channels=3, image_size=(size, size))
    return {key: tensor.contiguous() for key, tensor in network.state_dict().items()}


def check_same(network, weights):
    own = network.state_dict()
    assert set(own) == set(weights)
    assert all(torch.equal(own[name], tensor) for name, tensor in weights.items())


def test_names_of_networks_are_no_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert not any(map(is_run, ("resnet18", "cnn: gap; dense 3", "timm:resnet18", "resnet")))
    (tmp_path / "resnet18").mkdir()
    (tmp_path / "first").mkdir()
    assert not is_run("resnet18")  # ./resnet18 is the folder
    assert all(map(is_run, ("./resnet18", "first", "runs/x", "a.safetensors")))


def test_a_part_of_a_runs_name_is_a_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "2026-01-01_lenet5").mkdir(parents=True)
    assert not is_run("2026")  # an empty folder is no run
    (tmp_path / "runs" / "2026-01-01_lenet5" / "config.yaml").touch()
    assert all(map(is_run, ("2026", "last", "01_lenet5")))
    assert not any(map(is_run, ("lenet5", "lenet6")))


def test_a_run_by_a_part_of_its_name_is_said(run_dir, in_workspace, notes):
    assert load_subject("_lenet", notes).checkpoint.samefile(run_dir / "best.safetensors")
    assert notes.lines[0].endswith("(the run that _lenet names)")


def test_a_run_is_in_eval_mode_with_its_own_preprocessing(run_dir, notes):
    for target in (str(run_dir), str(run_dir / "best.safetensors")):
        subject = load_subject(target, notes)
        assert subject.is_trained
        assert subject.checkpoint == run_dir / "best.safetensors"
        assert subject.class_names == ("one", "two", "zero")
        assert subject.preprocess.image_size == (32, 32)
        assert not any(module.training for module in subject.classifier().modules())
    assert notes.lines == []


def test_random_weights_come_from_the_seed_and_are_called_random(notes):
    one, same, other = (load_subject("lenet5", notes, seed=seed) for seed in (1, 1, 2))
    assert not one.is_trained
    assert torch.equal(one.network.conv1.weight, same.network.conv1.weight)
    assert not torch.equal(one.network.conv1.weight, other.network.conv1.weight)
    assert not one.network.training
    assert len(notes.lines) == 3
    assert all("random weights" in line for line in notes.lines)
    assert one.class_names == tuple("0123456789")
    assert one.preprocess.channels == 1
    assert len(load_subject("squeezenet1_1", notes).class_names) == 1000


def test_default_weights_are_those_in_torchs_cache(tmp_path, monkeypatch, notes):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(download, "_HASH", re.compile("(?!)"))  # not the file of that name
    entry = find_model("squeezenet1_1").weights[0]
    weights = weights_of("squeezenet1_1", 1000)
    entry.path.parent.mkdir(parents=True)
    torch.save(weights, entry.path)
    subject = load_subject("squeezenet1_1", notes, weights="default")
    check_same(subject.network, weights)
    assert subject.is_trained
    assert subject.class_names[207] == "golden retriever"
    assert subject.preprocess == Preprocess(
        224,
        224,
        3,
        resize_mode="crop",
        resize_size=256,
        interpolation="bilinear",
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
    )
    assert notes.lines == []


def test_a_file_of_a_thousand_classes_is_taken_to_be_imagenets(tmp_path, notes):
    weights = weights_of("squeezenet1_1", 1000)
    save_file(weights, tmp_path / "w.safetensors")
    subject = load_subject("squeezenet1_1", notes, weights=str(tmp_path / "w.safetensors"))
    check_same(subject.network, weights)
    assert subject.class_names[207] == "golden retriever"
    assert len(notes.lines) == 1
    assert "taken to be ImageNet's" in notes.lines[0]


def test_a_file_of_another_number_of_classes_has_them_numbered(tmp_path, notes):
    weights = weights_of("squeezenet1_1", 7)
    save_file(weights, tmp_path / "w.safetensors")
    subject = load_subject("squeezenet1_1", notes, weights=str(tmp_path / "w.safetensors"))
    check_same(subject.network, weights)
    assert subject.class_names == tuple("0123456")
    assert len(notes.lines) == 1
    assert notes.lines[0].endswith("does not name its 7 classes: they are numbered from 0")


def test_the_weights_of_a_run_bring_its_classes_and_preprocessing(run_dir, notes):
    subject = load_subject("lenet5", notes, weights=str(run_dir))
    run = load_subject(str(run_dir), notes)
    assert subject.class_names == run.class_names
    assert subject.preprocess == run.preprocess
    check_same(subject.network, run.network.state_dict())
    assert notes.lines == []


def test_a_size_of_ones_own(notes):
    subject = load_subject("resnet_small", notes, image_size=(48, 64))
    assert subject.preprocess.image_size == (48, 64)
    batch = torch.zeros(2, 48, 64, 3, dtype=torch.uint8)
    assert subject.classifier()(batch).shape == (2, 10)


@pytest.mark.parametrize(
    ("target", "options", "why"),
    [
        ("resnet1", {}, "did you mean resnet18.*nor a run folder"),
        ("./none", {}, "^./none: no such run folder or file"),
        ("lenet5", {"weights": "default"}, "has no pretrained weights"),
        ("resnet18", {"weights": "V9"}, "neither weights of resnet18 nor a file"),
        ("lenet5", {"image_size": (8, 8)}, "at least 16 pixels"),
    ],
)
def test_what_cannot_be_loaded_is_one_line(target, options, why, notes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CnncliError, match=why) as caught:
        load_subject(target, notes, **options)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_of_another_network(tmp_path, notes):
    save_file({"a.weight": torch.zeros(3, 3)}, tmp_path / "w.safetensors")
    with pytest.raises(CnncliError, match=r"has no last layer of squeezenet1_1 \(classifier.1"):
        load_subject("squeezenet1_1", notes, weights=str(tmp_path / "w.safetensors"))


def test_a_runs_file_by_its_network_has_what_the_run_exchanged(notes, tmp_path):
    """A fitted head of SqueezeNet has no activation behind it."""
    network = build_network(
        "squeezenet1_1", num_classes=3, in_channels=3, image_size=(32, 32), linear_head=True
    ).eval()
    form = Preprocess(32, 32, channels=3, mean=(0.5,) * 3, std=(0.25,) * 3)
    path = tmp_path / "plain.safetensors"
    options = {"linear_head": True}
    save_checkpoint(path, network, Checkpoint("squeezenet1_1", ("a", "b", "c"), form, options))
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = network(images)
        assert (expected < 0).any()  # what an activation would have cut off
        for load in (load_trained, partial(load_subject, weights=str(path))):
            args = (str(path), notes) if load is load_trained else (notes,)
            assert torch.equal(load("squeezenet1_1", *args).network(images), expected)
