"""The learning-rate range test: on curves whose answer is known, and on digits."""

import csv
import json
import math

import numpy as np
import pytest
import torch
from helpers import train
from PIL import Image
from torch import nn

from cnncli.config import RunConfig
from cnncli.errors import CnncliError
from cnncli.recipes.find_lr import find_lr
from cnncli.reporting import SilentReporter
from cnncli.training.device import Compute
from cnncli.training.loop import Trainer
from cnncli.training.range_test import Curve, smooth, spread_rates, suggest, sweep

FLAGS = ("--data", "digits", "--model", "lenet5", "--device", "cpu", "--precision", "fp32")


def ignore(count, text):
    pass


def test_rates_are_a_geometric_row():
    rates = spread_rates(1e-4, 1e2, 7)
    assert rates == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1, 1, 10, 100])


def test_smoothing_is_a_weighted_mean_of_the_past():
    losses = [3.0, 1.0, 4.0, 1.0, 5.0]
    for count, value in enumerate(smooth(losses, beta=0.7), start=1):
        weights = 0.7 ** np.arange(count)[::-1]  # the last weighs most; they sum to 1
        assert value == pytest.approx(np.average(losses[:count], weights=weights))
    assert list(smooth([2.0] * 5)) == pytest.approx([2.0] * 5)  # no bias towards 0


def curve_of(loss_at, low=1e-6, high=1.0, steps=400):
    lrs = spread_rates(low, high, steps)
    return Curve(lrs, [loss_at(math.log10(lr)) for lr in lrs], diverged=False)


def test_the_suggestion_on_a_curve_whose_answer_is_known():
    # Flat, a fall whose slope is steepest at 1e-3, lowest at 1e-2, then away.
    def loss_at(power):
        return 2 - np.tanh(power + 3) + 5 * max(0.0, power + 2) ** 2

    curve = curve_of(loss_at)
    found = suggest(curve)
    # Smoothing looks back over some steps: less than a tenth of a power of ten here.
    assert math.log10(found.steepest) == pytest.approx(-3, abs=0.2)
    lowest = curve.lrs[int(np.argmin(curve.losses))]
    assert math.log10(found.minimum) == pytest.approx(math.log10(lowest), abs=0.2)
    assert found.tenth == pytest.approx(found.minimum / 10)
    assert found.lr == min(found.steepest, found.tenth)
    assert found.is_clear


def test_the_steepest_is_sought_before_the_minimum():
    # After the loss has run away, a step down can be steeper than all before it.
    curve = curve_of(lambda power: 2 - np.tanh(power + 3) + (8 if -1.5 < power < -1 else 0))
    assert curve.losses[-1] < 1.1
    low = Curve(curve.lrs, [*curve.losses[:-60], *[9.0] * 60], diverged=True)
    assert suggest(low).steepest < 10**-1.5


@pytest.mark.parametrize("seed", range(20))
def test_a_fall_within_the_noise_is_told(seed):
    noise = np.random.default_rng(seed).normal(0, 0.5, 100)
    lrs = spread_rates(1e-6, 1, 100)
    hardly, well = (list(2.3 + noise - fall * np.linspace(0, 1, 100)) for fall in (0.05, 2.0))
    assert not suggest(Curve(lrs, hardly, False)).is_clear
    assert suggest(Curve(lrs, well, False)).is_clear


@pytest.mark.parametrize("losses", [[1.0, 2.0, 3.0, 4.0, 5.0], [1.0], []])
def test_a_loss_that_never_falls_has_no_suggestion(losses):
    curve = Curve(spread_rates(1e-3, 1, 5)[: len(losses)], losses, diverged=True)
    with pytest.raises(CnncliError, match="never fell") as caught:
        suggest(curve)
    assert caught.value.exit_code == 1


class Pixel(nn.Module):
    """A classifier of one weight: logits (w·x, -w·x)."""

    def __init__(self):
        super().__init__()
        self.network = nn.Linear(1, 1, bias=False)
        nn.init.constant_(self.network.weight, -1.0)

    def outputs(self, images):
        logit = self.network(images)
        return torch.cat([logit, -logit], 1)


class Row:
    """A loader of one batch: x of 1, class 0."""

    def __init__(self, batches=3):
        self.batches, self.epochs = batches, []

    def epoch(self, number, *, skip=0):
        self.epochs.append(number)
        for _ in range(self.batches):
            yield torch.ones(4, 1), torch.zeros(4, dtype=torch.int64)


def trainer_of(model, lrs, **options):
    return Trainer(
        classifier=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=1.0),
        lr_at=lambda step: lrs[step],
        criterion=nn.CrossEntropyLoss(),
        compute=Compute(torch.device("cpu"), "fp32"),
        train_mode=model.train,
        **options,
    )


def test_a_sweep_takes_each_rate_once_and_goes_on_from_epoch_to_epoch():
    model, loader, lrs = Pixel(), Row(), spread_rates(1e-3, 1e-1, 8)
    curve = sweep(trainer_of(model, lrs), loader, len(lrs), ignore)
    weight, losses = -1.0, []
    for lr in lrs:  # the same by hand: the loss is log(1 + exp(-2 w))
        losses.append(math.log1p(math.exp(-2 * weight)))
        weight += lr * 2 / (1 + math.exp(2 * weight))
    assert curve.lrs == lrs
    assert curve.losses == pytest.approx(losses, rel=1e-5)
    assert model.network.weight.item() == pytest.approx(weight, rel=1e-5)
    assert loader.epochs == [1, 2, 3]  # 3 batches each
    assert not curve.diverged


def test_a_step_of_several_batches_has_one_loss():
    trainer = trainer_of(Pixel(), spread_rates(1e-3, 1e-2, 4), accumulate=3)
    curve = sweep(trainer, Row(), 4, ignore)
    assert len(curve.losses) == 4
    assert curve.losses[0] == pytest.approx(math.log1p(math.exp(2)), rel=1e-5)


class Worse(Row):
    """Images that grow, so that the loss does."""

    def __init__(self, growth):
        super().__init__(1)
        self.growth = growth

    def epoch(self, number, *, skip=0):
        for images, targets in super().epoch(number):
            yield images * self.growth**number, targets


@pytest.mark.parametrize(("growth", "most"), [(2.0, 10), (1e12, 4)], ids=["grows", "not finite"])
def test_a_loss_that_runs_away_ends_the_sweep(growth, most):
    curve = sweep(trainer_of(Pixel(), [1e-9] * 100), Worse(growth), 100, ignore)
    assert curve.diverged
    assert 1 <= len(curve.losses) == len(curve.lrs) <= most
    assert np.isfinite(curve.losses).all()
    # At the last rate it was not stopped: that was the end anyway.
    trainer = trainer_of(Pixel(), [1e-9] * 100)
    last = sweep(trainer, Worse(growth), len(curve.losses), ignore)
    assert (len(last.losses), last.diverged) == (len(curve.losses), False)


@pytest.mark.slow
def test_the_suggested_rate_trains(tmp_path):
    settings = {"data": "digits", "model": "lenet5", "device": "cpu", "precision": "fp32"}
    found = find_lr(RunConfig(**settings), SilentReporter(), steps=100)
    curve = found.curve
    assert curve.diverged
    assert curve.losses[-1] > curve.losses[0]
    assert found.suggestion.steepest < found.suggestion.minimum < curve.lrs[-1]
    assert found.suggestion.is_clear
    run = train(tmp_path, data="digits", epochs=2, lr=found.suggestion.lr)
    first, second = csv.DictReader((run / "metrics.csv").read_text().splitlines())
    assert float(second["val_loss"]) < float(first["val_loss"]) < math.log(10) / 2


def test_the_command_prints_a_number_and_draws(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = cli("find-lr", *FLAGS, "--steps", 40)
    assert said.code == 0
    assert said.out.count("\n") == 1
    assert 1e-4 < float(said.out) < 1
    assert "steepest fall" in said.err
    assert [path.name for path in tmp_path.iterdir()] == ["find-lr.png"]  # nothing else
    with Image.open("find-lr.png") as picture:
        assert min(picture.size) > 300
    # A second time, it finds the same.
    full = json.loads(cli("find-lr", *FLAGS, "--steps", 40, "--format", "json").out)
    assert f"{full['lr']:.3g}" == said.out.strip()
    assert full["tenth_of_minimum"] == pytest.approx(full["minimum"] / 10)
    assert len(full["curve"]) <= 40


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--output", "x.txt"), "must end in .png, .jpg or .jpeg"),
        (("--output", "no/x.png"), "there is no folder no"),
        (("--steps", "3"), "--steps"),
        (("--lrr", "3"), "--lr"),
        (("--optimizer", "adm"), "adam"),
        (("--data", "nowhere"), "nowhere"),
    ],
)
def test_mistakes_are_one_line(cli, tmp_path, monkeypatch, flags, words):
    monkeypatch.chdir(tmp_path)
    said = cli("find-lr", *FLAGS, *flags)
    assert (said.code, said.out) == (2, "")
    assert words in said.error
    assert not list(tmp_path.iterdir())
