"""A head fitted to features: multinomial logistic regression, to convergence.

With the backbone fixed, the head's loss is convex: there is one best head, and no learning rate,
order or seed by which it could be missed.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from cnncli.arrays import Array

# Inverse strengths of the L2 penalty to try, per image, the strongest first: the loss is
# ``mean cross-entropy + ‖w‖² / (2 · strength)`` of standardised features.
STRENGTHS = tuple(10.0**power for power in (-1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2, 2.5, 3))
FOLDS = 5
# Gradient (largest component, of the mean loss) at which L-BFGS has converged.
_TOLERANCE = 1e-6
_MOST_STEPS = 3_000


@dataclass(frozen=True)
class LinearHead:
    """A linear layer from features to logits.

    Attributes:
        weight: (K, D) float64.
        bias: (K,) float64.
    """

    weight: Array
    bias: Array

    def logits(self, features: Array) -> Array:
        """Return the logits (N, K) of features (N, D)."""
        logits: Array = features @ self.weight.T + self.bias
        return logits


@dataclass(frozen=True)
class Judgement:
    """How good heads of one strength were on images that they were not fitted to.

    Attributes:
        strength: Inverse strength of the L2 penalty.
        losses: (N,) cross-entropy of each image in nats; NaN for an image in no fold.
        accuracy: Fraction of the images that were classified correctly.
    """

    strength: float
    losses: Array
    accuracy: float

    @property
    def loss(self) -> float:
        """The mean cross-entropy in nats."""
        return float(np.nanmean(self.losses))

    def describe(self) -> str:
        """Return the figures as text."""
        return f"loss {self.loss:.4f} and accuracy {self.accuracy:.4f} on folds of train"


def is_better(one: Judgement, other: Judgement, *, errors: float) -> bool:
    """Return whether one head's loss is lower by more than so many standard errors.

    Args:
        one: The judgement of a head.
        other: That of another one on the same images in the same folds.
        errors: Number of standard errors of the mean of the differences, image by image.
    """
    gains = other.losses - one.losses
    gains = gains[~np.isnan(gains)]
    error = gains.std(ddof=1) / math.sqrt(len(gains)) if len(gains) > 1 else math.inf
    return bool(gains.mean() > errors * error)


def fit_head(
    views: Array, targets: Array, num_classes: int, strength: float, weights: Array | None = None
) -> LinearHead:
    """Fit a head to features, and fold their standardisation into its weights.

    Args:
        views: (V, N, D) features of V views of each of N images.
        targets: (N,) class indices; each of the K classes has an image.
        num_classes: K, at least 2.
        strength: Inverse strength of the L2 penalty on the weights for standardised features; it
            is per image, so that it means the same for any N and V.
        weights: (N,) weight of each image's loss; None weighs them alike.

    Returns:
        The head that scikit-learn's LogisticRegression finds, in terms of the features themselves.

    Source: L-BFGS of SciPy by scikit-learn, in float64.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    count = len(targets)
    rows = np.asarray(views, dtype=np.float64).reshape(-1, views.shape[-1])
    mean, std = rows.mean(axis=0), rows.std(axis=0)
    std = np.where(std > 1e-12 * np.maximum(1, np.abs(mean)), std, 1.0)
    rows = (rows - mean) / std
    labels = np.tile(targets, len(views))
    shares = np.ones(count) if weights is None else weights / weights.mean()
    # scikit-learn multiplies the sum of all losses by C.
    model = LogisticRegression(
        C=strength / count, solver="lbfgs", tol=_TOLERANCE, max_iter=_MOST_STEPS
    )
    with warnings.catch_warnings():
        # With nearly no penalty the last digits may not settle; the best head so far is taken.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(rows, labels, sample_weight=np.tile(shares, len(views)) / len(views))
    coefficients, intercepts = np.asarray(model.coef_), np.asarray(model.intercept_)
    if len(coefficients) == 1:  # two classes: one row, of the second class against the first
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
        intercepts = np.concatenate([-intercepts, intercepts]) / 2
    weight, bias = np.zeros((num_classes, rows.shape[1])), np.full(num_classes, -math.inf)
    weight[model.classes_] = coefficients / std
    bias[model.classes_] = intercepts - (coefficients / std) @ mean
    # A class without an image: as unlikely as the least likely one, and by no feature.
    bias[np.isneginf(bias)] = bias[model.classes_].min()
    return LinearHead(weight, bias)


def judge_strengths(
    views: Array,
    targets: Array,
    num_classes: int,
    folds: Array,
    weights: Array | None = None,
    strengths: Sequence[float] = STRENGTHS,
) -> Judgement:
    """Return how good the best strength is, judged on folds.

    A head is fitted to all views of the images outside a fold, and judged by the first view of the
    images in it: no view of an image is on both sides. From the strongest penalty on, weaker ones
    are tried until two in a row are worse.

    Args:
        views: (V, N, D) features of V views of each of N images; the first is the image itself.
        targets: (N,) class indices.
        num_classes: K.
        folds: (N,) the fold of each image, from 1; an image of fold 0 is only fitted to.
        weights: (N,) weight of each image's loss; None weighs them alike.
        strengths: Inverse strengths to try, ascending.
    """
    best: Judgement | None = None
    worse = 0
    for strength in strengths:
        found = _judge(views, targets, num_classes, folds, weights, strength)
        if best is None or found.loss < best.loss:
            best, worse = found, 0
        else:
            worse += 1
        if worse == 2:
            break
    assert best is not None
    return best


def _judge(
    views: Array,
    targets: Array,
    num_classes: int,
    folds: Array,
    weights: Array | None,
    strength: float,
) -> Judgement:
    losses, correct = np.full(len(targets), np.nan), 0
    for fitted, held_out in _list_parts(folds):
        head = fit_head(
            views[:, fitted],
            targets[fitted],
            num_classes,
            strength,
            None if weights is None else weights[fitted],
        )
        logits = head.logits(np.asarray(views[0, held_out], dtype=np.float64))
        losses[held_out] = cross_entropy(logits, targets[held_out])
        correct += int((logits.argmax(axis=1) == targets[held_out]).sum())
    judged = ~np.isnan(losses)
    if weights is not None:
        losses = losses * weights / weights[judged].mean()
    return Judgement(strength, losses, correct / max(1, int(judged.sum())))


def _list_parts(folds: Array) -> Iterator[tuple[Array, Array]]:
    """Yield the numbers of the images to fit to, and of those to judge on, of each fold."""
    for fold in range(1, int(folds.max()) + 1):
        held_out = np.flatnonzero(folds == fold)
        if len(held_out):
            yield np.flatnonzero(folds != fold), held_out


def cross_entropy(logits: Array, targets: Array) -> Array:
    """Return the cross-entropy (N,) in nats of logits (N, K) and class indices (N,)."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    losses: Array = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(targets)), targets]
    return losses
