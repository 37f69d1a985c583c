"""``cnncli visualize embedding``."""

import csv
import io
import json

import cv2
import numpy as np
import pytest
from helpers import write_digits

VIEW = ("visualize", "embedding")


def rows_of(result):
    assert result.code == 0, result.err
    return list(csv.DictReader(io.StringIO(result.out)))


def split_of(run_dir, name):
    rows = csv.DictReader((run_dir / "splits.csv").read_text().splitlines())
    return {row["path"]: row["label"] for row in rows if row["split"] == name}


def test_the_run_s_test_images_become_points(cli, in_workspace, run_dir, folder_data, tmp_path):
    path = tmp_path / "map.png"
    result = cli(*VIEW, "--output", path, "--format", "csv")
    rows = rows_of(result)
    assert {row["path"]: row["label"] for row in rows} == split_of(run_dir, "test")
    files = [folder_data / row["path"] for row in rows]
    predicted = rows_of(cli("predict", *files, "--checkpoint", run_dir, "--format", "csv"))
    assert [row["prediction"] for row in rows] == [row["label"] for row in predicted]
    assert cv2.imread(str(path)).shape[1] > 600
    assert "nearest neighbours in feature space" in result.err
    again = rows_of(cli(*VIEW, "--format", "csv"))
    assert again == rows


def test_the_document_has_the_score_and_the_perplexity(cli, in_workspace):
    flags = ("--split", "train", "--images", "20", "--layer", "conv2", "--format", "json")
    result = cli(*VIEW, *flags)
    document = json.loads(result.out)
    assert document["images"] == 20
    assert document["features"] == 16  # LeNet-5's second convolution
    assert document["perplexity"] == pytest.approx(19 / 3)
    assert 0 <= document["neighbour_accuracy"] <= 1
    assert "20 of" in result.err
    assert "drawn at random" in result.err


def test_pca_says_how_much_it_shows(cli, in_workspace, tmp_path):
    flags = (
        "--method",
        "pca",
        "--split",
        "all",
        "--format",
        "json",
        "--output",
        tmp_path / "a.jpg",
    )
    document = json.loads(cli(*VIEW, *flags).out)
    assert document["perplexity"] is None
    assert 0.3 < sum(document["variance"]) <= 1


def test_the_nearest_training_image_of_a_training_image_is_itself(
    cli, in_workspace, run_dir, folder_data, tmp_path
):
    train = split_of(run_dir, "train")
    image = next(iter(train))
    flags = ("--neighbours", folder_data / image, "--output", tmp_path / "near.png")
    rows = rows_of(cli(*VIEW, *flags, "--format", "csv"))
    assert rows[0]["path"] == image
    assert float(rows[0]["similarity"]) == pytest.approx(1, abs=1e-5)
    assert {row["path"] for row in rows} <= set(train)
    assert len(rows) == 8
    assert cv2.imread(str(tmp_path / "near.png")) is not None


def test_many_classes_are_said_and_an_unreadable_image_is_left_out(cli, tmp_path):
    rng = np.random.default_rng(0)
    for number in range(24):
        folder = tmp_path / "many" / f"c{number:02d}"
        folder.mkdir(parents=True)
        for n in range(2):
            image = rng.integers(0, 256, (32, 32), dtype=np.uint8)
            cv2.imwrite(str(folder / f"{n}.png"), image)
    (tmp_path / "many" / "c03" / "1.png").write_bytes(b"\x89PNG no")
    result = cli(*VIEW, "lenet5", "--data", tmp_path / "many", "--output", tmp_path / "many.png")
    assert result.code == 0, result.err
    assert "24 classes: the 20 largest in colour, the others grey" in result.err
    assert "c03/1.png" in result.err
    assert "no class of the network" in result.err
    assert "random weights" in result.err


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (("--method", "umap"), "--method umap: embedding has no such method; there are t-sne and"),
        (("--method", "tsn"), "--method tsn: embedding has no such method; did you mean t-sne?"),
        (("--layer", "conv9"), "--layer conv9: the network has no such layer; did you mean"),
        (("--images", "4"), "4 images; a map needs at least 5: --split all"),
        (("--neighbours", "none.png"), "none.png: No such file"),
    ],
)
def test_what_is_wrong_is_one_line(cli, in_workspace, flags, why):
    result = cli(*VIEW, *flags)
    assert result.code == 2
    assert why in result.err.splitlines()[-1]
    assert result.err.splitlines()[-1].startswith("Error: ")


def test_a_network_of_the_registry_needs_data(cli, tmp_path):
    result = cli(*VIEW, "lenet5")
    assert result.code == 2
    assert "Error: --data: missing; name the images" in result.err
    write_digits(tmp_path / "d", per_class=4)
    result = cli(*VIEW, "lenet5", "--data", tmp_path / "d", "--format", "csv")
    assert len(rows_of(result)) == 12
