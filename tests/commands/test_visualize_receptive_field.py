"""``cnncli visualize receptive-field``."""

import csv
import io
import json

import cv2
import numpy as np
import pytest

VIEW = ("visualize", "receptive-field")


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    rng = np.random.default_rng(0)
    cv2.imwrite(str(path), rng.integers(0, 256, (48, 80, 3), dtype=np.uint8))
    return path


def test_a_run_gives_a_panel_for_each_stage(cli, in_workspace, tmp_path):
    result = cli(*VIEW, "--output", tmp_path / "out.png")
    assert result.code == 0, result.err
    assert result.out == f"{tmp_path / 'out.png'}\n"
    assert cv2.imread(str(tmp_path / "out.png")).shape[1] > 400
    rows = list(csv.DictReader(io.StringIO(cli(*VIEW, "--format", "csv").out)))
    # LeNet-5's fields, by hand: 5, and (5 + 1) + 4 · 2 behind a pool of stride 2.
    assert [(row["layer"], row["field"]) for row in rows][:2] == [("conv1", "5"), ("conv2", "14")]
    assert rows[2]["field"] == rows[3]["field"] == "whole image"
    assert all(row["inside"] == "1.0" for row in rows)


def test_a_unit_at_the_corner_sees_padding(cli, photo):
    result = cli(
        *VIEW, "resnet18", "--image-size", "64", "--image", photo,
        *("--layer", "conv1", "--unit", "3,0,31", "--format", "json"),
    )  # fmt: skip
    (row,) = json.loads(result.out)["layers"]
    box = [row[f"box_{key}"] for key in ("top", "left", "height", "width")]
    assert box == [-3, 2 * 31 - 3, 7, 7]  # kernel 7, stride 2, padding 3
    assert [row[f"seen_{key}"] for key in ("top", "left", "height", "width")] == [0, 59, 4, 5]
    assert row["inside"] == 1
    assert row["effective_height"] <= 4
    assert "random weights" in result.err


def test_several_images_may_be_named(cli, photo, tmp_path):
    other = tmp_path / "other.png"
    cv2.imwrite(str(other), np.eye(32, dtype=np.uint8) * 255)
    result = cli(*VIEW, "lenet5", "--image", photo, "--image", other, "--format", "json")
    assert json.loads(result.out)["images"] == [str(photo), str(other)]


def test_what_attention_and_gates_see_is_said(cli, photo, tmp_path):
    flags = ("--image", photo, "--image-size", "64")
    rows = json.loads(cli(*VIEW, "mobilenet_v3_small", *flags, "--format", "json").out)["layers"]
    assert rows[0]["field"] == "3"
    assert {row["field"] for row in rows[1:]} == {"whole image"}
    flags = (*flags, "--layer", "encoder.layers.encoder_layer_1")
    result = cli(*VIEW, "vit_b_16", *flags, "--format", "json", "--output", tmp_path / "v.png")
    (row,) = json.loads(result.out)["layers"]
    assert row["field"] == "unknown"
    assert row["inside"] is None
    assert row["effective_height"] > 48  # patches of 16 pixels reach every other one


def test_a_dead_unit_is_said_and_measured_on_noise(cli, photo, tmp_path):
    black = tmp_path / "black.png"
    cv2.imwrite(str(black), np.zeros((28, 28), np.uint8))
    net = "cnn:conv3x3 f4 relu; pool2; flatten; dense 10"
    flags = ("--image", black, "--image-size", "28", "--layer", "0.1", "--format", "json")
    names = cli("inspect-layers", net, "--image-size", "28", "--format", "json")
    relu = next(row["name"] for row in json.loads(names.out)["layers"] if row["type"] == "ReLU")
    flags = tuple(relu if flag == "0.1" else flag for flag in flags)
    seen = set()
    for channel in range(4):
        result = cli(*VIEW, net, *flags, "--unit", f"{channel},3,3", "--output", tmp_path / "x.png")
        (row,) = json.loads(result.out)["layers"]
        seen.add(row["inputs"])
        assert ("noise" in result.err) == (row["inputs"] != "images")
        assert row["effective_height"] == 3
    assert seen == {"images", "noise"}


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (("--layer", "conv9"), "--layer conv9: the network has no such layer; did you mean"),
        (("--layer", "conv1", "--unit", "6"), "--unit 6: conv1 has channels 0 to 5, rows 0 to 27"),
        (("--layer", "fc1", "--unit", "1,2,3"), "--unit 1,2,3: the output of fc1 has no rows"),
        (("--image", "none.png"), "--image none.png: No such file"),
        (("--class", "zero"), "--class: visualize receptive-field does not take it"),
    ],
)
def test_what_is_wrong_is_one_line(cli, in_workspace, flags, why):
    result = cli(*VIEW, *flags)
    assert result.code == 2
    assert result.err.splitlines()[-1].startswith(f"Error: {why}"), result.err
