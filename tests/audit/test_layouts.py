"""Different pictures of one layout are no copies; copies among them are found all the same."""

import cv2
import numpy as np
import pytest
from pictures import encode, groups_of, jpeg, make_picture

COUNT = 24


def with_info_bar(seed):
    """Return a micrograph with the black bar and its text that a microscope prints below."""
    picture = cv2.GaussianBlur(make_picture(seed, 200, 200), (0, 0), 2)
    picture[178:] = 0
    cv2.putText(picture, "HV 15.00 kV  mag 500x", (8, 194), cv2.FONT_HERSHEY_SIMPLEX, 0.35, 255)
    picture[186:190, 165:195] = 255
    return picture


def in_circle(seed):
    """Return a picture in a black frame with a round hole, as of an eye's fundus."""
    away = np.hypot(*np.mgrid[-100:100, -100:100])
    picture = cv2.GaussianBlur(make_picture(seed, 200, 200), (0, 0), 3) * 0.4 + 60
    return np.where(away < 90, picture, 0).astype(np.uint8)


def plot(seed):
    """Return a curve in axes that are the same in all plots."""
    picture = np.full((240, 320), 255, np.uint8)
    cv2.rectangle(picture, (40, 20), (300, 200), 0)
    for k in range(6):
        for text, place in ((str(k), (36 + k * 52, 216)), (f"{k * 10}", (14, 200 - k * 34))):
            cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.35, 0)
    cv2.putText(picture, "Loss of the model", (100, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.4, 0)
    steps = np.random.default_rng(seed).normal(0, 6, 130)
    heights = np.clip(110 + np.cumsum(steps), 25, 195)
    points = np.stack([40 + 2 * np.arange(130), heights], axis=1).astype(np.int32)
    return cv2.polylines(picture, [points], isClosed=False, color=0, thickness=2)


def page(seed):
    """Return a form that is filled in differently."""
    picture = np.full((400, 300), 255, np.uint8)
    rng = np.random.default_rng(seed)
    cv2.rectangle(picture, (10, 30), (290, 390), 0)
    cv2.putText(picture, "FORM 17-B", (80, 22), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 0)
    for k in range(11):
        cv2.line(picture, (10, 60 + k * 30), (290, 60 + k * 30), 0)
        words = "".join(rng.choice(list("abcdefghij"), rng.integers(3, 20)))
        for text, x in (("Name Street"[k % 5 :], 14), (words, 110)):
            cv2.putText(picture, text, (x, 54 + k * 30), cv2.FONT_HERSHEY_SIMPLEX, 0.35, 0)
    return picture


def in_text_frame(seed):
    """Return a small photo in a frame with a title, as of a collection."""
    picture = np.full((300, 300), 255, np.uint8)
    cv2.rectangle(picture, (20, 20), (280, 280), 0, 6)
    cv2.putText(picture, "MUSEUM OF NATURE", (60, 50), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 0)
    picture[100:190, 90:210] = make_picture(seed, 90, 120)
    return picture


def mostly_blank(seed):
    """Return a dark picture with one blot and the mark that is on all of them."""
    rng = np.random.default_rng(seed)
    y, x = rng.integers(60, 190, 2)
    rows, columns = np.mgrid[:256, :256]
    tall, wide = rng.uniform(6, 20, 2)
    picture = 6 + 120 * np.exp(-(((rows - y) / tall) ** 2) - ((columns - x) / wide) ** 2)
    picture[230:246, 10:70] = 200
    return np.clip(picture + rng.normal(0, 1, picture.shape), 0, 255).astype(np.uint8)


LAYOUTS = (with_info_bar, in_circle, plot, page, in_text_frame, mostly_blank)


@pytest.mark.parametrize("draw", LAYOUTS)
def test_of_pictures_of_one_layout_only_copies_are_copies(draw):
    files = [encode(draw(seed)) for seed in range(COUNT)]
    larger = cv2.resize(draw(3), None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    files += [files[1], jpeg(95)(draw(2)), encode(larger)]
    found = [group.members for group in groups_of(files)]
    assert found == [(1, COUNT), (2, COUNT + 1), (3, COUNT + 2)]


def test_a_part_of_the_set_may_have_a_layout():
    files = [encode(make_picture(seed)) for seed in range(30)]
    files += [encode(in_text_frame(seed)) for seed in range(8)]
    assert groups_of(files) == ()
