"""DICOM files without a window, of scanners that declare other depths for the same values."""

import json

import numpy as np
import pytest
from dicom_files import write_dicom

from cnncli.images.intensity import fraction_cut
from cnncli.images.levels import Levels
from cnncli.images.scales import find_depths

pytest.importorskip("pydicom", reason="the extra cnncli[dicom] is not installed")

RNG = np.random.default_rng(0)
TRAIN = ("--model", "lenet5", "--epochs", 1, "--device", "cpu", "--output")


def write(root, bits, *, top=3900, **tags):
    """Write 24 files in two classes that declare what ``bits`` returns, of values below ``top``."""
    for number in range(24):
        path = root / "ab"[number % 2] / f"{number:02d}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(write_dicom(RNG.integers(0, top, (24, 24)), bits=bits(number), **tags))
    return root


def findings(cli, root):
    said = cli("check-data", root, "--format", "json", "--no-cache")
    return [f for f in json.loads(said.out)["findings"] if f["kind"] == "mixed-depth"]


@pytest.mark.parametrize(("deeper", "colour"), [(14, "MONOCHROME2"), (16, "MONOCHROME1")])
def test_two_depths_for_the_same_values_are_told(cli, tmp_path, deeper, colour):
    root = write(tmp_path / "d", lambda n: deeper if n % 4 < 2 else 12, colour=colour)
    expected = (
        "12 DICOM files without a window of 12 bits (such as a/02.dcm), 12 DICOM files of "
        f"{deeper} bits whose values fit into 12 (such as a/00.dcm)"
    )
    assert any(f["text"].startswith(expected) for f in findings(cli, root))
    said = cli("train", root, *TRAIN, tmp_path / "runs")
    assert said.code == 0
    assert f"Warning: {expected}" in said.err
    if colour == "MONOCHROME1":
        assert "nearly white: bring all to one depth" in said.err
        return
    assert "--intensity 0:4095" in said.err
    said = cli("train", root, *TRAIN, tmp_path / "runs", "--intensity", "0:4095")
    assert said.code == 0
    assert "Warning" not in said.err


@pytest.mark.parametrize(
    "tags", [{}, {"WindowCenter": 2000, "WindowWidth": 4000}, {"colour": "MONOCHROME1"}]
)
def test_one_depth_or_a_window_says_nothing(cli, tmp_path, tags):
    windowed = "WindowWidth" in tags
    root = write(tmp_path / "d", lambda n: 16 if windowed and n % 4 < 2 else 12, **tags)
    assert findings(cli, root) == []
    said = cli("train", root, *TRAIN, tmp_path / "runs")
    assert "Warning" not in said.err


def test_other_depths_are_told_of_new_images(cli, tmp_path):
    root = write(tmp_path / "d", lambda n: 12)
    run = cli("train", root, *TRAIN, tmp_path / "runs").out.strip()
    new = write(tmp_path / "new", lambda n: 16)
    text = "whose values use 12 of 16 bits or fewer (of fractions, 1/16 of the scale)"
    said = cli("predict", new, "--checkpoint", run)
    assert f"Warning: 24 images {text}" in said.err
    said = cli("evaluate", "--checkpoint", run, "--data", new, "--split", "all")
    assert f"Warning: 24 images {text}" in said.err
    assert "Warning" not in cli("predict", root, "--checkpoint", run).err


def test_14_bits_for_a_network_of_12_are_told(cli, tmp_path):
    root = write(tmp_path / "d", lambda n: 12)
    run = cli("train", root, *TRAIN, tmp_path / "runs").out.strip()
    new = write(tmp_path / "new", lambda n: 14)
    for command in (("predict", new), ("evaluate", "--data", new, "--split", "all")):
        said = cli(*command, "--checkpoint", run)
        assert "nearly black: their lightest pixel is below a quarter of the scale" in said.err
        assert said.err.count("Warning") == 1
    assert "nearly black" not in cli("predict", root, "--checkpoint", run).err


def picture(bits, high, low=0.0):
    return Levels("float32", low, high, low, high, bits=bits)


@pytest.mark.parametrize(
    ("pictures", "found"),
    [
        ([(12, 4000 / 4095), (16, 4000 / 65535)], True),
        ([(12, 4000 / 4095), (14, 4000 / 16383)], True),
        ([(10, 1000 / 1023), (12, 1000 / 4095)], True),
        ([(12, 4000 / 4095), (13, 4000 / 8191)], False),  # half as bright
        ([(12, 4000 / 4095), (16, 9000 / 65535)], False),  # other values
        ([(12, 300 / 4095), (16, 4000 / 65535)], False),  # dark as well
        ([(12, 4000 / 4095), (16, 0.9)], False),
        ([(12, 900.0), (16, 900.0)], False),  # units
        ([(0, 1.0), (0, 0.01)], False),  # no DICOM
    ],
)
def test_depths_differ_only_where_the_values_are_alike(pictures, found):
    assert (find_depths([picture(*p) for p in pictures]) is not None) == found


@pytest.mark.parametrize(
    ("values", "dark"),
    [
        ([0, 4000 / 65535], 1),
        ([0, 0.07], 0),
        ([1 - 4000 / 65535, 1], 1),  # inverted
        ([0.5, 1], 0),
        ([0, 10 / 255], 0),  # 8 bits
        ([0.01, 0.01], 0),  # an empty picture
    ],
)
def test_dark_fractions_are_what_dark_levels_are(values, dark):
    assert fraction_cut(np.array(values, np.float32), None, "float32") == dark
