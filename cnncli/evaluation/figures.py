"""All figures of labelled images with their 95 % intervals: of the whole, and of each class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cnncli.evaluation.calibration_error import bound_calibration
from cnncli.evaluation.class_figures import ClassFigures
from cnncli.evaluation.influence import count_influences
from cnncli.evaluation.intervals import (
    Estimate,
    Units,
    bound_agreement,
    bound_mean,
    bound_proportion,
)
from cnncli.evaluation.metrics import (
    Counts,
    FloatArray,
    IntArray,
    brier_scores,
    calibration_gaps,
    confusion_matrix,
    count_metrics,
    expected_calibration_error,
    log_losses,
)


@dataclass(frozen=True)
class Figures:
    """The figures of N images of K classes.

    Attributes:
        matrix: (K, K) confusion matrix.
        counts: Its counts.
        whole: Figures of all images by name.
        per_class: For each name in ``CLASS_FIGURES``, the K classes' estimates.
        class_units: (K,) number of units, images or groups, that have an image of the class.
    """

    matrix: IntArray
    counts: Counts
    whole: dict[str, Estimate]
    per_class: dict[str, list[Estimate]]
    class_units: list[int]


def compute_figures(
    targets: IntArray,
    probabilities: FloatArray,
    groups: IntArray | None = None,
    predictions: IntArray | None = None,
) -> Figures:
    """Compute all figures with their intervals.

    Averages over classes are over the classes that have images. With two classes, ``auroc`` and
    ``average_precision`` are those of the second class, the positive one by scikit-learn's
    convention.

    Args:
        targets: (N,) class indices.
        probabilities: (N, K), rows sum to 1.
        groups: (N,) number of the group of each image, from 0 without a gap; None where images are
            independent.
        predictions: (N,) class indices that a threshold gave; None for the most probable classes.
    """
    images, num_classes = probabilities.shape
    units = Units(groups)
    if predictions is None:
        predictions = probabilities.argmax(axis=1)
    matrix = confusion_matrix(targets, predictions, num_classes)
    counts = Counts.of(matrix)
    classes = ClassFigures(targets, predictions, counts, units)
    classes.bound_ranking(probabilities)
    values = count_metrics(counts)
    influences = count_influences(counts, targets, predictions)
    whole = {"accuracy": bound_proportion(targets == predictions, units, np.arange(images))}
    whole["balanced_accuracy"] = classes.average("recall", values["balanced_accuracy"])
    whole["macro_f1"] = classes.average("f1", values["macro_f1"])
    for name in ("mcc", "kappa", "linear_kappa", "quadratic_kappa"):
        whole[name] = bound_agreement(values[name], units.spread(influences[name]))
    for name in ("auroc", "average_precision"):
        whole[name] = classes.found[name][1] if num_classes == 2 else classes.average(name)
    whole["log_loss"] = bound_mean(log_losses(targets, probabilities), units)
    most = 1.0 if num_classes == 2 else 2.0
    whole["brier"] = bound_mean(brier_scores(targets, probabilities), units, most=most)
    error = expected_calibration_error(targets, probabilities)
    whole["ece"] = bound_calibration(error, *calibration_gaps(targets, probabilities), units)
    return Figures(matrix, counts, whole, classes.found, classes.units_with)
