"""Where the network's input lies in an image: a dot is found where it was planted."""

import numpy as np
import pytest

from cnncli.images.placement import Box, find_seen_box, place_map
from cnncli.images.preprocess import Preprocess

MODES = [
    {"resize_mode": "squash"},
    {"resize_mode": "pad"},
    {"resize_mode": "crop"},
    {"resize_mode": "crop", "resize_size": 70},
    {"resize_mode": "crop", "resize_size": 70, "interpolation": "bilinear"},
]
SIZES = [(240, 360), (360, 240), (200, 200), (30, 45)]
INPUT = (60, 60)


def centre_of(values):
    """Return the mean place (row, column) of what is bright, pixels' centres at n + ½."""
    weights = np.nan_to_num(values.astype(float))
    rows, columns = np.indices(values.shape)
    return ((rows + 0.5) * weights).sum() / weights.sum(), (
        (columns + 0.5) * weights
    ).sum() / weights.sum()


def dot(size, at, radius):
    rows, columns = np.indices(size)
    near = np.hypot(rows + 0.5 - at[0], columns + 0.5 - at[1]) < radius
    return (255 * near).astype(np.uint8)[..., None]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: "-".join(map(str, mode.values())))
def test_a_dot_is_where_the_box_says_and_goes_back_to_where_it_was(mode, size):
    preprocess = Preprocess(*INPUT, channels=1, **mode)
    box = find_seen_box(preprocess, size)
    # At 40 % and 60 % from the edges of the shorter side around the middle: no crop loses it.
    short = min(size)
    at = size[0] / 2 - 0.1 * short, size[1] / 2 + 0.15 * short
    pixels = preprocess.fit(dot(size, at, radius=short / 15))[..., 0]
    scale = box.height / INPUT[0], box.width / INPUT[1]
    found = centre_of(pixels)
    assert (found[0] * scale[0] + box.top, found[1] * scale[1] + box.left) == pytest.approx(
        at, abs=0.75 * max(*scale, 1)
    )
    back = place_map(pixels, box, size)
    assert back.shape == size
    assert centre_of(back) == pytest.approx(at, abs=0.75 * max(*scale, 1))


def test_squash_and_pad_see_the_whole_image():
    assert find_seen_box(Preprocess(60, 60, 1), (240, 360)) == Box(0, 0, 240, 360)
    pad = find_seen_box(Preprocess(60, 60, 1, resize_mode="pad"), (240, 360))
    assert pad == Box(-60, 0, 360, 360)  # 240 rows in the middle of 360
    assert not np.isnan(place_map(np.ones((6, 6)), pad, (240, 360))).any()


def test_what_a_crop_cuts_off_is_nan():
    crop = Preprocess(60, 60, 1, resize_mode="crop")
    box = find_seen_box(crop, (240, 360))
    assert box == Box(0, 60, 240, 240)
    placed = place_map(np.ones((4, 4)), box, (240, 360))
    seen = np.zeros((240, 360), bool)
    seen[:, 60:300] = True
    np.testing.assert_array_equal(~np.isnan(placed), seen)


def test_the_crop_of_weights_is_a_part_of_the_middle():
    """The shorter side becomes 256 pixels, and 224 of them are seen: 7/8, one 16th off each end."""
    weights = Preprocess(224, 224, 1, resize_mode="crop", resize_size=256)
    box = find_seen_box(weights, (320, 640))
    assert box == Box(20, 180, 280, 280)
    seen = ~np.isnan(place_map(np.ones((7, 7)), box, (320, 640)))
    assert (seen.any(1).sum(), seen.any(0).sum()) == (280, 280)


def test_a_map_is_interpolated_between_the_centres_of_its_cells():
    placed = place_map(np.array([[0.0, 1.0]]), Box(0, 0, 1, 4), (1, 4))
    np.testing.assert_allclose(placed[0], [0, 0.25, 0.75, 1], atol=1e-6)
