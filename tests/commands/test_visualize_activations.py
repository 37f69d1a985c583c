"""``cnncli visualize activations``: the maps are those that torch computes, before and after."""

import csv
import io
import json

import cv2
import numpy as np
import pytest
import torch

import cnncli.recipes.visualize.activations as recipe
from cnncli.recipes.visualize.photos import as_batch, read_photo
from cnncli.reporting import SilentReporter
from cnncli.run.subject import load_subject


@pytest.fixture
def activations(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *args: cli("visualize", "activations", *args)


@pytest.fixture
def image(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    assert cv2.imwrite(str(tmp_path / "a.png"), pixels)
    return tmp_path / "a.png"


@pytest.fixture
def drawn(activations, monkeypatch):
    def run(*args):
        seen = []
        monkeypatch.setattr(recipe, "save_tiles", lambda path, groups: seen.extend(groups))
        result = activations(*args)
        assert result.code == 0, result.err
        return seen

    return run


def read_csv(text):
    return list(csv.DictReader(io.StringIO(text)))


def input_of(subject, image):
    return subject.classifier().normalise(as_batch([read_photo(str(image), subject.preprocess)]))


def test_before_and_after_the_activation(activations, drawn, image):
    """SqueezeNet's ReLU works in place: what was before it must not be what is after it."""
    subject = load_subject("squeezenet1_1", SilentReporter())
    with torch.no_grad():
        images = input_of(subject, image)
        before = torch.nn.functional.conv2d(
            images, subject.network.features[0].weight, subject.network.features[0].bias, stride=2
        )[0].numpy()
    after = np.maximum(before, 0)
    groups = drawn("squeezenet1_1", "--image", image, "--layer", "features.0")
    photo, given, out, active = groups
    assert photo.title.endswith(f"{image.name}, as the network gets it: 224×224")
    np.testing.assert_allclose(given.tiles, images[0].numpy())
    np.testing.assert_allclose(out.tiles, before, atol=1e-5)
    np.testing.assert_allclose(active.tiles, after, atol=1e-5)
    assert out.title == "features.0, before relu: 64 channels 111×111"
    zeros = 100 * (after == 0).mean()
    assert active.title == f"features.0, after relu: 64 channels 111×111, {zeros:.0f} % zeros"
    args = ("squeezenet1_1", "--image", image, "--layer", "features.0", "--format")
    rows = [row for row in read_csv(activations(*args, "csv").out) if row["state"] == "after"]
    assert len(rows) == 64
    for row, maps in zip(rows, after, strict=True):
        assert float(row["zeros"]) == pytest.approx((maps == 0).mean())
        assert float(row["maximum"]) == pytest.approx(maps.max(), abs=1e-4)
        assert float(row["mean"]) == pytest.approx(maps.mean(), abs=1e-4)
    document = json.loads(activations(*args, "json").out)
    assert [layer["state"] for layer in document["layers"]] == ["input", "output", "after"]
    assert document["layers"][2]["zeros"] == pytest.approx((after == 0).mean())


def test_of_a_run_every_stage_in_turn_for_a_test_image(activations, drawn, run_dir):
    groups = drawn(run_dir)
    assert [group.title.split(":")[0] for group in groups[1:]] == [
        "conv1, after tanh",
        "conv2, after tanh",
        "fc1, after tanh",
        "fc2, after tanh",
    ]
    assert groups[1].tiles.shape == (6, 28, 28)
    assert groups[2].tiles.shape == (16, 10, 10)
    assert np.isfinite(groups[3].tiles).sum() == 120
    assert groups[1].limits[0] < 0  # tanh has both signs
    assert "image: " in activations(run_dir).err


def test_of_many_channels_the_first_are_shown_and_all_are_counted(drawn, image):
    groups = drawn("resnet18", "--image", image)
    titles = [group.title for group in groups[1:]]
    assert titles[-1].startswith("layer4: 512 channels 7×7")
    assert titles[-1].endswith("; the first 16")
    assert all(len(group.tiles) <= 16 for group in groups[1:])


def test_tokens_stand_on_their_grid(drawn, image):
    groups = drawn("vit_b_32", "--image", image, "--layer", "encoder.layers.encoder_layer_0")
    assert groups[-1].tiles.shape == (64, 7, 7)
    groups = drawn("swin_t", "--image", image, "--layer", "features.1.0.mlp.0")
    assert groups[-1].title.startswith("features.1.0.mlp.0, after gelu: 384 channels 56×56")
    groups = drawn("vit_b_32", "--image", image, "--layer", "conv_proj")
    assert groups[-1].title == "conv_proj: 768 channels 7×7; the first 64"


def test_a_chain_is_shown_before_it_flattens_its_maps(drawn, image):
    chain = "cnn: conv3x3 f8 relu; pool2; conv3x3 f4 relu; flatten; dense 10"
    groups = drawn(chain, "--image", image, "--image-size", 28)
    pooled = drawn(chain.replace("flatten", "gap"), "--image", image, "--image-size", 28)
    assert [group.title for group in groups] == [group.title for group in pooled]
    assert [group.tiles.shape for group in groups[1:]] == [(8, 13, 13), (4, 11, 11)]


def test_a_layer_that_is_called_several_times(drawn, run_dir):
    groups = drawn(run_dir, "--layer", "activation")
    assert sum("call 2 of 4" in group.title for group in groups) == 2
    assert groups[1].title == "input of activation, call 1 of 4: 6 channels 28×28"


def test_layers_that_cannot_be_shown(activations, image, run_dir):
    result = activations(run_dir, "--layer", "conv7")
    assert result.code == 2
    assert "did you mean conv" in result.error
    result = activations("googlenet", "--image", image, "--layer", "aux1.fc1")
    assert result.code == 2
    assert "does not run when the network predicts" in result.err
    result = activations("lenet5", "--image", image, "--image", "b.png")
    assert result.code == 2
    assert result.error == "--image b.png: one image at a time; leave it out"
    assert "--image: missing" in activations("lenet5").err
    assert activations("lenet5", "--image", "none.png").code == 2


def test_one_bright_value_does_not_darken_the_others():
    maps = np.ones((1, 100, 100))
    maps[0, 0, 0] = 1000
    assert recipe._choose_limits(maps) == ((0.0, 1.0), True)
    assert recipe._choose_limits(np.zeros((1, 2, 2))) == ((0.0, 1.0), False)
    assert recipe._choose_limits(np.array([-1.0, 1.0])) == ((-1.0, 1.0), False)


@pytest.mark.parametrize("model", ["lenet5", "squeezenet1_1"])
def test_the_picture_is_drawn(activations, image, model):
    from PIL import Image

    result = activations(model, "--image", image)
    assert result.code == 0, result.err
    with Image.open(result.out.strip()) as picture:
        assert picture.width <= 1000
