"""Which labels look wrong, by the probabilities of a network that never saw the images.

Source: Northcutt, Jiang and Chuang, Confident Learning: Estimating Uncertainty in Dataset Labels,
Journal of Artificial Intelligence Research 70 (2021).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cnncli.evaluation.metrics import FloatArray, IntArray, check_inputs

# Likelier than this by chance alone, and a network counts as no better than naming one class.
_LEVEL = 0.05
# Standard errors by which a class must have more of its own probability than the others have of it.
_ERRORS = 2.0


@dataclass(frozen=True)
class Suspects:
    """M images whose labels look wrong, the worst first.

    Attributes:
        indices: (M,) their numbers.
        proposed: (M,) the class that each seems to be of.
        margins: (M,) from -1 to below 0: the probability of the label, less the largest one of
            another class.
    """

    indices: IntArray
    proposed: IntArray
    margins: FloatArray


def mean_self_confidence(targets: IntArray, probabilities: FloatArray) -> FloatArray:
    """Return (K,) the mean probability of each class over the images with its label; NaN for none.

    Args:
        targets: (N,) labels as class numbers.
        probabilities: (N, K).
    """
    classes = probabilities.shape[1]
    counts = np.bincount(targets, minlength=classes)
    own = probabilities[np.arange(len(targets)), targets]
    sums = np.bincount(targets, weights=own, minlength=classes)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def count_wrong_labels(targets: IntArray, probabilities: FloatArray) -> float:
    """Return an estimate of the number of wrong labels, from the confident joint.

    A network is confident that an image is of a class if its probability for it is at least the
    mean over the images with that label. The confident joint counts, for each label, of which
    class these images confidently are: the likeliest, where there are several. Each of its rows is
    scaled to the number of images with the label, and what is off the diagonal is wrong.

    Args:
        targets: (N,) labels as class numbers.
        probabilities: (N, K), each row by a network that was not trained on the image.
    """
    classes = probabilities.shape[1]
    # As many digits as predictions.csv has: a class whose images all have one probability must
    # reach its own mean.
    confident = probabilities >= mean_self_confidence(targets, probabilities) - 1e-6
    sure = confident.any(axis=1)
    likeliest = np.where(confident, probabilities, -1.0).argmax(axis=1)
    joint = np.zeros((classes, classes))
    np.add.at(joint, (targets[sure], likeliest[sure]), 1)
    counts = np.bincount(targets, minlength=classes)
    wrong = joint.sum(axis=1) - joint.diagonal()
    return float((counts * wrong / np.maximum(joint.sum(axis=1), 1)).sum())


def find_suspects(targets: IntArray, probabilities: FloatArray) -> Suspects:
    """Find the labels that look wrong, by confident learning.

    They are as many as `count_wrong_labels` estimates, of those whose label is not the likeliest
    class: the ones with the smallest normalised margin.

    Args:
        targets: (N,) labels as class numbers.
        probabilities: (N, K), each row by a network that was not trained on the image.

    Returns:
        The suspects by ascending margin; of equal ones the first comes first.

    Raises:
        CnncliError: If there is no image, or a probability is not finite.
        ValueError: If the shapes do not fit.
    """
    check_inputs(targets, probabilities)
    rows = np.arange(len(targets))
    others = probabilities.copy()
    others[rows, targets] = -1.0
    others[:, np.bincount(targets, minlength=probabilities.shape[1]) == 0] = -1.0
    proposed = others.argmax(axis=1)
    margins = probabilities[rows, targets] - others[rows, proposed]
    found = np.flatnonzero(margins < 0)
    found = found[np.argsort(margins[found], kind="stable")]
    found = found[: round(count_wrong_labels(targets, probabilities))]
    return Suspects(found, proposed[found], margins[found])


def is_no_better_than_one_class(targets: IntArray, predictions: IntArray) -> bool:
    """Return whether chance explains that a network is right more often than one class for all.

    The test is the one-sided binomial test at 5 % against the share of the largest class.

    Args:
        targets: (N,) class numbers.
        predictions: (N,) class numbers.
    """
    from scipy.stats import binomtest  # type: ignore[import-untyped]

    largest = np.bincount(targets).max() / len(targets)
    hits = int((targets == predictions).sum())
    return bool(binomtest(hits, len(targets), largest, alternative="greater").pvalue > _LEVEL)


def find_unknown_classes(targets: IntArray, probabilities: FloatArray) -> IntArray:
    """Return the classes that a network does not tell from the others.

    Of such a class its own images have no more probability, in the mean, than all others have of
    it: by less than two standard errors of the difference. A class with a single image is one.

    Args:
        targets: (N,) class numbers.
        probabilities: (N, K).
    """
    unknown = []
    for target in np.unique(targets).tolist():
        own = probabilities[targets == target, target]
        rest = probabilities[targets != target, target]
        if len(own) < 2 or len(rest) < 2:
            unknown.append(target)
            continue
        error = np.sqrt(own.var(ddof=1) / len(own) + rest.var(ddof=1) / len(rest))
        if own.mean() - rest.mean() <= _ERRORS * error:
            unknown.append(target)
    return np.array(unknown, dtype=np.int64)
