"""The deletion test on a network that sees one square and nothing else."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from cnncli.explain.deletion import COPIES, PASSES, STEPS, DeletionTest, blur, deletion_test

SIDE = 40
TOP, LEFT, SQUARE = 8, 24, 8


def sees_the_square(images):
    """Return how bright the square is as the probability of class 1."""
    value = images[:, 0, TOP : TOP + SQUARE, LEFT : LEFT + SQUARE].mean(dim=(1, 2)).clamp(0, 1)
    return torch.stack([1 - value, value], dim=1)


def picture():
    image = torch.zeros(1, SIDE, SIDE)
    image[:, TOP : TOP + SQUARE, LEFT : LEFT + SQUARE] = 1
    return image


def blob(row, column):
    spot = np.zeros((SIDE, SIDE))
    spot[row, column] = 1
    return gaussian_filter(spot, 5, mode="wrap")


def test_a_map_on_the_square_beats_its_shifted_copies():
    test = deletion_test(sees_the_square, picture(), 1, blob(12, 28))
    assert test.share_beaten == 1
    assert test.is_better
    assert test.area < min(test.shifted_areas)


def test_a_map_elsewhere_does_not():
    test = deletion_test(sees_the_square, picture(), 1, blob(32, 8))
    assert test.share_beaten < 0.9
    assert not test.is_better


def test_the_curve_is_that_of_the_definition():
    image, heat = picture(), blob(12, 28)
    test = deletion_test(sees_the_square, image, 1, heat)
    blurred = gaussian_filter(image[0].numpy(), SIDE / 12, mode="nearest")
    hottest_first = np.argsort(-heat.ravel(), kind="stable")
    expected = []
    for step in range(11):
        removed = image[0].numpy().copy().ravel()
        gone = hottest_first[: step * SIDE * SIDE // 10]
        removed[gone] = blurred.ravel()[gone]
        square = removed.reshape(SIDE, SIDE)[TOP : TOP + SQUARE, LEFT : LEFT + SQUARE]
        expected.append(square.mean())
    np.testing.assert_allclose(test.curve, expected, atol=1e-6)
    np.testing.assert_allclose(test.fractions, np.arange(11) / 10)
    area = sum((a + b) / 2 / 10 for a, b in pairwise(expected))
    assert test.area == pytest.approx(area, abs=1e-6)


def test_the_copies_are_shifted_and_not_scattered():
    seen = []

    def keep(images):
        seen.append(images.clone())
        return sees_the_square(images)

    noise = torch.rand(1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    heat = blob(12, 28)
    deletion_test(keep, noise, 1, heat)
    passes = torch.cat(seen[1:])
    assert len(passes) == PASSES == (COPIES + 1) * (STEPS - 1)
    removed = (passes[:, 0] != noise[0]).numpy().reshape(COPIES + 1, STEPS - 1, SIDE, SIDE)
    assert [mask.sum() for mask in removed[0]] == [160 * step for step in range(1, STEPS)]
    shifts = set()
    for copy in removed[1:]:
        (found,) = [
            (down, right)
            for down, right in np.ndindex(SIDE, SIDE)
            if np.array_equal(np.roll(removed[0, 0], (down, right), (0, 1)), copy[0])
        ]
        rows, columns = min(found[0], SIDE - found[0]), min(found[1], SIDE - found[1])
        assert max(rows, columns) >= SIDE / 4
        shifts.add(found)
    assert len(shifts) > 30


def test_a_seed_gives_the_same_test():
    areas = [
        deletion_test(sees_the_square, picture(), 1, blob(20, 20), seed=seed).shifted_areas
        for seed in (0, 0, 1)
    ]
    assert areas[0] == areas[1]
    assert areas[0] != areas[2]


def test_a_class_that_nothing_changes_is_not_better():
    def certain(images):
        return torch.tensor([[0.0, 1.0]]).expand(len(images), 2)

    test = deletion_test(certain, picture(), 1, blob(12, 28))
    assert test.area == 1
    assert test.beaten == 0


@pytest.mark.parametrize(("beaten", "good"), [(39, True), (38, True), (37, False), (0, False)])
def test_the_verdict_needs_95_of_100(beaten, good):
    own = np.array([0.5, 0.5])
    copies = np.array([[0.6, 0.6]] * beaten + [[0.4, 0.4]] * (39 - beaten))
    test = DeletionTest(own, copies)
    assert (test.beaten, test.is_better) == (beaten, good)


def test_chance_alone_is_rarely_called_better():
    """A map that has nothing to do with the picture is among the best 2 of 40 in 1 of 20 cases."""
    rng = np.random.default_rng(0)
    wrong = sum(
        deletion_test(
            sees_the_square, picture(), 1, blob(*rng.integers(SIDE, size=2)), seed=seed
        ).is_better
        for seed in range(60)
    )
    assert wrong <= 8  # 3 are expected; more than 8 have a probability of 0.003


def test_blur_takes_the_details_away_and_keeps_the_mean():
    noise = torch.rand(3, 60, 48, generator=torch.Generator().manual_seed(0))
    blurred = blur(noise)
    assert blurred.shape == noise.shape
    assert float(blurred.std()) < 0.1 * float(noise.std())
    assert float(blurred.mean()) == pytest.approx(float(noise.mean()), abs=0.02)
