"""``cnncli visualize dead``."""

import csv
import io
import json

import pytest
import torch
from helpers import train

from cnncli.training.checkpoint import load_checkpoint, save_checkpoint


@pytest.fixture
def dead(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *args: cli("visualize", "dead", *args)


@pytest.fixture(scope="module")
def relu_run(tmp_path_factory, folder_data):
    """Return a run whose layer conv2 has the channels 3 and 9 killed by hand."""
    run = train(tmp_path_factory.mktemp("relu"), data=str(folder_data), activation="relu")
    network, checkpoint = load_checkpoint(run / "best.safetensors")
    with torch.no_grad():
        network.conv2.bias[[3, 9]] = -1e3
    save_checkpoint(run / "best.safetensors", network, checkpoint)
    return run


def read_csv(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_channels_that_were_killed(dead, relu_run):
    rows = read_csv(dead(relu_run, "--format", "csv").out)
    assert [row["layer"] for row in rows] == ["conv1", "conv2", "fc1", "fc2"]
    assert {row["function"] for row in rows} == {"relu"}
    assert [row["channels"] for row in rows] == ["6", "16", "120", "84"]
    document = json.loads(dead(relu_run, "--format", "json").out)
    layer = document["layers"][1]
    assert {3, 9} <= set(layer["dead_channels"])
    assert layer["dead"] == len(layer["dead_channels"])
    assert document["channels"] == 6 + 16 + 120 + 84
    assert document["dead"] == sum(layer["dead"] for layer in document["layers"])
    assert document["images"] == 12  # all test images


def test_the_number_of_images(dead, relu_run):
    few = json.loads(dead(relu_run, "--images", 3, "--format", "json").out)
    every = json.loads(dead(relu_run, "--split", "all", "--format", "json").out)
    assert (few["images"], every["images"]) == (3, 90)
    assert few["dead"] >= every["dead"]


def test_the_picture_of_a_run_and_of_other_activations(dead, relu_run, run_dir):
    from PIL import Image

    for target in (relu_run, run_dir):
        result = dead(target)
        assert (result.code, result.out, result.err) == (0, "dead.png\n", "")
        with Image.open("dead.png") as image:
            assert image.width <= 1000
    rows = read_csv(dead(run_dir, "--format", "csv").out)
    assert {row["dead"] for row in rows} == {""}  # tanh has no flat side
    assert all(row["negative"].isdecimal() for row in rows)


def test_what_no_gradient_means_is_said_only_where_a_channel_can_be_dead(
    dead, relu_run, run_dir, monkeypatch
):
    import cnncli.recipes.visualize.dead as recipe

    said = []
    monkeypatch.setattr(recipe, "save_layer_bars", lambda path, **given: said.append(given))
    dead(relu_run)
    dead(run_dir)
    assert "dead 100 %: no channel has a slope" in said[0]["note"]
    assert all(bar.is_main for bar in said[0]["bars"])
    assert "no channel can be dead" in said[1]["title"]
    assert said[1]["note"] == ""
    assert not any(bar.is_main for bar in said[1]["bars"])


def test_a_network_without_activation(dead, folder_data):
    result = dead("cnn: flatten; dense 10", "--data", folder_data)
    assert result.code == 2
    assert "has no activation function" in result.err
    assert "--image: missing" in dead("lenet5").err
