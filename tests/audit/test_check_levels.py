"""Findings on stored values: outliers, fill values, mixed depths, small ranges, white on white."""

import json
import re

import cv2
import numpy as np
import pytest

RNG = np.random.default_rng(0)


def check(cli, root):
    said = cli("check-data", "--data", root, "--format", "json", "--no-cache")
    return {f["kind"]: f for f in json.loads(said.out)["findings"]}


def write(root, make, count=24):
    for number in range(count):
        path = root / "ab"[number % 2] / f"{number:02d}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, make(number))
    return root


def grey(low, high, dtype):
    return RNG.uniform(low, high, (40, 40)).astype(dtype)


def with_corner(array, value):
    array[:10, :10] = value
    return array


def with_pixel(array, value):
    array[7, 9] = value
    return array


@pytest.mark.parametrize(
    ("kind", "odd", "usual"),
    [
        ("outliers", lambda: with_pixel(grey(200, 710, "uint16"), 65535), (200, 710, "uint16")),
        ("outliers", lambda: with_pixel(grey(1, 2, "f4"), -5e4), (1, 2, "f4")),
        ("no-data", lambda: with_corner(grey(120, 480, "f4"), -9999), (120, 480, "f4")),
        ("no-data", lambda: with_corner(grey(29000, 31000, "uint16"), 0), (29000, 31000, "uint16")),
        ("mixed-depth", lambda: grey(0, 255, "uint8"), (0, 65535, "uint16")),
        ("mixed-depth", lambda: grey(0, 4095, "uint16"), (0, 65535, "uint16")),
    ],
)
def test_odd_images_are_named(cli, tmp_path, kind, odd, usual):
    root = write(tmp_path, lambda n: odd() if n in (4, 5, 7) else grey(*usual))
    found = check(cli, root)[kind]
    assert sorted(path for (path,) in found["groups"]) == ["a/04.npy", "b/05.npy", "b/07.npy"]
    assert not found["drop"]


def test_depths_are_told_as_a_person_would(cli, tmp_path):
    root = write(tmp_path, lambda n: grey(0, 255, "uint16" if n == 4 else "uint8"))
    text = check(cli, root)["mixed-depth"]["text"]
    assert re.match(r"1 image of 16 bits among \d+ of 8: one picture may differ", text)


@pytest.mark.parametrize("values", [(0, 0.01, "f4"), (200, 710, "uint16"), (0, 4095, "uint16")])
def test_a_small_range_is_told(cli, tmp_path, values):
    assert (
        "small part of"
        in check(cli, write(tmp_path, lambda n: grey(*values)))["small-range"]["text"]
    )


@pytest.mark.parametrize(
    "values", [(0, 255, "uint8"), (0, 65535, "uint16"), (0, 1, "f4"), (-900, 900, "f4")]
)
def test_nothing_is_said_of_full_scales(cli, tmp_path, values):
    found = check(cli, write(tmp_path, lambda n: grey(*values)))
    assert not {"outliers", "no-data", "mixed-depth", "small-range", "blank-on-white"} & set(found)


def test_white_on_transparent_is_told(cli, tmp_path):
    for number in range(12):
        shape = np.zeros((40, 40), np.uint8)
        cv2.circle(shape, (20, 20), 5 + number, 255, -1)
        colour = 255 if number in (4, 5) else 10 * number
        picture = np.dstack([np.full_like(shape, colour)] * 3 + [shape])
        path = tmp_path / "ab"[number % 2] / f"{number:02d}.png"
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), picture)
    found = check(cli, tmp_path)
    assert found["blank-on-white"]["groups"] == [["a/04.png"], ["b/05.png"]]
    assert "constant" not in found


def odd_class(low, high, dark):
    """Write 16-bit files, those of class a in other values than those of b."""
    return lambda n: grey(*((0, dark, "uint16") if n % 2 == 0 else (low, high, "uint16")))


@pytest.mark.parametrize(
    ("low", "high", "dark", "code"),
    [
        (0, 65535, 4095, 3),  # the scanner gives the class away
        (0, 16383, 4095, 3),
        (0, 65535, 1000, 0),  # what they show may be dark
        (0, 6000, 4095, 0),
        (0, 4095, 4000, 0),
    ],
)
def test_a_class_of_its_own_depth_spoils_a_result(cli, tmp_path, low, high, dark, code):
    root = write(tmp_path, odd_class(low, high, dark))
    said = cli("check-data", root, "--format", "json", "--no-cache")
    assert said.code == code
    found = [f for f in json.loads(said.out)["findings"] if f["kind"] == "shortcut"]
    assert len(found) == bool(code)
    if code:
        assert "by bits used alone (12 of 12): 12 12 bits or fewer; the others" in found[0]["text"]
