"""``cnncli visualize shift``."""

import csv
import io
import json

import cv2
import numpy as np
import pytest

VIEW = ("visualize", "shift")


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    rng = np.random.default_rng(0)
    cv2.imwrite(str(path), cv2.resize(rng.integers(0, 256, (12, 12), dtype=np.uint8), (64, 64)))
    return path


def test_a_run_s_layers_break_where_their_jump_says(cli, in_workspace, tmp_path):
    path = tmp_path / "shift.png"
    result = cli(*VIEW, "--output", path, "--format", "csv")
    assert result.code == 0, result.err
    rows = list(csv.DictReader(io.StringIO(result.out)))
    layers = list(dict.fromkeys(row["layer"] for row in rows))
    assert layers == ["conv1", "pool1", "conv2", "pool2", "fc1", "fc2", "fc3", "probabilities"]
    jumps = {row["layer"]: row["jump"] for row in rows}
    assert [jumps[name] for name in layers[:5]] == ["1", "2", "2", "4", ""]
    assert [int(row["shift"]) for row in rows if row["layer"] == "conv1"] == list(range(1, 17))
    inside = [row for row in rows if row["interior"] == "True"]
    assert {row["layer"] for row in inside} == {"conv1", "pool1", "conv2", "pool2"}
    assert all(float(row["difference"]) < 1e-5 for row in inside if row["multiple"] == "True")
    conv1 = [row for row in rows if row["layer"] == "conv1"]
    assert {row["multiple"] for row in conv1} == {"True"}
    uneven = [row for row in inside if row["layer"] == "pool2" and row["multiple"] == "False"]
    assert max(float(row["difference"]) for row in uneven) > 0.05
    assert cv2.imread(str(path)).shape[1] > 600


def test_the_probabilities_are_those_of_the_shifted_image(cli, run_dir, folder_data, tmp_path):
    image = cv2.imread(str(next((folder_data / "two").iterdir())), cv2.IMREAD_GRAYSCALE)
    # At the network's own size a shift of the file is a shift of the input.
    image = cv2.resize(image, (32, 32))
    cv2.imwrite(str(tmp_path / "0.png"), image)
    cv2.imwrite(str(tmp_path / "5.png"), np.roll(image, 5, axis=1))
    result = cli(*VIEW, run_dir, "--image", tmp_path / "0.png", "--format", "json")
    document = json.loads(result.out)
    predicted = cli(
        "predict", tmp_path / "0.png", tmp_path / "5.png", "--checkpoint", run_dir,
        "--probabilities", "--format", "json",
    )  # fmt: skip
    still, moved = json.loads(predicted.out)
    row = next(
        row for row in document["rows"] if row["layer"] == "probabilities" and row["shift"] == 5
    )
    assert document["answer"] == still["label"]
    assert document["probability"] == pytest.approx(still["probability"], abs=1e-4)
    assert row["answer"] == moved["label"]
    expected = moved["probabilities"][document["answer"]]
    assert row["probability"] == pytest.approx(expected, abs=1e-4)


def test_one_layer_of_a_deep_network(cli, photo, tmp_path):
    flags = ("--image", photo, "--image-size", "64", "--layer", "layer1")
    result = cli(*VIEW, "resnet18", *flags, "--format", "json", "--output", tmp_path / "a.png")
    assert result.code == 0, result.err
    rows = json.loads(result.out)["rows"]
    assert {row["layer"] for row in rows} == {"layer1", "probabilities"}
    by_shift = {row["shift"]: row for row in rows if row["layer"] == "layer1"}
    assert by_shift[4]["multiple"]
    assert not by_shift[4]["interior"] or by_shift[4]["difference"] < 1e-5
    assert by_shift[2]["difference"] > 1e-3


def test_attention_leaves_the_probabilities_and_what_sees_the_whole_image(cli, photo, tmp_path):
    flags = ("--image", photo, "--image-size", "64", "--output", tmp_path / "a.png")
    result = cli(*VIEW, "vit_b_16", *flags, "--format", "json")
    assert result.code == 0, result.err
    layers = {row["layer"] for row in json.loads(result.out)["rows"]}
    assert "probabilities" in layers
    assert not any("encoder_layer" in layer for layer in layers)


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (("--layer", "conv9"), "--layer conv9: the network has no such layer; did you mean"),
        (("--image", "a.png", "--image", "b.png"), "--image: 2 images; this picture is of one"),
        (("--unit", "1"), "--unit: visualize shift does not take it"),
    ],
)
def test_what_is_wrong_is_one_line(cli, in_workspace, flags, why):
    result = cli(*VIEW, *flags)
    assert result.code == 2
    assert result.err.splitlines()[-1].startswith(f"Error: {why}"), result.err


def test_blocks_are_compared_as_a_whole_and_sequences_are_taken_apart(cli, photo):
    result = cli(*VIEW, "resnet18", "--image", photo, "--image-size", "64", "--format", "json")
    layers = list(dict.fromkeys(row["layer"] for row in json.loads(result.out)["rows"]))
    blocks = [f"layer{stage}.{block}" for stage in (1, 2, 3, 4) for block in (0, 1)]
    assert layers == ["conv1", "maxpool", *blocks, "avgpool", "fc", "probabilities"]
