"""Predict with a network as it is: ImageNet's names, and exactly the images that it expects."""

import csv
import io
import json
import shutil

import pytest
import torch
from helpers import SHARED_DATA, write_digits
from PIL import Image
from safetensors.torch import load_file, save_file
from torchvision.models import SqueezeNet1_1_Weights, squeezenet1_1

from cnncli.models.build import build_network
from cnncli.models.pretrained import download
from cnncli.recipes.predict import Predictor, PredictSettings
from cnncli.reporting import SilentReporter

REAL = SHARED_DATA.parent / "weights" / "squeezenet1_1_imagenet.safetensors"


@pytest.fixture
def photo(tmp_path):
    (path, *_) = write_digits(tmp_path / "photos", classes=("3",), per_class=1)
    return path


def save_weights(path, name="squeezenet1_1", classes=1000, without=()):
    torch.manual_seed(5)
    network = build_network(name, num_classes=classes, in_channels=3, image_size=(224, 224))
    save_file({k: v for k, v in network.state_dict().items() if k not in without}, path)
    return path


def test_the_fingerprint_is_of_the_weights_that_were_loaded(tmp_path):
    def load(path):
        return Predictor(
            PredictSettings(model="squeezenet1_1", weights=str(path), device="cpu"),
            SilentReporter(),
        )

    file = save_weights(tmp_path / "a.safetensors")
    copy = shutil.copy(file, tmp_path / "b.safetensors")
    before, same = load(file), load(copy)
    changed = load_file(file)
    changed["features.0.bias"][0] += 1
    save_file(changed, file)  # meanwhile another program writes new ones
    assert load(file).fingerprint != before.fingerprint == same.fingerprint


def test_answers_that_are_broken_off_take_no_more_files(photo, tmp_path):
    weights = save_weights(tmp_path / "a.safetensors")
    settings = PredictSettings(
        model="squeezenet1_1", weights=str(weights), device="cpu", batch_size=1
    )
    taken = []

    def files():
        for number in range(100):
            taken.append(number)
            yield (str(photo),)

    rows = Predictor(settings, SilentReporter()).predict(files())
    assert next(rows)["path"] == str(photo)
    rows.close()  # as `predict --watch` does at a signal
    assert len(taken) < 100
    assert next(rows, None) is None


@pytest.mark.skipif(not REAL.is_file(), reason=f"no real weights in {REAL.parent}")
def test_the_answers_are_those_of_plain_torchvision(cli):
    folder = SHARED_DATA / "ants-bees" / "val"
    files = [
        path for name in ("ants", "bees") for path in sorted((folder / name).glob("*.jpg"))[:4]
    ]
    result = cli("predict", *files, "--model", "squeezenet1_1", "--weights", REAL,
                 "--probabilities", "--format", "jsonl")  # fmt: skip
    assert result.code == 0, result.err
    rows = [json.loads(line) for line in result.out.splitlines()]
    network = squeezenet1_1()
    network.load_state_dict(load_file(REAL))
    network.eval()
    weights = SqueezeNet1_1_Weights.IMAGENET1K_V1
    prepare, names = weights.transforms(), weights.meta["categories"]
    for path, row in zip(files, rows, strict=True):
        with torch.inference_mode():
            expected = network(prepare(Image.open(path).convert("RGB"))[None]).softmax(1)[0]
        assert list(row["probabilities"]) == names
        told = torch.tensor(list(row["probabilities"].values()))
        torch.testing.assert_close(told, expected, atol=1e-5, rtol=0)
        assert row["label"] == names[int(expected.argmax())]


def test_the_likeliest_of_imagenets_classes_by_weights_in_torchs_cache(
    cli, photo, tmp_path, monkeypatch
):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(download, "_check_cached", lambda weights: None)  # its content is another
    cache = tmp_path / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    torch.save(load_file(save_weights(tmp_path / "w.safetensors")),
               cache / "squeezenet1_1-b8a52dc0.pth")  # fmt: skip
    result = cli("predict", photo, "--model", "squeezenet1_1", "--weights", "default",
                 "--top", "3", "--format", "csv")  # fmt: skip
    assert (result.code, result.err) == (0, "")
    (row,) = csv.DictReader(io.StringIO(result.out))
    names = set(SqueezeNet1_1_Weights.IMAGENET1K_V1.meta["categories"])
    assert {row["label"], row["label_2"], row["label_3"]} < names
    assert float(row["probability"]) >= float(row["probability_2"]) >= float(row["probability_3"])


def test_weights_that_cannot_be_had_are_one_line(cli, photo, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(download, "why_unreachable", lambda url: "no connection")
    result = cli("predict", photo, "--model", "resnet18", "--weights", "default")
    assert (result.code, result.out) == (2, "")
    assert "not to be had (no connection): put resnet18-f37072fd.pth" in result.error
    assert result.error.endswith("or use --weights PATH")


def test_a_file_of_other_classes_is_numbered_and_said(cli, photo, tmp_path):
    weights = save_weights(tmp_path / "w.safetensors", classes=7)
    result = cli("predict", photo, "--model", "squeezenet1_1", "--weights", weights)
    assert result.code == 0, result.err
    assert "does not name its 7 classes: they are numbered from 0" in result.err
    (row,) = csv.DictReader(io.StringIO(result.out))
    assert row["label"] in "0123456"


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (("--model", "squeezenet1_1"), "--model squeezenet1_1: predict needs trained weights"),
        (("--model", "squeezenet1_1", "--weights", "none"), "random weights have learnt nothing"),
        (("--model", "squezenet1_1", "--weights", "default"), "did you mean squeezenet1_1"),
        (("--weights", "default"), "--weights default: of which network?"),
        (("--model", "lenet5", "--weights", "default"), "lenet5 has no pretrained weights"),
        (("--model", "lenet5", "--checkpoint", "x", "--weights", "default"), "give one of them"),
        (("--model", "vgg16", "--weights", "IMAGENET1K_LOST"), "neither weights of vgg16 nor"),
        (("--model", "lenet5", "--weights", "w.safetensors"), "does not say what images it expec"),
        (("--model", "squeezenet1_1", "--weights", "w.safetensors"), "not all of squeezenet1_1"),
    ],
)
def test_what_cannot_answer_is_refused(cli, photo, tmp_path, monkeypatch, flags, why):
    monkeypatch.chdir(tmp_path)
    save_weights(tmp_path / "w.safetensors", without=("features.12.expand3x3.bias",))
    result = cli("predict", photo, *flags)
    assert (result.code, result.out) == (2, "")
    last = result.err.splitlines()[-1]
    assert last.startswith("Error: ")
    assert why in last
