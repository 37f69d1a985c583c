"""The figures of each class with their intervals, and the means of these over the classes."""

from __future__ import annotations

import math

import numpy as np

from cnncli.evaluation.intervals import (
    Estimate,
    Units,
    bound_fraction,
    bound_proportion,
    combine_estimates,
    wilson,
)
from cnncli.evaluation.metrics import Counts, FloatArray, IntArray
from cnncli.evaluation.ranking import rank_classes

# In the order of the report.
CLASS_FIGURES = ("precision", "recall", "specificity", "f1", "auroc", "average_precision")
_UNDEFINED = Estimate(math.nan)


class ClassFigures:
    """The figures of K classes, of N images.

    Attributes:
        found: For each name in `CLASS_FIGURES`, the K classes' estimates.
        units_with: (K,) number of units, images or groups, that have an image of the class.
    """

    def __init__(
        self, targets: IntArray, predictions: IntArray, counts: Counts, units: Units
    ) -> None:
        images, num_classes = len(targets), len(counts.actual)
        self._targets, self._counts, self._units = targets, counts, units
        self._predictions = predictions
        self._of_class = _members(targets, num_classes)
        self.found = {name: [_UNDEFINED] * num_classes for name in CLASS_FIGURES}
        self.units_with = [units.count(own) for own in self._of_class]
        # Of the mean over the classes: the influence of each image, and the sum of squares if the
        # classes were independent of each other.
        self._influences = {name: np.zeros(images) for name in CLASS_FIGURES}
        self._apart = dict.fromkeys(CLASS_FIGURES, 0.0)
        self._bound_answers(num_classes)

    def average(self, name: str, value: float | None = None) -> Estimate:
        """Return the mean of a figure over the classes that have images.

        Args:
            name: Of the figure, one of recall, f1, auroc and average_precision.
            value: The mean, where it is known; None computes it.
        """
        defined = [one for one in self.found[name] if math.isfinite(one.value)]
        if not defined:
            return _UNDEFINED
        if value is None:
            value = float(np.mean([one.value for one in defined]))
        sums = self._units.sum(self._influences[name])
        return combine_estimates(defined, value, float(sums @ sums), self._apart[name])

    def _bound_answers(self, num_classes: int) -> None:
        """Bound what depends on the predicted classes alone."""
        called = _members(self._predictions, num_classes)
        for index, (own, predicted) in enumerate(zip(self._of_class, called, strict=True)):
            is_right = self._targets[predicted] == index
            self.found["precision"][index] = bound_proportion(is_right, self._units, predicted)
            self.found["specificity"][index] = self._bound_specificity(index)
            if len(own):
                self._bound_recall(index, own)
                self._bound_f1(index, np.union1d(own, predicted))

    def _bound_specificity(self, index: int) -> Estimate:
        others = int(self._counts.actual.sum() - self._counts.actual[index])
        if self._units.groups is None or not others:
            return wilson(float(self._counts.specificity[index]), others)
        images = np.flatnonzero(self._targets != index)
        return bound_proportion(self._predictions[images] != index, self._units, images)

    def _bound_recall(self, index: int, own: IntArray) -> None:
        is_found = self._predictions[own] == index
        self.found["recall"][index] = bound_proportion(is_found, self._units, own)
        self._add("recall", (is_found - is_found.mean()) / len(own), own)

    def _bound_f1(self, index: int, images: IntArray) -> None:
        """Bound F1 of a class, of the images that are of it or predicted so."""
        value = float(self._counts.f1[index])
        is_own, is_called = self._targets[images] == index, self._predictions[images] == index
        influence = 2.0 * (is_own & is_called) - value * (is_own * 1.0 + is_called)
        influence /= self._counts.actual[index] + self._counts.predicted[index]
        self.found["f1"][index] = bound_fraction(value, self._units.spread(influence, images))
        self._add("f1", influence, images)

    def bound_ranking(self, probabilities: FloatArray) -> None:
        """Bound what depends on the order of the images by the probability of a class.

        It is no better known than the side with fewer units lets it be. The jackknife's factor
        n / (n - 1) on each side takes into account that the figure was fitted to the same images.
        """
        units_without = self._count_units_without()
        for ranking in rank_classes(self._targets, probabilities):
            index = ranking.index
            sides = self.units_with[index], units_without[index]
            factors = (max(side, 2) / (max(side, 2) - 1) for side in sides)
            factor = np.where(self._targets == index, *factors)
            for name, value, influence in (
                ("auroc", ranking.auroc, ranking.auroc_influence),
                ("average_precision", ranking.average_precision, ranking.precision_influence),
            ):
                spread = self._units.spread(influence * factor, units=min(sides))
                self.found[name][index] = bound_fraction(value, spread)
                self._add(name, influence)

    def _count_units_without(self) -> list[int]:
        """Return (K,) number of units that have an image of another class."""
        groups = self._units.groups
        if groups is None:
            return [len(self._targets) - own for own in self.units_with]
        first = np.zeros(int(groups.max()) + 1, np.int64)
        first[groups] = self._targets
        is_mixed = np.zeros(len(first), bool)
        is_mixed[groups[self._targets != first[groups]]] = True
        pure = np.bincount(first[~is_mixed], minlength=len(self.units_with))
        return [len(first) - int(count) for count in pure]

    def _add(self, name: str, influence: FloatArray, images: IntArray | None = None) -> None:
        sums = self._units.sum(influence, images)
        self._apart[name] += float(sums @ sums)
        self._influences[name][slice(None) if images is None else images] += influence


def _members(classes: IntArray, num_classes: int) -> list[IntArray]:
    """Return for each class the numbers of the images that have it."""
    order = np.argsort(classes, kind="stable")
    return np.split(order, np.cumsum(np.bincount(classes, minlength=num_classes))[:-1])
