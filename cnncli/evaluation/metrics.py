"""Metrics as pure functions of arrays: N images, K classes, accuracies as fractions (0–1).

``targets`` is (N,) with class indices 0 to K - 1; ``probabilities`` is (N, K) with rows that sum
to 1; the predicted class is the one with the largest probability, the first one on a tie. A metric
that is undefined for the given images is NaN here and never 0; ``report`` turns it into None.

They are written out here and not taken from scikit-learn: bootstrap intervals compute those of the
confusion matrix a thousand times, and a value and its interval must follow the same formula; the
others take a minute for 5,000 classes there. The tests compare all with scikit-learn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from cnncli.errors import RUNTIME_FAILURE, CnncliError

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

# The rows of a softmax sum to 1 with an error of about 1e-7 in float32 and up to 1e-2 in bfloat16;
# logits miss it by far more.
SUM_TOLERANCE = 0.02


def check_inputs(targets: IntArray, probabilities: FloatArray) -> None:
    """Refuse values from which no metric can be computed.

    Args:
        targets: (N,) class indices.
        probabilities: (N, K), rows sum to 1.

    Raises:
        CnncliError: If there is no image, or a probability is NaN or infinite.
        ValueError: If shapes, indices or row sums are wrong, which only a bug can cause.
    """
    if targets.ndim != 1 or probabilities.ndim != 2 or len(targets) != len(probabilities):
        raise ValueError(f"targets {targets.shape} do not fit probabilities {probabilities.shape}")
    images, num_classes = probabilities.shape
    if num_classes < 2:
        raise ValueError("a classifier needs at least two classes")
    if images == 0:
        raise CnncliError("there is no image to evaluate: the split is empty")
    broken = int((~np.isfinite(probabilities)).any(axis=1).sum())
    if broken:
        raise CnncliError(
            f"the network's probabilities are not finite for {broken} of {images} images: its "
            "weights are broken or training diverged; train again, with a lower lr",
            exit_code=RUNTIME_FAILURE,
        )
    if targets.min() < 0 or targets.max() >= num_classes:
        raise ValueError(f"targets outside 0 to {num_classes - 1}")
    off = np.abs(probabilities.sum(axis=1) - 1).max()
    if probabilities.min() < 0 or off > SUM_TOLERANCE:
        raise ValueError("probabilities must be at least 0 and sum to 1 in every row")


def confusion_matrix(targets: IntArray, predictions: IntArray, num_classes: int) -> IntArray:
    """Count images per pair of classes.

    Args:
        targets: (N,) true class indices.
        predictions: (N,) predicted class indices.
        num_classes: K.

    Returns:
        (K, K) counts: rows are the true classes, columns the predicted ones.
    """
    pairs = targets.astype(np.int64) * num_classes + predictions
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


@dataclass(frozen=True)
class Counts:
    """The numbers from which the metrics of a confusion matrix are computed.

    The leading dimensions ``...`` are empty for one matrix, and (B,) for B resampled ones.

    Attributes:
        correct: (..., K) number of images of each class that were predicted correctly: the
            diagonal of the matrix.
        actual: (..., K) number of images of each class: the sums of the rows.
        predicted: (..., K) number of images predicted as each class: the sums of the columns.
        disagreement: (...) sum over all images of (true index - predicted index) squared.
    """

    correct: FloatArray
    actual: FloatArray
    predicted: FloatArray
    disagreement: FloatArray

    @classmethod
    def of(cls, matrix: IntArray) -> Counts:
        """Return the counts of a confusion matrix (K, K)."""
        index = np.arange(len(matrix))
        squares = (index[:, None] - index[None, :]) ** 2
        return cls(
            correct=np.diagonal(matrix).astype(np.float64),
            actual=matrix.sum(axis=1).astype(np.float64),
            predicted=matrix.sum(axis=0).astype(np.float64),
            disagreement=np.asarray((squares * matrix).sum(), dtype=np.float64),
        )

    @property
    def precision(self) -> FloatArray:
        """(..., K) correct / predicted; NaN for a class never predicted."""
        return _ratio(self.correct, self.predicted)

    @property
    def recall(self) -> FloatArray:
        """(..., K) correct / actual; NaN for a class without an image."""
        return _ratio(self.correct, self.actual)

    @property
    def f1(self) -> FloatArray:
        """(..., K) 2 correct / (actual + predicted); NaN for a class without an image.

        Written so, it is the harmonic mean of precision and recall and still defined, as 0, for
        a class that has images and is never predicted.
        """
        both = np.where(self.actual > 0, self.actual + self.predicted, 0)
        return _ratio(2 * self.correct, both)


def count_metrics(counts: Counts) -> dict[str, FloatArray]:
    """Compute all metrics that depend on the confusion matrix alone.

    Averages over classes are over the classes that have images, each with the same weight. An
    image that is predicted as a class without images lowers the recall of its true class; the
    class without images has no term in the average.

    Returns:
        Arrays (...) by name, NaN where undefined: ``accuracy``, ``balanced_accuracy`` and
        ``macro_f1`` (0–1); ``mcc`` (-1–1, undefined where all images are of one class or all are
        predicted as one: 0/0); ``quadratic_kappa`` (-1–1, over class ranks, undefined where all
        images are of one class: it would be 0 whatever the predictions).

    Source: MCC for K classes: Gorodkin, Computational Biology and Chemistry 28 (2004) 367.
    Quadratic kappa: Cohen, Psychological Bulletin 70 (1968) 213.
    """
    images = counts.actual.sum(axis=-1)
    hits = counts.correct.sum(axis=-1)
    covariance = hits * images - (counts.actual * counts.predicted).sum(axis=-1)
    actual_variance = images**2 - (counts.actual**2).sum(axis=-1)
    predicted_variance = images**2 - (counts.predicted**2).sum(axis=-1)
    rank = np.arange(counts.actual.shape[-1], dtype=np.float64)
    # The sum over all pairs of (i - j)² actual_i predicted_j, without an array of K × K pairs.
    by_chance = images * (counts.actual @ rank**2 + counts.predicted @ rank**2)
    by_chance -= 2 * (counts.actual @ rank) * (counts.predicted @ rank)
    return {
        "accuracy": hits / images,
        "balanced_accuracy": np.nanmean(counts.recall, axis=-1),
        "macro_f1": np.nanmean(counts.f1, axis=-1),
        "mcc": _ratio(covariance, np.sqrt(actual_variance * predicted_variance)),
        "quadratic_kappa": 1
        - _ratio(counts.disagreement * images, np.where(actual_variance > 0, by_chance, 0)),
    }


def _ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Divide without a warning; where the denominator is 0, the quotient is NaN."""
    quotient: FloatArray = np.full(np.shape(numerator), np.nan)
    np.divide(numerator, denominator, out=quotient, where=np.asarray(denominator) > 0)
    return quotient


def class_ranking(targets: IntArray, probabilities: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return how well each class is ranked above all others: AUROC and average precision.

    AUROC is the chance that an image of the class has a larger probability of it than an image of
    the others has, where a tie counts half. Average precision is the mean, over the images of the
    class, of the precision if all that are at least as probable were predicted so.

    Args:
        targets: (N,) class indices.
        probabilities: (N, K).

    Returns:
        (K,) AUROC, from 0 to 1, where 0.5 is chance; and (K,) average precision, from 0 to 1, where
        chance is the class's fraction of the images. Both are NaN for a class without an image, and
        for a class to which all images belong.

    Source: Hanley and McNeil, Radiology 143 (1982) 29: the area under the curve is this chance.
    """
    images, num_classes = probabilities.shape
    auroc, precision = np.full(num_classes, np.nan), np.full(num_classes, np.nan)
    by_class = np.argsort(targets, kind="stable")
    ends = np.cumsum(np.bincount(targets, minlength=num_classes))
    at_once = max(1, _VALUES_AT_ONCE // images)
    for first in range(0, num_classes, at_once):
        scores = np.sort(np.ascontiguousarray(probabilities[:, first : first + at_once].T), axis=1)
        for index, ranked in enumerate(scores, start=first):
            members = by_class[ends[index - 1] if index else 0 : ends[index]]
            others = images - len(members)
            if len(members) and others:
                own = np.sort(probabilities[members, index])
                lower, not_higher = (np.searchsorted(ranked, own, side) for side in _SIDES)
                own_lower, own_not_higher = (np.searchsorted(own, own, side) for side in _SIDES)
                won = (lower - own_lower) + (not_higher - own_not_higher)
                auroc[index] = won.mean() / (2 * others)
                precision[index] = ((len(own) - own_lower) / (images - lower)).mean()
    return auroc, precision


_SIDES: tuple[Literal["left"], Literal["right"]] = ("left", "right")
_VALUES_AT_ONCE = 2**22  # 32 MiB in float64


def combine_classes(per_class: FloatArray) -> float:
    """Combine the values of all classes into one number.

    Args:
        per_class: (K,) values of each class against all others, NaN where undefined.

    Returns:
        With two classes, the value of the second, which is the positive class by scikit-learn's
        convention. With more, the mean over the classes whose value is defined. NaN if there is
        none.
    """
    if len(per_class) == 2:
        return float(per_class[1])
    defined = per_class[np.isfinite(per_class)]
    return float(defined.mean()) if len(defined) else float("nan")


def log_loss(targets: IntArray, probabilities: FloatArray) -> float:
    """Return the mean of -log(probability of the true class), in nats.

    scikit-learn raises probabilities to at least 2.2e-16, the epsilon of float64: an image whose
    true class has probability 0 contributes 36.04 nats and not infinity.

    Args:
        targets: (N,) class indices.
        probabilities: (N, K).
    """
    from scipy.special import xlogy  # type: ignore[import-untyped]

    # scikit-learn's own log_loss makes several matrices (N, K); only these N values count.
    # Rows of float32 do not sum to 1 exactly.
    true = probabilities[np.arange(len(targets)), targets] / probabilities.sum(axis=1)
    epsilon = np.finfo(true.dtype).eps
    return float(np.average(-xlogy(1, np.clip(true, epsilon, 1 - epsilon))))


def expected_calibration_error(
    targets: IntArray, probabilities: FloatArray, bins: int = 15
) -> float:
    """Return the mean difference between confidence and accuracy: 0 (calibrated) to 1.

    The confidence of an image is the probability of its predicted class. Images are sorted by
    confidence into bins (low, high] of equal width. The difference between mean confidence and
    accuracy of each bin is averaged, weighted by the bin's number of images.

    Args:
        targets: (N,) class indices.
        probabilities: (N, K).
        bins: Number of bins.

    Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017, equation 3 (M = 15).
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == targets
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    gaps = np.bincount(place, weights=confidence - right, minlength=bins)
    return float(np.abs(gaps).sum() / len(targets))


def validation_metrics(
    targets: IntArray, probabilities: FloatArray, *, ordered: bool = False
) -> dict[str, float]:
    """Compute the metrics of each epoch: ``accuracy``, ``balanced_accuracy``, ``macro_f1``.

    Args:
        targets: (N,) class indices.
        probabilities: (N, K), rows sum to 1.
        ordered: Whether the classes are grades, which have a ``quadratic_kappa`` too.

    Returns:
        Fractions (0–1) by name, which are defined if there is at least one image; and, from -1 to
        1, the kappa of grades, unless all images are of one class, where it is undefined.

    Raises:
        CnncliError: If there is no image, or a probability is NaN or infinite.
    """
    check_inputs(targets, probabilities)
    matrix = confusion_matrix(targets, probabilities.argmax(axis=1), probabilities.shape[1])
    values = count_metrics(Counts.of(matrix))
    names = ["accuracy", "balanced_accuracy", "macro_f1"]
    if ordered and np.isfinite(values["quadratic_kappa"]):
        names.append("quadratic_kappa")
    return {name: float(values[name]) for name in names}
