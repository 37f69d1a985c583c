"""Features, neighbours and maps against scikit-learn and formulas written out."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.manifold import trustworthiness
from sklearn.neighbors import KNeighborsClassifier
from torch import nn

from cnncli.errors import CnncliError
from cnncli.explain.embedding import (
    check_features,
    compute_features,
    draw_map,
    find_neighbours,
    score_neighbours,
)
from cnncli.explain.units import Grid

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def digits():
    data = load_digits()
    return data.data[:150].astype(np.float32), data.target[:150]


def test_features_are_what_goes_into_the_head():
    network = nn.Sequential(nn.Conv2d(2, 3, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                            nn.Linear(3, 4))  # fmt: skip
    images = torch.randn(5, 2, 6, 7)
    maps = network[0](images).detach()
    expected = maps.mean((2, 3))
    features, logits = compute_features(network, images, "3", None, None)
    np.testing.assert_allclose(features, expected, rtol=1e-5)
    torch.testing.assert_close(logits, network[3](expected))
    of_layer, same = compute_features(network, images, "3", "0", Grid((3, 4, 5), 0, 1, 2))
    np.testing.assert_allclose(of_layer, expected, rtol=1e-5)
    torch.testing.assert_close(same, logits)


def test_features_before_a_head_that_is_a_convolution_are_means_over_positions():
    network = nn.Sequential(nn.ReLU(), nn.Conv2d(2, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    images = torch.randn(3, 2, 5, 5)
    features, _ = compute_features(network, images, "1", None, None)
    np.testing.assert_allclose(features, images.clamp(min=0).mean((2, 3)), rtol=1e-5)


def test_channels_that_come_last_are_found():
    network = nn.Sequential(nn.Identity(), nn.Flatten(), nn.Linear(24, 2))
    tokens = torch.randn(2, 2, 3, 4)
    features, _ = compute_features(network, tokens, "2", "0", Grid((2, 3, 4), 2, 0, 1))
    np.testing.assert_allclose(features, tokens.mean((1, 2)), rtol=1e-5)


def test_each_image_is_left_out_in_turn(digits):
    features, targets = digits
    score, votes = score_neighbours(features, targets, 5)
    right = 0
    for n in range(len(targets)):
        rest = np.arange(len(targets)) != n
        judge = KNeighborsClassifier(5, metric="cosine").fit(features[rest], targets[rest])
        right += judge.predict(features[n : n + 1])[0] == targets[n]
    assert votes == 5
    assert score == pytest.approx(right / len(targets), abs=2 / len(targets))  # ties
    assert 0.8 < score < 1


def on_a_circle(*degrees):
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def test_a_tie_goes_to_the_class_of_the_nearest():
    targets = np.array([0, 1, 0, 0, 1, 1])
    score, votes = score_neighbours(on_a_circle(0, 3, 7, 50, 53, 90), targets, 5)
    assert votes == 2
    # At 0°, 7°, 53° and 90° two classes have a vote each; only at 90° the nearest is right.
    assert score == pytest.approx(1 / 6)


def test_small_classes_are_not_outvoted():
    """Of 3 + 3 images, the five others of each are two of its own class and three of the other."""
    features = on_a_circle(0, 1, 2, 90, 91, 92)
    assert score_neighbours(features, np.array([0, 0, 0, 1, 1, 1]), 5) == (1.0, 2)
    # A class of one image has none to vote for it.
    assert score_neighbours(features[:4], np.array([0, 0, 0, 1]), 5) == (1.0, 2)
    assert score_neighbours(features[:3], np.array([0, 1, 2]), 5) == (None, 0)


def test_neighbours_are_sorted_by_the_cosine():
    features = RNG.normal(size=(40, 6)).astype(np.float32)
    query = RNG.normal(size=6).astype(np.float32)
    order, similarity = find_neighbours(features, query, 7)
    cosines = [
        float(np.dot(row, query)) / float(np.linalg.norm(row) * np.linalg.norm(query))
        for row in features
    ]
    np.testing.assert_array_equal(order, np.argsort(cosines)[::-1][:7])
    np.testing.assert_allclose(similarity, np.sort(cosines)[::-1][:7], rtol=1e-5)
    nothing = np.zeros((1, 6), np.float32)  # has no direction: similarity 0, not NaN
    assert find_neighbours(nothing, query, 1)[1].tolist() == [0]


def test_pca_keeps_the_variance_it_says(digits):
    features, _ = digits
    drawn = draw_map(features, "pca", 0)
    covariance = np.linalg.eigvalsh(np.cov(features.astype(float).T))[::-1]
    assert drawn.variance == pytest.approx(covariance[:2] / covariance.sum(), rel=1e-3)
    assert drawn.points.var(axis=0, ddof=1) == pytest.approx(covariance[:2], rel=1e-3)


def test_tsne_keeps_neighbours_and_repeats(digits):
    features, _ = digits
    drawn, again = draw_map(features, "t-sne", 3), draw_map(features, "t-sne", 3)
    np.testing.assert_array_equal(drawn.points, again.points)
    assert drawn.perplexity == 30
    assert trustworthiness(features, drawn.points, n_neighbors=5) > 0.9
    few = draw_map(features[:7], "t-sne", 0)
    assert few.perplexity == 2
    assert np.isfinite(few.points).all()


@pytest.mark.parametrize(
    ("features", "why"),
    [
        (np.eye(4), "4 images; a map needs at least 5"),
        (np.arange(9.0)[:, None], "one channel"),
        (np.full((9, 3), np.nan), "not finite"),
        (np.ones((9, 3)), "same features"),
    ],
)
def test_what_no_map_can_be_drawn_of_is_refused(features, why):
    with pytest.raises(CnncliError, match=why):
        check_features(features)
