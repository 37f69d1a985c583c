"""Tiles: each map is where its number is, in the colours of its values."""

import numpy as np
import pytest
from PIL import Image

from cnncli.plots.tiles import TileGroup, colour_map, save_tiles


def read(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def has_colour(picture, colour, tolerance=3):
    return (np.abs(picture - colour).max(axis=2) <= tolerance).sum()


def test_values_become_the_colours_of_the_scale():
    signed = colour_map(np.array([[-2.0, 0.0, 2.0, np.nan]]), (-2, 2)).astype(int)
    assert signed[0, 0, 2] > signed[0, 0, 0] + 50  # blue
    assert signed[0, 1].min() > 240  # white
    assert signed[0, 2, 0] > signed[0, 2, 2] + 50  # red
    assert signed[0, 3].tolist() == [255, 255, 255]
    plain = colour_map(np.array([[0.0, 1.0]]), (0, 1)).astype(int)
    assert plain.sum(axis=2)[0, 0] < plain.sum(axis=2)[0, 1]
    colours = colour_map(np.array([[[0.0, 0.5, 2.0]]]), (0, 1))
    assert colours.tolist() == [[[0, 128, 255]]]
    assert colour_map(np.zeros((2, 2)), (0, 0)).shape == (2, 2, 3)


@pytest.mark.parametrize("side", [3, 300])
def test_every_tile_is_drawn_in_its_place(tmp_path, side):
    colours = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [0, 1, 1], [1, 1, 0]], float)
    tiles = np.broadcast_to(colours[:, None, None], (6, side, side, 3))
    save_tiles(tmp_path / "a.png", [TileGroup("title", tiles, numbers=range(6), columns=3)])
    picture = read(tmp_path / "a.png")
    places = []
    for colour in colours:
        rows, columns = np.nonzero(np.abs(picture - 255 * colour).max(axis=2) <= 3)
        assert len(rows) > 10_000
        places.append((rows.mean(), columns.mean()))
    for row in (places[:3], places[3:]):
        assert [column for _, column in row] == sorted(column for _, column in row)
    assert max(row for row, _ in places[:3]) < min(row for row, _ in places[3:])
    assert has_colour(picture, [255, 255, 255]) > 5000


def test_many_groups_many_tiles_and_names(tmp_path):
    groups = [
        TileGroup("$x_1$ of a network", np.zeros((40, 5, 5)), limits=(-1.0, 1.0)),
        TileGroup("wide", np.random.default_rng(0).random((1, 2, 90)), columns=1),
        TileGroup("tall", np.zeros((2, 90, 2)), columns=2, column_names=("a", "b")),
        TileGroup("one", np.zeros((1, 1, 1)), numbers=("word",), row_names=("a row",)),
    ]
    save_tiles(tmp_path / "a.png", groups, note="a note\nof two lines")
    with Image.open(tmp_path / "a.png") as image:
        assert image.width <= 1000
        assert image.height < 3000
