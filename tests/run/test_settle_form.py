"""How images come to size for pretrained weights: which mode and which size is tried, and taken."""

import cv2
import numpy as np
import pytest
import yaml
from helpers import Heard
from safetensors.torch import save_file

from cnncli.config import FinetuneConfig
from cnncli.models.build import build_network
from cnncli.recipes.train import train_run
from cnncli.run import judge_forms
from cnncli.training.checkpoint import load_checkpoint
from cnncli.training.head_fit import Judgement


def write_photos(root, side, per_class=6):
    """Write noise of two brightnesses as PNG files of this height, a little wider."""
    generator = np.random.default_rng(0)
    for number, name in enumerate(("dark", "light")):
        (root / name).mkdir(parents=True)
        for image in range(per_class):
            pixels = generator.integers(0, 100, (side, side + 40, 3)) + 120 * number
            assert cv2.imwrite(str(root / name / f"{image}.png"), pixels.astype("uint8"))
    return root


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Return a file of weights as others publish them, without a word on images."""
    network = build_network("squeezenet1_1", num_classes=1000, in_channels=3, image_size=(224, 224))
    path = tmp_path_factory.mktemp("weights") / "squeezenet.safetensors"
    save_file(network.state_dict(), path)
    return path


@pytest.fixture
def judge(monkeypatch):
    """Judge each way by losses that are given, in the order in which the ways are tried."""
    sizes = []

    def set_losses(*losses):
        given = iter(losses)

        def judge_strengths(views, targets, num_classes, folds):
            noise = np.linspace(-0.01, 0.01, len(targets))
            return Judgement(1.0, next(given) + noise, 1.0)

        def compute(run, images, targets, advance):
            sizes.append(images.shape[1])
            return np.zeros((1, len(images), 4), dtype=np.float32)

        monkeypatch.setattr(judge_forms, "judge_strengths", judge_strengths)
        monkeypatch.setattr(judge_forms, "_compute", compute)
        return sizes

    return set_losses


def finetune(tmp_path, data, weights, **settings):
    """Fit the head of a SqueezeNet; return the run's folder and the lines on size."""
    heard = Heard()
    values = {"model": "squeezenet1_1", "weights": str(weights), "freeze": "backbone"}
    values |= {"device": "cpu", "precision": "fp32", "augment_views": 1, "test_fraction": 0}
    values |= {"data": str(data), "output": str(tmp_path / "runs"), "val_fraction": 0.34}
    run = train_run(FinetuneConfig(**(values | settings)), heard)
    told = [note for note in heard.notes if note.startswith(("image size", "resize mode"))]
    return run, told


def test_a_larger_size_is_taken_where_folds_favour_it(tmp_path, weights, judge):
    sizes = judge(0.5, 0.6, 0.7, 0.4)
    run, told = finetune(tmp_path, write_photos(tmp_path / "photos", 330), weights)
    assert sizes == [224, 224, 224, 288]
    assert told == [
        "resize mode crop, as the weights expect it: loss on folds of train crop 0.5000, squash "
        "0.6000, pad 0.7000",
        "image size 288, which is better: loss on folds of train 224 0.5000, 288 0.4000",
    ]
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert (config["image_size"], config["resize_mode"]) == ("288", "crop")
    _, checkpoint = load_checkpoint(run / "best.safetensors")
    assert checkpoint.preprocess.image_size == (288, 288)
    # The middle 288 of 329 pixels: the part of an image that 224 of 256 are.
    assert checkpoint.preprocess.resize_size == 329


@pytest.mark.slow
def test_the_size_is_tried_in_the_mode_that_was_found(tmp_path, weights, judge):
    judge(0.5, 0.3, 0.7, 0.31)
    run, told = finetune(tmp_path, write_photos(tmp_path / "photos", 330), weights)
    assert told[0].startswith("resize mode squash, which is clearly better")
    assert told[1] == (
        "image size 224, as the weights expect it: loss on folds of train 224 0.3000, 288 0.3100"
    )
    _, checkpoint = load_checkpoint(run / "best.safetensors")
    assert checkpoint.preprocess.image_size == (224, 224)
    assert checkpoint.preprocess.resize_mode == "squash"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("side", "settings", "tried"),
    [
        (330, {"image_size": "224"}, [224, 224, 224]),
        (330, {"resize_mode": "crop"}, [224, 288]),
        (330, {"resize_mode": "crop", "image_size": "96"}, []),
        (300, {"resize_mode": "squash"}, [224, 288]),
        (270, {"resize_mode": "squash"}, []),  # smaller images would only be blown up
        (320, {"resize_mode": "crop"}, []),
    ],
    ids=str,
)
def test_what_is_tried(tmp_path, weights, judge, side, settings, tried):
    sizes = judge(0.5, 0.6, 0.7)
    finetune(tmp_path, write_photos(tmp_path / "photos", side), weights, **settings)
    assert sizes == tried


def test_images_that_would_not_fit_in_memory_stay_smaller(tmp_path, weights, judge, monkeypatch):
    def fits(count, form):
        return form.height < 288

    monkeypatch.setattr("cnncli.run.settle_form.fits_in_memory", fits)
    sizes = judge(0.5)
    finetune(tmp_path, write_photos(tmp_path / "photos", 330), weights, resize_mode="crop")
    assert sizes == []


@pytest.mark.slow
def test_a_run_keeps_the_size_that_was_chosen_for_its_weights(tmp_path, weights, judge):
    photos = write_photos(tmp_path / "photos", 330)
    first, _ = finetune(tmp_path, photos, weights, image_size="64", resize_mode="pad")
    sizes = judge(0.5, 0.6, 0.7)
    run, told = finetune(tmp_path, photos, first)
    assert sizes == [64, 64, 64]
    assert len(told) == 1
    _, checkpoint = load_checkpoint(run / "best.safetensors")
    assert checkpoint.preprocess.image_size == (64, 64)


def test_a_network_of_one_size_keeps_it():
    from cnncli.models.registry import MODELS

    # Their position embeddings and windows are those of one size; all others take larger images.
    fixed = {entry.family for entry in MODELS.values() if entry.square}
    assert fixed == {"vit", "maxvit"}
