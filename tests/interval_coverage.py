"""How often the intervals of figures hold the truth, on made-up images in groups.

A classifier's logits are those of the true class, plus an effect of the group, plus noise of the
image. The truth is the figure of a very large sample of such groups.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cnncli.evaluation.class_figures import CLASS_FIGURES
from cnncli.evaluation.figures import Figures, compute_figures

AGREEMENT = ("kappa", "linear_kappa", "quadratic_kappa")
_LARGE, _LARGE_TIMES = 30_000, 8  # groups of a sample whose figures are the truth


@dataclass(frozen=True)
class Scenario:
    """What a sample is drawn from.

    Attributes:
        name: What the table calls it.
        groups: Number of groups in a sample.
        sizes: Fewest and most images of a group.
        shares: The classes' shares of the groups, or of the images.
        skill: How far the logit of the true class stands out.
        of_group: Whether the class is the group's, as a diagnosis is a patient's; otherwise each
            image has one of its own.
        grades: Whether the classes are grades, where near ones are confused.
        is_grouped: Whether groups have an effect at all.
    """

    name: str
    groups: int
    sizes: tuple[int, int]
    shares: tuple[float, ...]
    skill: float = 2.2
    of_group: bool = True
    grades: bool = False
    is_grouped: bool = True

    def draw(self, groups: int, rng: np.random.Generator):
        """Return targets (N,), probabilities (N, K) and group numbers (N,) of a new sample."""
        group = np.repeat(np.arange(groups), rng.integers(self.sizes[0], self.sizes[1] + 1, groups))
        images, classes = len(group), len(self.shares)
        drawn = rng.choice(classes, groups if self.of_group else images, p=self.shares)
        targets = drawn[group] if self.of_group else drawn
        if self.grades:
            seen = targets + 0.5 * rng.normal(size=groups)[group] + 0.4 * rng.normal(size=images)
            logits = -((seen[:, None] - np.arange(classes)) ** 2) / 0.7
        else:
            logits = self.skill * np.eye(classes)[targets] + rng.normal(size=(images, classes))
            if self.is_grouped:
                logits += rng.normal(size=(groups, classes))[group]
            logits /= 0.7
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return targets, powers / powers.sum(axis=1, keepdims=True), group


EQUAL, GRADES = (0.25,) * 4, (0.45, 0.2, 0.15, 0.1, 0.1)
SCENARIOS = (
    Scenario("4 classes, 60 patients of 2–6 images", 60, (2, 6), EQUAL),
    Scenario("2 classes 30:70, 100 patients of 1–5", 100, (1, 5), (0.3, 0.7), skill=2),
    Scenario(
        "5 grades, 150 patients with 2 eyes", 150, (2, 2), GRADES, of_group=False, grades=True
    ),
    Scenario("3 classes, 96 % right, 60 patients of 4", 60, (4, 4), (0.4, 0.3, 0.3), skill=4),
    Scenario(
        "4 unequal classes, 300 images alone",
        300,
        (1, 1),
        (0.4, 0.3, 0.2, 0.1),
        is_grouped=False,
    ),
    Scenario(
        "20 classes, 95 % right, 400 images alone",
        400,
        (1, 1),
        (0.05,) * 20,
        skill=3.7,
        is_grouped=False,
    ),
)


def _name_estimates(figures: Figures) -> Iterator[tuple[str, object]]:
    yield from figures.whole.items()
    for name in CLASS_FIGURES:
        for index, estimate in enumerate(figures.per_class[name]):
            yield f"{name} of class {index}", estimate


def measure_coverage(scenario: Scenario, samples: int, seed: int = 0):
    """Return how often intervals hold the truth, in percent, by the figures' names.

    Args:
        scenario: What samples are drawn from.
        samples: Number of samples.
        seed: Seed of the random numbers.

    Returns:
        For each figure: the truth, the share for intervals that draw groups, and the share for
        intervals that take every image as independent.
    """
    rng = np.random.default_rng(seed)
    found: dict[str, list[float]] = {}
    for _ in range(_LARGE_TIMES):
        targets, probabilities, _ = scenario.draw(_LARGE, rng)
        for name, estimate in _name_estimates(compute_figures(targets, probabilities)):
            found.setdefault(name, []).append(estimate.value)
    truth = {name: float(np.mean(values)) for name, values in found.items()}
    held: dict[str, list[tuple[bool, bool]]] = {name: [] for name in truth}
    for _ in range(samples):
        targets, probabilities, groups = scenario.draw(scenario.groups, rng)
        if not scenario.is_grouped:
            groups = None
        by_group = dict(_name_estimates(compute_figures(targets, probabilities, groups)))
        by_image = dict(_name_estimates(compute_figures(targets, probabilities)))
        for name, value in truth.items():
            both = by_group[name], by_image[name]
            if np.isfinite(both[0].low):
                held[name].append(tuple(one.low <= value <= one.high for one in both))
    return {
        name: (truth[name], *(100 * np.mean(pairs, axis=0)).tolist())
        for name, pairs in held.items()
        if scenario.grades or name not in ("linear_kappa", "quadratic_kappa")
    }
