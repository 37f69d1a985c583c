"""``cnncli visualize gradients``."""

import csv
import io
import json

import pytest
import torch
from torch.nn import functional

from cnncli.recipes.visualize.photos import as_batch, choose_photos
from cnncli.recipes.visualize.settings import VisualizeSettings
from cnncli.reporting import SilentReporter
from cnncli.run.subject import load_subject


@pytest.fixture
def gradients(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *args: cli("visualize", "gradients", *args)


def read_csv(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_of_a_run_on_its_own_labelled_images(gradients, run_dir):
    subject = load_subject(str(run_dir), SilentReporter())
    photos = choose_photos(VisualizeSettings(), subject, SilentReporter(), count=12)
    targets = torch.tensor([subject.class_names.index(photo.label) for photo in photos])
    logits = subject.classifier().logits(as_batch(photos))
    loss = functional.cross_entropy(logits, targets)
    loss.backward()
    result = gradients(run_dir, "--images", 12, "--format", "json")
    assert (result.code, result.err) == (0, "")
    document = json.loads(result.out)
    assert document["loss"] == pytest.approx(loss.item(), rel=1e-5)
    assert (document["shortcuts"], document["loss_cut"], document["images"]) == (0, None, 12)
    for row in document["layers"]:
        gradient = subject.network.get_submodule(row["layer"]).weight.grad
        expected = gradient.square().mean().sqrt().item()
        assert row["gradient_rms"] == pytest.approx(expected, rel=1e-3)
        assert row["gradient_rms_cut"] is None


def test_of_a_residual_network_both(gradients):
    from PIL import Image

    result = gradients("resnet20", "--format", "csv", "--output", "a.png")
    assert "no images: noise and random classes of seed 0" in result.err
    rows = read_csv(result.out)
    assert len(rows) == 20  # its convolutions and its dense layer
    assert all(float(row["gradient_rms"]) > 10 * float(row["gradient_rms_cut"]) for row in rows)
    with Image.open("a.png") as image:
        assert image.width <= 1000
    train = read_csv(gradients("resnet20", "--method", "train", "--format", "csv").out)
    assert [row["gradient_rms"] for row in train] != [row["gradient_rms"] for row in rows]
    again = read_csv(gradients("resnet20", "--format", "csv").out)
    assert again == rows


def test_sigmoids_make_the_gradient_vanish_towards_the_input(gradients):
    layers = "conv3x3 f8 same sigmoid; " * 6
    args = (f"cnn: {layers}gap; dense 10", "--image-size", 28, "--format", "csv")
    sizes = [float(row["gradient_rms"]) for row in read_csv(gradients(*args).out)]
    assert sizes == sorted(sizes)
    assert sizes[0] < 1e-5 * sizes[-1]


def test_layers_without_any_gradient_are_marked(gradients):
    """The last norm of each block of resnet_small begins at zero: its branches get none."""
    result = gradients("resnet_small", "--image-size", 32)
    assert result.code == 0
    rows = read_csv(gradients("resnet_small", "--image-size", 32, "--format", "csv").out)
    assert {row["gradient_rms"] for row in rows if ".conv" in row["layer"]} == {"0.0"}


def test_labels_that_are_no_classes_and_wrong_methods(gradients, folder_data):
    result = gradients("lenet5", "--data", folder_data)
    assert result.code == 0
    assert "no label that is a class of the network: random classes of seed 0" in result.err
    result = gradients("lenet5", "--method", "trian")
    assert result.code == 2
    assert result.error == "--method trian: no such method; did you mean train?"
