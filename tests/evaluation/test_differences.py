"""Paired differences: against scikit-learn, scipy's bootstrap, a written loop, and known truths."""

import numpy as np
import pytest
from scipy.stats import bootstrap, norm, t
from sklearn import metrics as reference

from cnncli.evaluation.differences import Judged, _find_tail, paired_differences

FIGURES = {
    "accuracy": lambda t, p: reference.accuracy_score(t, p.argmax(1)),
    "balanced_accuracy": lambda t, p: reference.balanced_accuracy_score(t, p.argmax(1)),
    "macro_f1": lambda t, p: reference.f1_score(t, p.argmax(1), average="macro"),
    "mcc": lambda t, p: reference.matthews_corrcoef(t, p.argmax(1)),
    "quadratic_kappa": lambda t, p: reference.cohen_kappa_score(
        t, p.argmax(1), weights="quadratic"
    ),
    "auroc": lambda t, p: (
        reference.roc_auc_score(t, p[:, 1])
        if p.shape[1] == 2
        else reference.roc_auc_score(t, p, multi_class="ovr")
    ),
}


def judge(targets, num_classes, skill, generator):
    """Return probabilities with ties, the better the larger the skill."""
    logits = generator.normal(size=(len(targets), num_classes))
    logits += skill * np.eye(num_classes)[targets]
    probabilities = np.exp(logits).round(1) + 0.05
    return probabilities / probabilities.sum(axis=1, keepdims=True)


def compare(targets, first, second, **options):
    sides = [Judged(side.argmax(axis=1), side) for side in (first, second)]
    classes = first.shape[1]
    return paired_differences(targets, *sides, num_classes=classes, ordered=True, **options)


def draw_sides(num_classes):
    """Return targets and the probabilities of two classifiers for the same images."""
    generator = np.random.default_rng(0)
    targets = generator.integers(0, num_classes, 200)
    return targets, *(judge(targets, num_classes, skill, generator) for skill in (1.6, 1.0))


def subtract(targets, first, second, chosen):
    true = targets[chosen]
    return [f(true, first[chosen]) - f(true, second[chosen]) for f in FIGURES.values()]


@pytest.mark.parametrize("num_classes", [2, 3])
def test_differences_are_those_of_scikit_learns_figures(num_classes):
    sides = draw_sides(num_classes)
    found = compare(*sides, resamples=100)
    assert list(found) == list(FIGURES)
    for difference, value in zip(found.values(), subtract(*sides, slice(None)), strict=True):
        assert difference.value == pytest.approx(value, abs=1e-12)
        assert difference.low < value < difference.high


@pytest.mark.slow
@pytest.mark.parametrize("num_classes", [2, 3])
def test_intervals_are_those_of_scipys_paired_bootstrap(num_classes):
    sides = draw_sides(num_classes)
    independent = bootstrap(
        (np.arange(200),),
        lambda chosen: subtract(*sides, chosen),
        vectorized=False,
        n_resamples=1000,
        method="percentile",
        random_state=1,
    ).confidence_interval
    found = compare(*sides, resamples=5000)
    for index, (name, difference) in enumerate(found.items()):
        width = difference.high - difference.low
        assert difference.low == pytest.approx(independent.low[index], abs=0.08 * width), name
        assert difference.high == pytest.approx(independent.high[index], abs=0.08 * width), name


def test_groups_are_drawn_whole():
    """Against a loop that draws groups and looks up their images."""
    generator = np.random.default_rng(0)
    units = np.repeat(np.arange(40), generator.integers(1, 8, 40)) * 3 + 5
    targets = generator.integers(0, 3, len(units))
    hard = np.repeat(generator.normal(size=(125, 1)), 1, axis=1)[units]
    first, second = (judge(targets, 3, 1.0 + hard[:, 0:1] * sign, generator) for sign in (1, -1))
    found = compare(targets, first, second, units=units, resamples=3000)
    members = [np.flatnonzero(units == unit) for unit in np.unique(units)]
    drawn = []
    for _ in range(3000):
        chosen = np.concatenate([members[g] for g in generator.integers(0, 40, 40)])
        right = [side[chosen].argmax(axis=1) == targets[chosen] for side in (first, second)]
        drawn.append(right[0].mean() - right[1].mean())
    # A little outside of 2.5 and 97.5 %: t of 39 degrees of freedom, times sqrt(40 / 39).
    tail = norm.cdf(-t.ppf(0.975, 39) * np.sqrt(40 / 39))
    low, high = np.quantile(drawn, [tail, 1 - tail])
    assert found["accuracy"].low == pytest.approx(low, abs=0.08 * (high - low))
    assert found["accuracy"].high == pytest.approx(high, abs=0.08 * (high - low))
    apart = compare(targets, first, second, resamples=1000)["accuracy"]
    assert apart.high - apart.low < 0.8 * (high - low)


@pytest.mark.parametrize("count", [2, 6, 20, 100, 10_000])
def test_few_units_get_a_wider_interval(count):
    expected = norm.cdf(-t.ppf(0.975, count - 1) * np.sqrt(count / (count - 1)))
    assert _find_tail(count) == pytest.approx(expected, rel=0.05 if count > 2 else 1, abs=2e-4)


def test_a_class_that_is_missing_and_one_that_is_only_predicted():
    targets = np.array([0, 0, 2, 2, 2])
    sides = Judged(np.array([0, 0, 2, 2, 3]), None), Judged(np.array([0, 2, 2, 2, 3]), None)
    found = paired_differences(targets, *sides, num_classes=4)
    assert found["accuracy"].value == pytest.approx(1 / 5)
    assert found["balanced_accuracy"].value == pytest.approx((1 + 2 / 3) / 2 - (1 / 2 + 2 / 3) / 2)
    assert "auroc" not in found
    assert "quadratic_kappa" not in found


def test_where_no_resample_moves_it_there_is_no_interval():
    targets = np.arange(30) % 2
    same = np.eye(2)[targets]
    for difference in compare(targets, same, same).values():
        assert difference.value == 0
        assert np.isnan([difference.low, difference.high]).all()
    one_group = compare(targets, same, same[::-1], units=np.zeros(30, int))["accuracy"]
    assert one_group.value == 1
    assert np.isnan(one_group.low)


def test_a_seed_fixes_the_interval_and_parts_keep_it(monkeypatch):
    generator = np.random.default_rng(0)
    targets = generator.integers(0, 2, 50)
    sides = [judge(targets, 2, skill, generator) for skill in (2, 1)]
    whole = compare(targets, *sides, resamples=200)
    monkeypatch.setattr("cnncli.evaluation.differences._AT_ONCE", 7 * 50)
    assert compare(targets, *sides, resamples=200) == whole
    assert compare(targets, *sides, resamples=200, seed=1) != whole
    monkeypatch.setattr("cnncli.evaluation.differences.MOST_RANKED", 99)
    without = compare(targets, *sides, resamples=200)
    assert without["accuracy"] == whole["accuracy"]
    assert without["auroc"].value == whole["auroc"].value
    assert np.isnan(without["auroc"].low)


def draw_clustered(groups, generator):
    """Draw images of groups of 1 to 7, whose images are hard or easy for a classifier together."""
    units = np.repeat(np.arange(groups), generator.integers(1, 8, groups))
    targets = generator.integers(0, 2, groups)[units]
    sides = []
    for skill in (1.6, 1.2):
        score = skill * (targets - 0.5) + generator.normal(size=groups)[units]
        chance = 1 / (1 + np.exp(-2 * (score + 0.6 * generator.normal(size=len(units)))))
        sides.append(np.stack([1 - chance, chance], axis=1))
    return units, targets, sides


@pytest.mark.slow
@pytest.mark.parametrize("groups", [50, 100])
def test_intervals_hold_the_true_difference_as_often_as_they_say(groups):
    """Nominal 95 %: seen at least 93 % with whole groups, and far less with single images."""
    generator = np.random.default_rng(groups)
    _, targets, sides = draw_clustered(100_000, generator)
    truth = {
        name: FIGURES[name](targets, sides[0]) - FIGURES[name](targets, sides[1])
        for name in ("accuracy", "balanced_accuracy", "macro_f1", "mcc", "auroc")
    }
    held = {(how, name): [] for how in ("group", "image") for name in truth}
    for seed in range(1500):
        units, targets, sides = draw_clustered(groups, generator)
        for how, drawn in (("group", units), ("image", None))[: 2 if seed < 300 else 1]:
            found = compare(targets, *sides, units=drawn, seed=seed, resamples=800)
            for name, value in truth.items():
                held[how, name].append(found[name].low <= value <= found[name].high)
    coverage = {key: float(np.mean(hits)) for key, hits in held.items()}
    print(coverage)
    for (how, _), share in coverage.items():
        assert share >= 0.93 if how == "group" else share < 0.9, coverage
