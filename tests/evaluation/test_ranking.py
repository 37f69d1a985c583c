"""The ranking of classes: against scikit-learn, and what each image adds against a difference."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics as reference

from cnncli.evaluation.ranking import rank_classes


@pytest.mark.parametrize("levels", [2, 11, 1000, None])
@pytest.mark.parametrize(
    ("num_classes", "images", "values_at_once"),
    [(2, 2, 1), (2, 50, 2**22), (30, 200, 1000), (90, 200, 2**22)],
)
def test_the_ranking_of_each_class_is_scikit_learns(
    num_classes, images, values_at_once, levels, monkeypatch
):
    monkeypatch.setattr("cnncli.evaluation.ranking._VALUES_AT_ONCE", values_at_once)
    generator = np.random.default_rng(num_classes + images)
    targets = generator.permuted(np.arange(images) % max(2, num_classes * 2 // 3))
    probabilities = generator.dirichlet(np.full(num_classes, 0.3), images)
    if levels is not None:  # with ties, most of them at 0
        probabilities = np.round(probabilities * levels) / levels
    found = {ranking.index: ranking for ranking in rank_classes(targets, probabilities)}
    assert sorted(found) == sorted(set(targets.tolist()))
    for index, ranking in found.items():
        truth, score = targets == index, probabilities[:, index]
        expected = (
            reference.roc_auc_score(truth, score),
            reference.average_precision_score(truth, score),
        )
        values = ranking.auroc, ranking.average_precision
        np.testing.assert_allclose(values, expected, rtol=1e-12)


@pytest.mark.parametrize("levels", [7, None])
def test_an_influence_is_what_more_weight_on_an_image_adds(levels):
    generator = np.random.default_rng(4)
    targets = np.arange(60) % 3
    probabilities = generator.dirichlet(np.ones(3), 60)
    if levels is not None:
        probabilities = np.round(probabilities * levels) / levels
    for ranking in rank_classes(targets, probabilities):
        truth, score = targets == ranking.index, probabilities[:, ranking.index]
        for measure, influence in (
            (reference.roc_auc_score, ranking.auroc_influence),
            (reference.average_precision_score, ranking.precision_influence),
        ):
            step = 1e-6
            expected = []
            for image in range(0, 60, 7):
                weights = np.ones(60)
                weights[image] += step
                more = measure(truth, score, sample_weight=weights)
                weights[image] -= 2 * step
                expected.append(more - measure(truth, score, sample_weight=weights))
            np.testing.assert_allclose(influence[::7], np.array(expected) / (2 * step), atol=1e-7)
            assert influence.sum() == pytest.approx(0, abs=1e-12)


def test_the_variance_of_auroc_is_that_of_delong():
    """Written out: placement values of both sides, and the sum of their variances."""
    generator = np.random.default_rng(2)
    scores = np.concatenate([generator.normal(1, 1, 40), generator.normal(0, 1, 90)])
    targets = np.repeat([1, 0], [40, 90])
    probabilities = np.stack([1 - scores, scores], axis=1)
    ranking = list(rank_classes(targets, probabilities))[1]
    wins = (scores[:40, None] > scores[None, 40:]).astype(float)
    positive, negative = wins.mean(axis=1), wins.mean(axis=0)
    expected = positive.var() / 40 + negative.var() / 90
    assert (ranking.auroc_influence**2).sum() == pytest.approx(expected)
    assert ranking.auroc == pytest.approx(wins.mean())


def test_no_class_is_ranked_where_all_images_are_of_one():
    assert list(rank_classes(np.ones(4, int), np.full((4, 3), 1 / 3))) == []
