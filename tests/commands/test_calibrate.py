"""Train's temperature: fitted on val, stored beside the weights, in every answer of the network."""

import csv

import cv2
import numpy as np
import pytest
import torch
import yaml
from helpers import train
from safetensors.torch import load_file

from cnncli.training.checkpoint import load_checkpoint


@pytest.fixture(scope="module")
def too_sure(tmp_path_factory):
    """Noise under labels drawn by lot: whatever a network learns by heart is wrong on val."""
    root = tmp_path_factory.mktemp("calibrate")
    random = np.random.default_rng(0)
    for number in range(80):
        folder = root / "data" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(
            str(folder / f"{number}.png"), random.integers(0, 256, (32, 32), "uint8")
        )
    settings = {"data": str(root / "data"), "epochs": 15, "augment": "none"}
    return {how: train(root / how, calibrate=how, **settings) for how in ("temperature", "none")}


def rows_of(run, name):
    with (run / name).open(newline="") as file:
        return list(csv.DictReader(file))


def test_probabilities_are_the_softmax_of_the_divided_logits(too_sure):
    run = too_sure["temperature"]
    network, checkpoint = load_checkpoint(run / "best.safetensors")
    *_, kept = [row for row in rows_of(run, "metrics.csv") if row["kept"] == "1"]
    assert checkpoint.temperature == pytest.approx(float(kept["temperature"]), rel=1e-5)
    assert checkpoint.temperature > 1.2
    assert float(kept["val_calibrated_loss"]) < float(kept["val_loss"])
    pre = checkpoint.preprocess
    for row in rows_of(run, "predictions.csv"):
        stored = cv2.imread(str(run.parents[1] / "data" / row["path"]), cv2.IMREAD_GRAYSCALE)
        image = torch.from_numpy(stored)[None, ..., None]
        pixels = (image.permute(0, 3, 1, 2) / 255 - pre.mean[0]) / pre.std[0]
        with torch.no_grad():
            expected = (network(pixels)[0] / checkpoint.temperature).softmax(dim=0)
        found = [float(row["probability_a"]), float(row["probability_b"])]
        np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)


def test_without_it_the_weights_are_the_same(too_sure):
    plain, scaled = (too_sure[how] / "best.safetensors" for how in ("none", "temperature"))
    assert load_checkpoint(plain)[1].temperature == 1
    one, other = load_file(plain), load_file(scaled)
    assert all(torch.equal(one[name], other[name]) for name in other)
    config = yaml.safe_load((too_sure["none"] / "config.yaml").read_text())
    assert config["calibrate"] == "none"
