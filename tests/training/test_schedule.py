"""Every schedule's table against torch's own scheduler."""

import io
from typing import get_args

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from cnncli.choices import SchedulerName
from cnncli.training.schedule import Plateau, build_schedule, ramp

RUNS = [(100, 15), (10, 0), (1, 0), (7, 6), (20, 3), (61, 1)]


def sgd():
    return torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)


def table_of(build, steps):
    """Return the lr that a torch scheduler sets at each step, from a peak of 1."""
    optimizer = sgd()
    schedule = build(optimizer)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return rates


def after_warmup(warmup, main):
    """Return LinearLR, then the schedule that ``main`` builds, one after the other."""

    def build(optimizer):
        if not warmup:
            return main(optimizer)
        rise = lr_scheduler.LinearLR(optimizer, 1 / (warmup + 1), 1.0, warmup)
        return lr_scheduler.SequentialLR(optimizer, [rise, main(optimizer)], [warmup])

    return build


def ours(name, steps, warmup, **options):
    schedule = build_schedule(name, steps=steps, warmup=warmup, **options)
    return [schedule(step) for step in range(steps)]


def close(expected):
    return pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(("steps", "warmup"), RUNS)
def test_cosine(steps, warmup):
    def main(optimizer):
        return lr_scheduler.CosineAnnealingLR(optimizer, steps - warmup, eta_min=0.01)

    assert ours("cosine", steps, warmup, floor=0.01) == close(
        table_of(after_warmup(warmup, main), steps)
    )


@pytest.mark.parametrize(("steps", "warmup"), RUNS)
def test_linear(steps, warmup):
    def main(optimizer):
        return lr_scheduler.LinearLR(optimizer, 1.0, 0.01, steps - warmup)

    assert ours("linear", steps, warmup, floor=0.01) == close(
        table_of(after_warmup(warmup, main), steps)
    )


@pytest.mark.parametrize("name", ["constant", "plateau"])
@pytest.mark.parametrize(("steps", "warmup"), RUNS)
def test_constant_and_the_steps_of_plateau(name, steps, warmup):
    def main(optimizer):
        return lr_scheduler.ConstantLR(optimizer, factor=1.0, total_iters=steps)

    assert ours(name, steps, warmup) == close(table_of(after_warmup(warmup, main), steps))


@pytest.mark.parametrize(("steps", "rise"), [(100, 30), (100, 2), (9, 8), (20, 7), (1000, 450)])
def test_onecycle(steps, rise):
    """torch counts its rise from step 0 to step ``pct_start * total_steps - 1``."""

    def main(optimizer):
        return lr_scheduler.OneCycleLR(
            optimizer, max_lr=1.0, total_steps=steps, pct_start=rise / steps, cycle_momentum=False
        )

    # One more step than torch's table has is an error there.
    optimizer = sgd()
    schedule, expected = main(optimizer), []
    for step in range(steps):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step < steps - 1:
            schedule.step()
    got = ours("onecycle", steps, rise)
    assert got == close(expected)
    assert got[rise - 1] == max(got) == 1
    assert got[-1] == pytest.approx(1 / 25 / 1e4)


def test_onecycle_without_a_rise_falls_from_the_first_step():
    for rise in (0, 1):
        rates = ours("onecycle", 10, rise)
        assert rates[0] == 1
        assert rates == sorted(rates, reverse=True)
    assert ours("onecycle", 1, 0) == [1]


@pytest.mark.parametrize("gamma", [0.1, 0.5])
@pytest.mark.parametrize(("steps", "size"), [(100, 30), (10, 1), (7, 9)])
def test_step_without_warmup(steps, size, gamma):
    def main(optimizer):
        return lr_scheduler.StepLR(optimizer, size, gamma)

    assert ours("step", steps, 0, step_size=size, gamma=gamma) == close(table_of(main, steps))


@pytest.mark.parametrize("milestones", [[50, 75], [75, 50], [20], [], [5, 50]])
def test_multistep_without_warmup(milestones):
    def main(optimizer):
        return lr_scheduler.MultiStepLR(optimizer, milestones, 0.2)

    got = ours("multistep", 100, 0, milestones=milestones, gamma=0.2)
    assert got == close(table_of(main, 100))


def test_drops_are_counted_from_the_runs_first_step():
    """With warm-up: torch's two schedules, each from step 0, multiplied (ChainedScheduler)."""

    def chained(main):
        def build(optimizer):
            rise = lr_scheduler.LinearLR(optimizer, 1 / 16, 1.0, 15)
            return lr_scheduler.ChainedScheduler([rise, main(optimizer)])

        return build

    def step(optimizer):
        return lr_scheduler.StepLR(optimizer, 30, 0.1)

    def multistep(optimizer):
        return lr_scheduler.MultiStepLR(optimizer, [10, 60], 0.1)

    assert ours("step", 100, 15, step_size=30) == close(table_of(chained(step), 100))
    got = ours("multistep", 100, 15, milestones=[10, 60])
    assert got == close(table_of(chained(multistep), 100))

    # One after the other, as torchvision's scripts do it, counts from the warm-up's end.
    def later(optimizer):
        return lr_scheduler.MultiStepLR(optimizer, [60 - 15], 0.1)

    got = ours("multistep", 100, 15, milestones=[60])
    assert got == close(table_of(after_warmup(15, later), 100))


def test_open_settings_follow_the_runs_length():
    assert ours("step", 90, 0) == ours("step", 90, 0, step_size=30)
    assert ours("multistep", 80, 0) == ours("multistep", 80, 0, milestones=[40, 60])


@pytest.mark.parametrize("name", get_args(SchedulerName))
@pytest.mark.parametrize(("steps", "warmup"), [(1, 0), (2, 1), (3, 0), (50, 7)])
def test_every_factor_is_above_0_and_at_most_1(name, steps, warmup):
    schedule = build_schedule(name, steps=steps, warmup=warmup)
    rates = [schedule(step) for step in range(2 * steps)]  # a step too many is no error
    assert all(0 < rate <= 1 for rate in rates)
    if name != "onecycle" and steps == 50:
        assert rates[: warmup + 1] == [ramp(step, warmup) for step in range(warmup + 1)]


VALUES = [5, 4, 4.5, 4.2, 4.0, 3.9995, 3.9, 6, 6, 6, 6, 6, 6, float("nan"), 6, 3, 3, 3, 3, 3, 3, 3]


@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("patience", [1, 2, 4])
@pytest.mark.parametrize("min_delta", [0.0, 0.001])
def test_plateau(lower, patience, min_delta):
    """torch's ``patience`` is what it bears, ours that after which it drops: one epoch more."""
    optimizer = sgd()
    theirs = lr_scheduler.ReduceLROnPlateau(
        optimizer,
        mode="min" if lower else "max",
        factor=0.3,
        patience=patience - 1,
        threshold=min_delta,
        threshold_mode="abs",
        min_lr=0.02,
    )
    options = {"gamma": 0.3, "patience": patience, "min_delta": min_delta, "floor": 0.02}
    plateau = Plateau(lower_is_better=lower, **options)
    dropped = 0
    for value in VALUES:
        value = value if lower else -value
        before = plateau.factor
        theirs.step(value)
        assert plateau.update(value) == (plateau.factor < before)
        dropped += plateau.factor < before
        assert plateau.factor == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)

        file = io.BytesIO()  # and every epoch is left and entered through a file
        torch.save(plateau.state_dict(), file)
        file.seek(0)
        plateau = Plateau(lower_is_better=lower, **options)
        plateau.load_state_dict(torch.load(file, weights_only=True))
    assert dropped >= 2
