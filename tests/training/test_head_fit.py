"""The head's fit against scikit-learn's logistic regression, and against its own gradient."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cnncli.training.head_features import is_linear_on_features, put_head
from cnncli.training.head_fit import Judgement, fit_head, is_better, judge_strengths


def draw(count=60, width=7, classes=3, views=1, seed=0):
    """Return features (V, N, D) of very different scales, and targets (N,)."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(classes, size=count)
    centres = rng.normal(size=(classes, width))
    features = centres[targets] + rng.normal(size=(views, count, width))
    return features * 10.0 ** rng.integers(-3, 3, size=width) + 5, targets


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("balanced", [False, True])
def test_it_is_scikit_learns_logistic_regression(classes, balanced):
    (features,), targets = draw(classes=classes)
    counts = np.bincount(targets)
    weights = (len(targets) / (classes * counts))[targets] if balanced else None
    head = fit_head(features[None], targets, classes, 3.0, weights)
    theirs = make_pipeline(
        StandardScaler(),
        LogisticRegression(
            C=3.0 / 60, tol=1e-8, max_iter=9999, class_weight="balanced" if balanced else None
        ),
    ).fit(features, targets)
    logits = torch.from_numpy(head.logits(features))
    np.testing.assert_allclose(logits.softmax(1), theirs.predict_proba(features), atol=2e-5)


def test_at_the_fitted_head_the_gradient_of_the_written_out_loss_is_zero():
    views, targets = draw(views=3)
    head = fit_head(views, targets, 3, 2.0)
    rows = views.reshape(-1, views.shape[-1])
    weight = torch.tensor(head.weight * rows.std(0), requires_grad=True)
    bias = torch.tensor(head.bias + head.weight @ rows.mean(0), requires_grad=True)
    x = torch.tensor((rows - rows.mean(0)) / rows.std(0))
    entropy = torch.nn.functional.cross_entropy(
        x @ weight.T + bias, torch.from_numpy(np.tile(targets, 3))
    )
    (entropy + weight.square().sum() / (2 * 2.0)).backward()
    assert weight.grad.abs().max() < 1e-5
    assert bias.grad.abs().max() < 1e-5


def test_a_constant_feature_and_a_class_without_images_do_no_harm():
    (features,), targets = draw(classes=2)
    features[:, 0] = 7.0
    head = fit_head(features[None], targets * 2, 3, 1.0)  # classes 0 and 2 of three
    logits = head.logits(features)
    assert np.isfinite(logits).all()
    assert (logits.argmax(1) != 1).all()
    assert head.weight[0, 0] == pytest.approx(0)


def test_no_view_of_an_image_is_on_both_sides_of_a_fold():
    # Noise, and views that are copies: only a view on the other side could tell the targets.
    rng = np.random.default_rng(0)
    features, targets = rng.normal(size=(40, 30)), np.arange(40) % 2
    folds = np.arange(40) // 2 % 5 + 1
    judged = judge_strengths(np.stack([features] * 3), targets, 2, folds, strengths=(1e4,))
    assert judged.loss > 0.6
    assert judged.accuracy < 0.75


def test_weaker_penalties_are_chosen_where_features_tell_more():
    (clear,), targets = draw(count=120, classes=2)
    folds = np.arange(120) % 5 + 1
    noise = np.random.default_rng(1).normal(size=(1, 120, 40))
    strong = judge_strengths(noise, targets, 2, folds).strength
    assert strong < judge_strengths(clear[None], targets, 2, folds).strength


def test_better_means_by_more_than_chance():
    losses = np.array([0.1, 0.9, 0.5, 0.4])
    same, far = Judgement(1, losses - [0.2, -0.2, 0.1, 0], 1), Judgement(1, losses - 0.3, 1)
    other = Judgement(1, losses, 1)
    assert not is_better(same, other, errors=1)
    assert is_better(far, other, errors=2)
    assert not is_better(other, far, errors=0)


class Mapped(torch.nn.Module):
    """A head that is a convolution, pooled behind it, as in SqueezeNet."""

    def __init__(self, activation):
        super().__init__()
        self.head, self.activation = torch.nn.Conv2d(3, 2, 1), activation

    def forward(self, x):
        return self.activation(self.head(x)).mean((2, 3))


def test_a_pooled_convolution_is_linear_unless_something_bends_it():
    images = torch.randn(4, 3, 5, 5)
    network = Mapped(torch.nn.Identity()).train()
    assert is_linear_on_features(network, "head", images)
    assert network.training
    assert not is_linear_on_features(Mapped(torch.nn.ReLU()), "head", images)
    (features,), targets = draw(width=3, classes=2)
    head = fit_head(features[None], targets, 2, 1.0)
    put_head(network, "head", head)
    expected = head.logits(images.mean((2, 3)).double().numpy())
    np.testing.assert_allclose(network(images).detach(), expected, rtol=1e-4, atol=1e-4)
