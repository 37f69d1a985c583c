"""Weights from torch's cache, from files and from runs, into networks they fit in part."""

import json
import re
import socket
import threading
import time

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision import models
from torchvision.models.vision_transformer import interpolate_embeddings

from cnncli import connection
from cnncli.errors import CnncliError
from cnncli.models.build import build_network
from cnncli.models.pretrained import download
from cnncli.models.pretrained.weights import (
    load_tensors,
    load_weights,
    look_up_source,
    weights_normalisation,
    weights_preprocess,
)
from cnncli.models.registry import MODELS
from cnncli.models.stem import Normalisation

torch.set_num_threads(1)
SIZE = (64, 64)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)

    def refuse(*args, **kwargs):
        raise OSError("no network in tests")

    monkeypatch.setattr(socket, "create_connection", refuse)
    # What the tests put there is not what the names promise.
    monkeypatch.setattr(download, "_HASH", re.compile("(?!)"))
    return folder


def build(name, num_classes=5, in_channels=3, size=SIZE, seed=0, **options):
    torch.manual_seed(seed)
    return build_network(
        name, num_classes=num_classes, in_channels=in_channels, image_size=size, **options
    ).eval()


def put(cache, name, network=None, which=0):
    """Save a network with 1000 classes where torchvision's download would lie."""
    network = network or build(name, num_classes=1000, seed=1)
    torch.save(network.state_dict(), cache / MODELS[name].weights[which].file)
    return network


CLASSES = tuple("abcde")


def load(network, spec, name, class_names=CLASSES, **options):
    entry = MODELS[name]
    source = look_up_source(spec, entry)
    return load_weights(network, source, entry, class_names=class_names, **options)


def test_all_but_the_head_comes_out_of_the_cache(cache):
    theirs, ours = put(cache, "resnet18"), build("resnet18")
    report = load(ours, "default", "resnet18")
    assert report.dropped == report.missing == ("fc.weight", "fc.bias")
    assert report.adapted == ()
    for name, tensor in ours.state_dict().items():
        assert torch.equal(tensor, theirs.state_dict()[name]) == (not name.startswith("fc.")), name
    assert report.line() == (
        "weights resnet18 IMAGENET1K_V1: 120 tensors loaded, 2 dropped (fc.weight, fc.bias), "
        "2 left as they were (fc.weight, fc.bias)"
    )


def test_a_head_of_as_many_classes_is_kept(cache):
    theirs, ours = put(cache, "resnet18"), build("resnet18", num_classes=1000)
    categories = models.ResNet18_Weights.IMAGENET1K_V1.meta["categories"]
    report = load(ours, "imagenet1k_v1", "resnet18", categories)
    assert report.dropped == report.missing == ()
    images = torch.randn(2, 3, *SIZE)
    assert torch.equal(ours(images), theirs(images))


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("resnet18", 64),  # BatchNorm takes the constant
        ("squeezenet1_1", 64),  # the bias takes it
        ("googlenet", 64),  # halves in place of transform_input
        ("convnext_tiny", 64),  # no padding in the first layer: equal everywhere
    ],
)
def test_a_grey_network_gives_what_copies_give(cache, name, size):
    theirs = build(name, num_classes=1000, size=(size, size), seed=1)
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):  # statistics that are not 0 and 1
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    put(cache, name, theirs)
    ours = build(name, in_channels=1, size=(size, size))
    report = load(ours, "default", name)
    entry = MODELS[name]
    assert f"{entry.layout.stem}.weight" in report.adapted
    target = weights_normalisation(look_up_source("default", entry), entry, 1)
    grey = torch.rand(2, 1, size, size)
    weights = entry.weights[0]
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (weights.mean, weights.std))
    layer = entry.layout.stem_norm or entry.layout.stem
    maps = []
    for network, images in (
        (theirs, (grey - mean) / std),
        (ours, (grey - target.mean[0]) / target.std[0]),
    ):
        got = []
        network.get_submodule(layer).register_forward_hook(lambda m, i, o, got=got: got.append(o))
        network(images)
        maps.append(got[0])
    inside = (..., slice(2, -2), slice(2, -2)) if maps[0].shape[-1] > 8 else ...
    torch.testing.assert_close(maps[1][inside], maps[0][inside], atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_halves_are_what_transform_input_makes_of_imagenets(name):
    weights = MODELS[name].weights[0]
    image = torch.rand(1, 3, 8, 8)
    network = getattr(models, name)(init_weights=False, transform_input=True)
    transforms = models.get_model_weights(name).DEFAULT.transforms()
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (transforms.mean, transforms.std))
    expected = network._transform_input((image - mean) / std)
    own_mean, own_std = (torch.tensor(v).view(1, 3, 1, 1) for v in (weights.mean, weights.std))
    torch.testing.assert_close((image - own_mean) / own_std, expected, atol=1e-6, rtol=1e-5)


def test_old_densenet_names_are_read(cache):
    network = build("densenet121", num_classes=1000, seed=1)
    old = {
        name.replace("norm1.", "norm.1.").replace("conv2.", "conv.2.") if "denselayer" in name
        else name: tensor
        for name, tensor in network.state_dict().items()
        if not name.endswith("num_batches_tracked")  # younger than those files
    }  # fmt: skip
    assert set(old) != set(network.state_dict())
    torch.save(old, cache / MODELS["densenet121"].weights[0].file)
    report = load(build("densenet121"), "default", "densenet121")
    assert report.dropped == ("classifier.weight", "classifier.bias")


def test_mnasnet_loads_without_the_versions_torch_keeps(cache, tmp_path):
    network = build("mnasnet0_5", seed=1)
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    other = build("mnasnet0_5")
    report = load(other, str(tmp_path / "w.safetensors"), "mnasnet0_5")
    assert report.missing == ("classifier.1.weight", "classifier.1.bias")
    load_tensors(build("mnasnet0_5"), dict(network.state_dict()))  # plain: raises ValueError


def test_position_embeddings_are_interpolated_as_in_torchvision(cache):
    theirs = build("vit_b_32", num_classes=1000, size=(224, 224), seed=1)
    put(cache, "vit_b_32", theirs)
    ours = build("vit_b_32", size=(96, 96))
    report = load(ours, "default", "vit_b_32")
    assert report.adapted == ("encoder.pos_embedding",)
    assert report.missing == ("heads.head.weight", "heads.head.bias")
    expected = interpolate_embeddings(96, 32, theirs.state_dict())["encoder.pos_embedding"]
    torch.testing.assert_close(ours.encoder.pos_embedding.detach(), expected)
    assert ours(torch.randn(1, 3, 96, 96)).shape == (1, 5)


def test_relative_positions_are_interpolated(cache):
    theirs = put(cache, "maxvit_t", build("maxvit_t", num_classes=1000, size=(224, 224), seed=1))
    ours = build("maxvit_t", size=(64, 64))
    report = load(ours, "default", "maxvit_t")
    assert report.missing == ("classifier.5.weight",)
    assert len(report.adapted) == 22  # two attentions in each of 11 layers
    name = "blocks.0.layers.0.layers.window_attention.attn_layer.1.relative_position_bias_table"
    old, new = theirs.state_dict()[name], ours.state_dict()[name]
    assert (len(old), len(new)) == (13 * 13, 3 * 3)
    torch.testing.assert_close(new[[0, 2, 4, 6, 8]], old[[0, 12, 84, 156, 168]])  # corners, centre
    assert ours(torch.randn(1, 3, 64, 64)).shape == (1, 5)


def test_tensors_that_are_not_finite_are_dropped(cache):
    network = build("squeezenet1_1", num_classes=1000, seed=1)
    network.features[0].bias.data[3] = torch.nan
    put(cache, "squeezenet1_1", network)
    ours = build("squeezenet1_1")
    report = load(ours, "default", "squeezenet1_1")
    assert "features.0.bias" in report.dropped
    assert ours(torch.randn(1, 3, *SIZE)).isfinite().all()


def write_run(folder, name, network, channels, mean, std):
    folder.mkdir()
    meta = {
        "model": name,
        "class_names": list(CLASSES),
        "preprocess": {
            "height": 64, "width": 64, "channels": channels, "mean": mean, "std": std
        },
    }  # fmt: skip
    save_file(network.state_dict(), folder / "best.safetensors", {"cnncli": json.dumps(meta)})


def test_a_run_gives_weights_and_what_images_they_expect(tmp_path):
    theirs = build("resnet_small", in_channels=1, seed=1)
    write_run(tmp_path / "run", "resnet_small", theirs, 1, [0.3], [0.2])
    entry = MODELS["resnet_small"]
    source = look_up_source(str(tmp_path / "run"), entry)
    pre = weights_preprocess(source, entry)
    assert (pre.in_channels, pre.mean, pre.std, pre.image_size) == (1, (0.3,), (0.2,), (64, 64))
    ours = build("resnet_small", in_channels=3)
    normalisation = weights_normalisation(source, entry, 3)
    assert normalisation == Normalisation((0.3,) * 3, (0.2,) * 3)
    report = load_weights(ours, source, entry, class_names=CLASSES)
    assert report.missing == ()  # 5 classes both
    grey = torch.randn(2, 1, *SIZE)
    torch.testing.assert_close(ours(grey.expand(-1, 3, -1, -1)), theirs(grey), atol=1e-4, rtol=1e-4)


def test_weights_of_another_network_are_refused_and_change_nothing(tmp_path):
    write_run(tmp_path / "run", "lenet5", build("lenet5", in_channels=1), 1, [0.5], [0.5])
    network = build("resnet18")
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(CnncliError, match=r"only 0 of 60 tensors fit resnet18 .*lenet5") as caught:
        load(network, str(tmp_path / "run"), "resnet18")
    assert caught.value.exit_code == 2
    assert all(torch.equal(before[name], t) for name, t in network.state_dict().items())


def test_no_network_is_one_line_within_a_second(cache):
    start = time.perf_counter()
    with pytest.raises(CnncliError) as caught:
        load(build("squeezenet1_1"), "default", "squeezenet1_1")
    assert time.perf_counter() - start < 1.5  # building included
    assert caught.value.exit_code == 2
    message = str(caught.value)
    for part in (MODELS["squeezenet1_1"].weights[0].file, str(cache), "--weights none", "PATH"):
        assert part in message
    assert "\n" not in message


def test_a_name_server_that_does_not_answer_is_not_waited_for(cache, monkeypatch):
    released = threading.Event()

    def wait(*args, **kwargs):
        released.wait(5)
        raise OSError("late")

    monkeypatch.setattr(socket, "create_connection", wait)
    monkeypatch.setattr(connection, "getproxies", dict)
    start = time.perf_counter()
    with pytest.raises(CnncliError, match=r"download\.pytorch\.org: no answer"):
        download.download_weights("resnet18", MODELS["resnet18"].weights[0])
    assert time.perf_counter() - start < 1
    released.set()


def test_a_damaged_file_in_the_cache_is_named(cache):
    weights = MODELS["resnet18"].weights[0]
    (cache / weights.file).write_bytes(b"half a file")
    with pytest.raises(CnncliError, match="damaged; delete it"):
        download.download_weights("resnet18", weights)


@pytest.mark.parametrize(
    ("model", "spec", "message"),
    [
        ("resnet50", "IMAGENET1K_V3", "did you mean IMAGENET1K_V"),
        ("resnet50", "no/such/file.pth", "neither weights of resnet50 nor a file"),
        ("lenet5", "default", "lenet5 has no pretrained weights; use --weights none"),
    ],
)
def test_unknown_weights(model, spec, message):
    with pytest.raises(CnncliError, match=message):
        look_up_source(spec, MODELS[model])


def test_a_folder_without_a_run(tmp_path):
    with pytest.raises(CnncliError, match="no run folder"):
        look_up_source(str(tmp_path), MODELS["resnet18"])


def test_none_is_none():
    entry = MODELS["resnet18"]
    assert look_up_source("none", entry) is None
    assert weights_preprocess(None, entry) is None
    assert weights_normalisation(None, entry, 1) is None


def test_an_architecture_with_other_norms_takes_what_fits(cache):
    put(cache, "resnet18")
    ours = build("resnet18", norm="group")
    report = load(ours, "default", "resnet18")
    assert "bn1.weight" in report.loaded
    assert "bn1.running_mean" in report.dropped
