"""``cnncli visualize grad-cam``: what it prints, draws and refuses."""

import csv
import io
import json

import cv2
import numpy as np
import pytest
from helpers import train, write_digits

from cnncli.errors import CnncliError
from cnncli.explain import deletion
from cnncli.recipes.visualize import explainer
from cnncli.recipes.visualize.explainer import find_class
from cnncli.recipes.visualize.grad_cam import view
from cnncli.recipes.visualize.settings import VisualizeSettings
from cnncli.reporting import SilentReporter


@pytest.fixture(autouse=True)
def few_copies(monkeypatch):
    """Take few shifted copies: how many there are is tested with the test itself."""
    monkeypatch.setattr(deletion, "COPIES", 3)


@pytest.fixture
def digit(tmp_path):
    return write_digits(tmp_path / "digits", classes=("1",), per_class=1)[0]


def read_json(result):
    assert result.code == 0, result.err
    return json.loads(result.out)


def test_it_draws_a_picture_and_prints_its_path(cli, in_workspace, run_dir, tmp_path, digit):
    path = tmp_path / "heat.png"
    result = cli("visualize", "grad-cam", run_dir, "--image", digit, "--output", path)
    assert (result.code, result.out) == (0, f"{path}\n")
    assert any(f"{digit}: " in line and "random" in line for line in result.err.splitlines())
    assert cv2.imread(str(path)).shape[1] > 900


def test_the_document_holds_map_class_and_tests(cli, run_dir, digit):
    document = read_json(
        cli("visualize", "grad-cam", run_dir, "--image", digit, "--format", "json")
    )
    assert document["layer"] == "pool2"
    assert document["method"] == "grad-cam"
    (one,) = document["images"]
    assert one["class"] == one["predicted_class"]
    assert one["probability"] == one["predicted_probability"]
    heat = np.array(one["map"])
    assert heat.shape == (5, 5)
    assert heat.min() >= 0
    assert one["verdict"] in ("better than random", "no better than random", "all zero")
    curve = np.array(one["deletion_curve"])
    assert one["deletion_area"] == pytest.approx(np.trapezoid(curve, one["deletion_fractions"]))
    beaten = [area > one["deletion_area"] + 1e-6 for area in one["shifted_areas"]]
    assert len(beaten) == 3
    assert one["share_beaten"] == pytest.approx(sum(beaten) / 3)
    assert curve[0] == pytest.approx(one["probability"], abs=1e-6)
    assert one["shuffled_head_correlation"] == pytest.approx(
        np.mean(one["shuffled_head_correlations"])
    )


def test_csv_holds_the_same_map(cli, run_dir, digit):
    given = ("visualize", "grad-cam", run_dir, "--image", digit)
    heat = np.array(read_json(cli(*given, "--format", "json"))["images"][0]["map"])
    rows = list(csv.DictReader(io.StringIO(cli(*given, "--format", "csv").out)))
    assert len(rows) == 25
    for row in rows:
        assert float(row["value"]) == heat[int(row["row"]), int(row["column"])]
        assert row["image"] == str(digit)


def test_the_class_is_chosen_by_name_or_number(cli, run_dir, digit):
    given = ("visualize", "grad-cam", run_dir, "--image", digit, "--format", "json")
    by_name = read_json(cli(*given, "--class", "two"))["images"][0]
    assert by_name["class"] == "two"
    wrong = cli(*given, "--class", "tow")
    assert wrong.code == 2
    assert wrong.error == "--class tow: no such class; did you mean two?"
    assert find_class(("zero", "one", "two"), "2") == 2
    assert find_class(("2", "1", "0"), "2") == 0
    with pytest.raises(CnncliError, match="2 classes have this name; write its number, 0 or 2"):
        find_class(("crane", "bee", "crane"), "crane")


@pytest.mark.parametrize("method", ["grad-cam++", "hires-cam", "occlusion"])
def test_other_methods(cli, run_dir, digit, method):
    given = ("visualize", "grad-cam", run_dir, "--image", digit, "--method", method)
    document = read_json(cli(*given, "--format", "json"))
    assert document["method"] == method
    assert document["layer"] == (None if method == "occlusion" else "pool2")
    shape = (14, 14) if method == "occlusion" else (5, 5)
    assert np.array(document["images"][0]["map"]).shape == shape


def test_a_map_of_tokens_is_weighed_token_by_token(cli, digit):
    pytest.importorskip("timm")
    given = ("visualize", "grad-cam", "timm:test_vit", "--image-size", 64, "--image", digit)
    result = cli(*given, "--format", "json")
    assert read_json(result)["method"] == "hires-cam"
    assert "method: hires-cam, because blocks.5.norm1 gives tokens" in result.err
    assert read_json(cli(*given, "--method", "grad-cam", "--format", "json"))["method"] == (
        "grad-cam"
    )


def test_images_of_the_run_have_their_true_class(cli, in_workspace, run_dir):
    document = read_json(cli("visualize", "grad-cam", run_dir, "--images", 2, "--format", "json"))
    labels = {one["true_class"] for one in document["images"]}
    assert len(labels) == 2
    assert labels < {"zero", "one", "two"}


def test_a_map_of_zeros_is_called_so(run_dir, digit, tmp_path, monkeypatch):
    compute = explainer.class_maps
    monkeypatch.setattr(explainer, "class_maps", lambda *args: -compute(*args).abs())
    shown = view(VisualizeSettings(str(run_dir), images=(str(digit),)), SilentReporter())
    (one,) = shown.document["images"]
    assert one["verdict"] == "all zero"
    assert one["deletion_area"] is one["share_beaten"] is None
    assert one["shuffled_head_correlation"] is None
    assert not np.array(one["map"]).any()
    shown.draw(tmp_path / "zero.png")
    assert (tmp_path / "zero.png").exists()


def test_the_map_lies_where_the_network_looks(folder_data, tmp_path):
    """npy has the image's own size, with NaN outside of the crop."""
    run = train(tmp_path / "runs", data=str(folder_data), resize_mode="crop")
    wide, tall = tmp_path / "wide.png", tmp_path / "tall.png"
    picture = np.random.default_rng(0).integers(0, 255, (30, 50), dtype=np.uint8)
    cv2.imwrite(str(wide), picture)
    cv2.imwrite(str(tall), picture.T.copy())
    shown = view(VisualizeSettings(str(run), images=(str(wide), str(tall))), SilentReporter())
    assert shown.array.shape == (2, 50, 50)
    seen = ~np.isnan(shown.array)
    expected = np.zeros((2, 50, 50), bool)
    expected[0, :30, 10:40] = True
    expected[1, 10:40, :30] = True
    np.testing.assert_array_equal(seen, expected)
    for placed, one in zip(shown.array, shown.document["images"], strict=True):
        assert np.nanmax(placed) <= np.max(one["map"]) * (1 + 1e-6)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (("--method", "cam"), "--method cam: no method; there are grad-cam, grad-cam++, hires"),
        (("--method", "occlusion", "--layer", "conv1"), "--layer: occlusion looks at no layer"),
        (("--layer", "conv9"), "--layer conv9: the network has no such layer; did you mean conv"),
        (("--layer", "fc1"), "--layer fc1: gives 120 values, no map of several places; there are"),
        (("--unit", "3"), "--unit: visualize grad-cam does not take it"),
    ],
)
def test_what_is_wrong_is_one_line(cli, run_dir, digit, given, why):
    result = cli("visualize", "grad-cam", run_dir, "--image", digit, *given, "--format", "csv")
    assert result.code == 2
    assert result.error.startswith(why)


def test_a_dense_network_has_no_map_but_can_be_occluded(cli, digit):
    given = ("visualize", "grad-cam", "cnn: flatten; dense 10", "--image-size", 8)
    given = (*given, "--image", digit, "--format", "json")
    result = cli(*given)
    assert result.code == 2
    assert "no map of more than one place" in result.err.splitlines()[-1]
    document = read_json(cli(*given, "--method", "occlusion"))
    assert np.array(document["images"][0]["map"]).shape == (8, 8)
