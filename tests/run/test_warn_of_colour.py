"""Colour pictures for a network of grey images are told of, once; the opposite is usual."""

import cv2
import numpy as np
import pytest
from helpers import train, write_digits


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("colour")
    write_digits(root / "d")
    return {n: train(root / f"r{n}", data=str(root / "d"), in_channels=n) for n in (1, 3)}


def paint(paths, tint, ending=".png"):
    """Store pictures in colour; ``tint`` is what each channel is multiplied with."""
    for path in paths:
        grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        large = cv2.resize(grey, (40, 40), interpolation=cv2.INTER_NEAREST)
        path.unlink()
        coloured = (large[..., None] * np.array(tint)).astype(np.uint8)
        assert cv2.imwrite(str(path.with_suffix(ending)), coloured)


@pytest.mark.parametrize(
    ("channels", "tint", "ending", "told"),
    [
        (1, (1, 0.5, 0.2), ".png", True),
        (1, (0.8, 1, 1), ".jpg", True),
        (1, (1, 1, 1), ".png", False),  # grey in a colour file
        (1, (1, 1, 1), ".jpg", False),
        (3, (1, 0.5, 0.2), ".png", False),
    ],
)
def test_colour_that_is_left_out_is_told(cli, runs, tmp_path, channels, tint, ending, told):
    paths = write_digits(tmp_path / "new", start=20)
    paint(paths[:5], tint, ending)
    first = paths[0].with_suffix(ending)
    said = cli("predict", tmp_path / "new", "--checkpoint", runs[channels])
    assert said.code == 0
    text = (
        "Warning: 5 images are in colour, and the network takes grey ones: the colour is left out "
        f"({first}, …)\n"
    )
    assert said.err == text * told
    said = cli(
        "evaluate", "--checkpoint", runs[channels], "--data", tmp_path / "new", "--split", "all"
    )
    assert ("5 images are in colour" in said.err) == told


def test_grey_pictures_for_a_network_of_colour_are_usual(cli, runs, tmp_path):
    write_digits(tmp_path / "new", start=20)
    assert cli("predict", tmp_path / "new", "--checkpoint", runs[3]).err == ""


def test_the_runs_own_images_are_its_own_wherever_they_lie(cli, tmp_path):
    paint(write_digits(tmp_path / "d"), (1, 0.5, 0.2))
    run = train(tmp_path / "runs", data=str(tmp_path / "d"), in_channels=1)
    here = cli("evaluate", "--checkpoint", run)
    assert (here.code, "in colour" in here.err) == (0, False)
    (tmp_path / "d").rename(tmp_path / "moved")
    paint(write_digits(tmp_path / "more", start=20)[:2], (1, 0.5, 0.2))
    for command in (("evaluate", "--checkpoint", run), ("report", run, "--no-images")):
        assert "in colour" not in cli(*command, "--data", tmp_path / "moved").err
    (tmp_path / "more" / "0").rename(tmp_path / "moved" / "0" / "more")
    said = cli("evaluate", "--checkpoint", run, "--data", tmp_path / "moved").err
    assert "Warning: 2 images are in colour" in said
