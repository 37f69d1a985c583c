"""How often the bands of curves hold the truth, on made-up images; and how often bootstrap's do.

The scores of both kinds of images are normal with deviation 1, so that the true curves are known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from cnncli.evaluation.curve_bands import band_curves
from cnncli.evaluation.intervals import Units

ALARMS = np.array([0.05, 0.1, 0.3, 0.6])
RECALLS = np.array([0.2, 0.5, 0.8, 0.95])
PLACES = {"ROC": ALARMS, "precision and recall": RECALLS}


@dataclass(frozen=True)
class Scenario:
    """What a sample is drawn from.

    Attributes:
        name: What the table calls it.
        count: Number of images, or of groups of 1 to 5 images with one class.
        share: Share of positive ones.
        skill: Mean score of positive images; that of negative ones is 0.
        is_grouped: Whether ``count`` is of groups, which have half the variance of the scores.
    """

    name: str
    count: int
    share: float
    skill: float
    is_grouped: bool = False

    def draw(self, rng):
        """Return which images are positive (N,), their scores, and their groups or None."""
        positive = np.zeros(self.count, bool)
        while not 0 < positive.sum() < self.count:
            positive = rng.random(self.count) < self.share
        if not self.is_grouped:
            return positive, self.skill * positive + rng.normal(size=self.count), None
        groups = np.repeat(np.arange(self.count), rng.integers(1, 6, self.count))
        noise = rng.normal(size=self.count)[groups] + rng.normal(size=len(groups))
        return positive[groups], self.skill * positive[groups] + noise / np.sqrt(2), groups

    def truths(self):
        """Return the sensitivity at each of `ALARMS`, and the precision at each of `RECALLS`."""
        found = norm.sf(norm.isf(ALARMS) - self.skill)
        false = norm.sf(norm.isf(RECALLS) + self.skill)
        hits, alarms = RECALLS * self.share, (1 - self.share) * false
        return found, hits / (hits + alarms)


SCENARIOS = (
    Scenario("60 images, half positive, AUROC 0.86", 60, 0.5, 1.5),
    Scenario("60 images, 30 % positive, AUROC 0.98", 60, 0.3, 3.0),
    Scenario("200 images, 10 % positive, AUROC 0.96", 200, 0.1, 2.5),
    Scenario("1,000 images, 30 % positive, AUROC 0.86", 1000, 0.3, 1.5),
    Scenario("60 groups of 1–5 images, 40 % positive, AUROC 0.86", 60, 0.4, 1.5, is_grouped=True),
    Scenario("300 groups of 1–5, 20 % positive, AUROC 0.96", 300, 0.2, 2.5, is_grouped=True),
)


def ends_at(band, places):
    """Return the lower and upper ends of a band at places."""
    return np.interp(places, band.x, band.low), np.interp(places, band.x, band.high)


def measure_coverage(scenario, samples, *, resamples=0):
    """Return how often bands hold the truth at each place.

    Args:
        scenario: What the samples are drawn from.
        samples: Their number.
        resamples: Of percentile bootstrap, of whole groups; 0 for none.

    Returns:
        By ``ROC`` and ``precision and recall``: the shares (4,) of the bands, of bootstrap, of the
        bands with each image as independent, and the bands' mean widths (4,).
    """
    rng = np.random.default_rng(0)
    held = {name: np.zeros((4, len(ALARMS))) for name in PLACES}
    for _ in range(samples):
        is_it, scores, groups = scenario.draw(rng)
        grouped, careless = (band_curves(is_it, scores, Units(one)) for one in (groups, None))
        resampled = bootstrap(is_it, scores, groups, resamples, rng) if resamples else None
        for kind, (name, truth) in enumerate(zip(PLACES, scenario.truths(), strict=True)):
            low, high = ends_at(grouped[kind], PLACES[name])
            found = [(low, high), (high, low), ends_at(careless[kind], PLACES[name])]
            if resampled is not None:
                found[1] = np.quantile(resampled[kind], (0.025, 0.975), axis=0)
            held[name][:3] += [(low <= truth) & (truth <= high) for low, high in found]
            held[name][3] += high - low
    return {name: counts / samples for name, counts in held.items()}


def bootstrap(is_it, scores, groups, resamples, rng):
    """Return both curves at their places, in each of some resamples of images or groups."""
    units = np.arange(len(is_it)) if groups is None else groups
    order = np.argsort(-scores)
    is_it, units = is_it[order], units[order]
    count = units.max() + 1
    curves = [], []
    for _ in range(resamples):
        weights = np.bincount(rng.integers(0, count, count), minlength=count)[units]
        positive, negative = (weights * is_it).sum(), (weights * ~is_it).sum()
        if not positive or not negative:
            continue
        found = np.append(0, np.cumsum(weights * is_it) / positive)
        false = np.append(0, np.cumsum(weights * ~is_it) / negative)
        curves[0].append(found[np.searchsorted(false, ALARMS, "right") - 1])
        at = np.minimum(np.searchsorted(found, RECALLS - 1e-12), len(found) - 1)
        hits, alarms = found[at] * positive, false[at] * negative
        curves[1].append(hits / (hits + alarms))
    return curves
