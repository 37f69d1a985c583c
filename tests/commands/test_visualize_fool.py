"""``cnncli visualize fool``."""

import csv
import io
import json

import cv2
import numpy as np
import pytest
import torch

from cnncli.training.checkpoint import load_checkpoint
from cnncli.training.find_checkpoint import find_checkpoint

VIEW = ("visualize", "fool")


@pytest.fixture(scope="module")
def zero(folder_data):
    return sorted((folder_data / "zero").iterdir())[0]


def answer_of(run_dir, image):
    """Return the class that plain torch gives an image (H, W, 1) from 0 to 1."""
    network, checkpoint = load_checkpoint(find_checkpoint(str(run_dir))[0])
    pre = checkpoint.preprocess
    batch = (torch.from_numpy(image)[None, None, ..., 0] - pre.mean[0]) / pre.std[0]
    with torch.no_grad():
        return checkpoint.class_names[int(network.eval()(batch.float()).argmax())]


def test_the_step_that_is_found_changes_the_answer_and_the_one_below_does_not(
    cli, run_dir, zero, tmp_path
):
    path = tmp_path / "fool.png"
    result = cli(*VIEW, run_dir, "--image", zero, "--output", path, "--format", "json")
    assert result.code == 0, result.err
    found = json.loads(result.out)
    assert found["changed"]
    assert found["answer"] != found["fooled_answer"]
    assert 0 < found["epsilon_below"] < found["epsilon"] <= 64
    network, checkpoint = load_checkpoint(find_checkpoint(str(run_dir))[0])
    pixels = checkpoint.preprocess([zero.read_bytes()])
    image = torch.from_numpy(pixels / 255.0).float()
    pre = checkpoint.preprocess
    x = image.permute(2, 0, 1)[None].clone().requires_grad_()
    logits = network.eval()((x - pre.mean[0]) / pre.std[0])
    own = torch.tensor([checkpoint.class_names.index(found["answer"])])
    (gradient,) = torch.autograd.grad(torch.nn.functional.cross_entropy(logits, own), x)
    way = gradient.sign()[0].permute(1, 2, 0)
    for step, changes in ((found["epsilon"], True), (found["epsilon_below"], False)):
        stepped = (image + step / 255 * way).clamp(0, 1).numpy()
        assert (answer_of(run_dir, stepped) != found["answer"]) == changes
    if found["whole_levels"] is not None:
        saved = np.rint(image.numpy() * 255 + found["whole_levels"] * way.numpy()).clip(0, 255)
        assert answer_of(run_dir, saved / 255) != found["answer"]
    assert cv2.imread(str(path)).shape[1] > 600


def test_a_class_can_be_aimed_at(cli, run_dir, zero):
    first = json.loads(cli(*VIEW, run_dir, "--image", zero, "--format", "json").out)
    (other,) = {"zero", "one", "two"} - {first["answer"], first["fooled_answer"]}
    result = cli(*VIEW, run_dir, "--image", zero, "--class", other, "--format", "csv")
    (row,) = csv.DictReader(io.StringIO(result.out))
    if row["changed"] == "True":
        assert row["fooled_answer"] == other
        assert f"leads to {other}" in result.err
    else:
        assert f"no step up to 64/255 leads to {other}" in result.err
    same = cli(*VIEW, run_dir, "--image", zero, "--class", first["answer"])
    assert same.code == 2
    assert same.error == f"--class {first['answer']}: is the answer already; name another class"


def test_where_nothing_changes_the_answer_it_is_said(cli, tmp_path, zero, run_dir, monkeypatch):
    monkeypatch.setattr("cnncli.explain.fool.STEPS", (1e-6,))
    flags = ("--image", zero, "--output", tmp_path / "a.png", "--format", "json")
    result = cli(*VIEW, run_dir, *flags)
    assert result.code == 0, result.err
    assert "no step up to 64/255 changes the answer; the picture shows the largest" in result.err
    found = json.loads(result.out)
    assert not found["changed"]
    assert found["answer"] == found["fooled_answer"]
    assert found["survives_rounding"] is found["whole_levels"] is None
    assert cv2.imread(str(tmp_path / "a.png")) is not None


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (("--class", "thre"), "--class thre: the network has no such class"),
        (("--image", "a.png", "--image", "b.png"), "--image: 2 images; this picture is of one"),
        (("--layer", "conv1"), "--layer: visualize fool does not take it"),
    ],
)
def test_what_is_wrong_is_one_line(cli, in_workspace, flags, why):
    result = cli(*VIEW, *flags)
    assert result.code == 2
    assert result.err.splitlines()[-1].startswith(f"Error: {why}"), result.err
