"""Real images of every kind: the exported network answers as torch does, to rounding."""

import csv
import io

import numpy as np
import pytest
import torch
from helpers import SHARED_DATA
from onnx_files import write_onnx

from cnncli.images.intensity import IntensityRange
from cnncli.images.preprocess import Preprocess
from cnncli.models.build import build_network
from cnncli.training.checkpoint import Checkpoint, save_checkpoint

NEEDS_DATA = pytest.mark.skipif(not SHARED_DATA.is_dir(), reason=f"no {SHARED_DATA}")
COLOUR = {"mean": (0.48, 0.46, 0.41), "std": (0.23, 0.22, 0.23)}
GREY = {"mean": (0.5,), "std": (0.25,)}
FORMS = {
    "colour, cut out": Preprocess(
        48, 48, 3, resize_mode="crop", interpolation="bilinear", resize_size=56, **COLOUR
    ),
    "grey, padded": Preprocess(40, 56, 1, resize_mode="pad", **GREY),
    "grey fractions": Preprocess(48, 48, 1, dtype="float32", interpolation="bicubic", **GREY),
    "with transparency": Preprocess(32, 32, 4, keep_alpha=True, mean=(0.5,) * 4, std=(0.25,) * 4),
}


def make_run(folder, pre, model="resnet_small"):
    folder.mkdir()
    torch.manual_seed(0)
    network = build_network(
        model, num_classes=3, in_channels=pre.channels, image_size=pre.image_size
    )
    checkpoint = Checkpoint(model, ("a", "b", "c"), pre)
    save_checkpoint(folder / "best.safetensors", network.eval(), checkpoint)
    (folder / "config.yaml").touch()
    write_onnx(folder / "best.safetensors", folder / "best.onnx")
    return folder


def answers(cli, run, paths, *flags):
    result = cli(
        "predict", *paths, "--checkpoint", run, "--probabilities", "--device", "cpu", *flags
    )
    assert result.code in (0, 3), result.err
    return list(csv.DictReader(io.StringIO(result.out))), result.err


def assert_equal_answers(cli, run, paths):
    rows, told = answers(cli, run, paths)
    assert "engine: onnx" in told
    expected, other_told = answers(cli, run, paths, "--exact")
    names = ("probability_a", "probability_b", "probability_c")
    for row, other in zip(rows, expected, strict=True):
        assert (row["path"], row["error"]) == (other["path"], other["error"])
        if row["error"]:
            continue
        found, right = ([float(one[name]) for name in names] for one in (row, other))
        assert found == pytest.approx(right, abs=1e-4)
        two = sorted(right)[-2:]
        assert row["label"] == other["label"] or two[1] - two[0] < 2e-4
    warned = [line for line in told.splitlines() if line.startswith("Warning")]
    assert warned == [line for line in other_told.splitlines() if line.startswith("Warning")]


@NEEDS_DATA
@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_real_images(cli, tmp_path, form):
    run = make_run(tmp_path / "run", FORMS[form])
    paths = sorted((SHARED_DATA / "xray-sample").rglob("*.*"))[::3]
    paths += sorted((SHARED_DATA / "ants-bees").rglob("*.jpg"))[::20]
    paths += sorted((SHARED_DATA / "defects").rglob("*.jpg"))[::100]
    assert len(paths) > 40
    assert_equal_answers(cli, run, paths)


def test_deep_values_and_several_files(cli, tmp_path):
    """Two arrays in physical units make a sample; one of the files is damaged."""
    windows = (IntensityRange(-1000, 400, "value"), IntensityRange(0, 3000, "value"))
    both = {"mean": (0.4, 0.4), "std": (0.2, 0.2)}
    pre = Preprocess(28, 28, 2, dtype="float32", files=(1, 1), windows=windows, **both)
    run = make_run(tmp_path / "run", pre, "lenet5")
    random = np.random.default_rng(0)
    paths = []
    for number in range(6):
        for low, high in ((-1200, 500), (0, 4000)):
            paths.append(tmp_path / f"{number}{high}.npy")
            np.save(paths[-1], random.uniform(low, high, (40, 30)).astype(np.float32))
    paths[5].write_bytes(paths[5].read_bytes()[:200])
    assert_equal_answers(cli, run, paths)
