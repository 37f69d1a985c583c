"""Metrics as pure functions of arrays: N images, K classes, accuracies as fractions (0–1).

``targets`` is (N,) with class indices 0 to K - 1; ``probabilities`` is (N, K) with rows that sum
to 1; the predicted class is the one with the largest probability, the first one on a tie. A metric
that is undefined for the given images is NaN here and never 0; ``report`` turns it into None.

They are written out here and not taken from scikit-learn: a value and its interval must follow the
same formula, and for 5,000 classes some take a minute there. The tests compare all with
scikit-learn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cnncli.errors import RUNTIME_FAILURE, CnncliError

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

# The rows of a softmax sum to 1 with an error of about 1e-7 in float32 and up to 1e-2 in bfloat16;
# logits miss it by far more.
SUM_TOLERANCE = 0.02
# As many as in the paper that `expected_calibration_error` names.
ECE_BINS = 15


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

    Attributes:
        correct: (K,) images of each class that were predicted correctly: the diagonal.
        actual: (K,) images of each class: the sums of the rows.
        predicted: (K,) images predicted as each class: the sums of the columns.
        steps: Sum over all images of abs(true index - predicted index).
        squared_steps: Sum over all images of (true index - predicted index) squared.
    """

    correct: FloatArray
    actual: FloatArray
    predicted: FloatArray
    steps: float
    squared_steps: float

    @classmethod
    def of(cls, matrix: IntArray) -> Counts:
        """Return the counts of a confusion matrix (K, K)."""
        rows, columns = np.nonzero(matrix)
        images, steps = matrix[rows, columns], np.abs(rows - columns)
        return cls(
            correct=np.diagonal(matrix).astype(np.float64),
            actual=matrix.sum(axis=1).astype(np.float64),
            predicted=matrix.sum(axis=0).astype(np.float64),
            steps=float((steps * images).sum()),
            squared_steps=float((steps**2 * images).sum()),
        )

    @property
    def precision(self) -> FloatArray:
        """(K,) correct / predicted; NaN for a class never predicted."""
        return _ratio(self.correct, self.predicted)

    @property
    def recall(self) -> FloatArray:
        """(K,) correct / actual; NaN for a class without an image."""
        return _ratio(self.correct, self.actual)

    @property
    def specificity(self) -> FloatArray:
        """(K,) share of the other classes' images not predicted as this one; NaN without any."""
        others = self.actual.sum() - self.actual
        return _ratio(others - (self.predicted - self.correct), others)

    @property
    def f1(self) -> FloatArray:
        """(K,) 2 correct / (actual + predicted); NaN for a class without an image.

        Written so, it is the harmonic mean of precision and recall and still defined, as 0, for
        a class that has images and is never predicted.
        """
        both = np.where(self.actual > 0, self.actual + self.predicted, 0)
        return _ratio(2 * self.correct, both)


def count_metrics(counts: Counts) -> dict[str, float]:
    """Compute all metrics that depend on the confusion matrix alone.

    Averages over classes are over the classes that have images, each with the same weight. An
    image that is predicted as a class without images lowers the recall of its true class; the
    class without images has no term in the average.

    Returns:
        Numbers by name, NaN where undefined: ``accuracy``, ``balanced_accuracy`` and ``macro_f1``
        (0–1); ``mcc`` (-1–1, undefined where all images are of one class or all are predicted as
        one: 0/0); ``kappa`` (Cohen's, in which every error counts the same), ``linear_kappa`` and
        ``quadratic_kappa`` (-1–1, over class ranks, undefined where all images are of one class:
        they would be 0 whatever the predictions).

    Source: MCC for K classes: Gorodkin, Computational Biology and Chemistry 28 (2004) 367.
    Kappa: Cohen, Psychological Bulletin 70 (1968) 213.
    """
    images = counts.actual.sum()
    hits = counts.correct.sum()
    by_chance = counts.actual @ counts.predicted
    actual_variance = images**2 - counts.actual @ counts.actual
    predicted_variance = images**2 - counts.predicted @ counts.predicted
    values = {
        "accuracy": hits / images,
        "balanced_accuracy": np.nanmean(counts.recall),
        "macro_f1": np.nanmean(counts.f1),
        "mcc": _ratio(hits * images - by_chance, np.sqrt(actual_variance * predicted_variance)),
    }
    disagreements = {
        "kappa": (images - hits, images**2 - by_chance),
        "linear_kappa": (counts.steps, counts.actual @ expect_steps(counts.predicted)),
        "quadratic_kappa": (
            counts.squared_steps,
            counts.actual @ expect_squared_steps(counts.predicted),
        ),
    }
    for name, (seen, chance) in disagreements.items():
        values[name] = 1 - _ratio(seen * images, np.where(actual_variance > 0, chance, 0))
    return {name: float(value) for name, value in values.items()}


def expect_steps(images: FloatArray) -> FloatArray:
    """Return (K,) the sum of abs(k - l) over images (K,) of each class l, for each class k.

    It takes no array of K × K pairs.
    """
    rank = np.arange(len(images), dtype=np.float64)
    below, ranks_below = np.cumsum(images), np.cumsum(images * rank)
    return np.asarray(rank * (2 * below - below[-1]) + ranks_below[-1] - 2 * ranks_below)


def expect_squared_steps(images: FloatArray) -> FloatArray:
    """Return (K,) the sum of (k - l)² over images (K,) of each class l, for each class k."""
    rank = np.arange(len(images), dtype=np.float64)
    return np.asarray(rank**2 * images.sum() - 2 * rank * (images @ rank) + images @ rank**2)


def _ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Divide without a warning; where the denominator is 0, the quotient is NaN."""
    quotient: FloatArray = np.full(np.shape(numerator), np.nan)
    np.divide(numerator, denominator, out=quotient, where=np.asarray(denominator) > 0)
    return quotient


def log_losses(targets: IntArray, probabilities: FloatArray) -> FloatArray:
    """Return (N,) -log(probability of the true class) of each image, in nats.

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
    losses: FloatArray = -xlogy(1, np.clip(true, epsilon, 1 - epsilon))
    return losses


def log_loss(targets: IntArray, probabilities: FloatArray) -> float:
    """Return the mean of `log_losses`, in nats."""
    return float(np.average(log_losses(targets, probabilities)))


def brier_scores(targets: IntArray, probabilities: FloatArray) -> FloatArray:
    """Return (N,) the Brier score of each image: 0 is certain and right.

    Args:
        targets: (N,) class indices.
        probabilities: (N, K).

    Returns:
        The sum over the classes of (probability - 1 or 0) squared, from 0 to 2. With two classes
        that of the second class alone, half as much, from 0 to 1, as is usual and as scikit-learn
        has it.

    Source: Brier, Monthly Weather Review 78 (1950) 1.
    """
    true = probabilities[np.arange(len(targets)), targets].astype(np.float64)
    squares = np.einsum("nk,nk->n", probabilities, probabilities, dtype=np.float64)
    scores: FloatArray = np.maximum(squares - 2 * true + 1, 0)
    return scores / 2 if probabilities.shape[1] == 2 else scores


def expected_calibration_error(
    targets: IntArray, probabilities: FloatArray, bins: int = ECE_BINS
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
    place, gaps = calibration_gaps(targets, probabilities, bins)
    sums = np.bincount(place, weights=gaps, minlength=bins)
    return float(np.abs(sums).sum() / len(targets))


def calibration_gaps(
    targets: IntArray, probabilities: FloatArray, bins: int = ECE_BINS
) -> tuple[IntArray, FloatArray]:
    """Return (N,) the bin of each image, from 0, and (N,) its confidence less 1 if it is right."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == targets
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    return place, (confidence - right).astype(np.float64)


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
