"""Find a learning rate by a range test on the network that ``train`` would train."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnncli.config import ResolvedConfig, RunConfig
from cnncli.errors import count_of
from cnncli.reporting import Reporter
from cnncli.run.bad_images import check_bad
from cnncli.run.build_inputs import build_inputs
from cnncli.run.build_trainer import build_freeze_plan, build_trainer
from cnncli.run.check import check_config
from cnncli.run.fit_head import fit_run_head
from cnncli.run.prepare import prepare
from cnncli.run.threads import start_threads
from cnncli.training.device import choose_compute, deterministic_algorithms, keep_freed_memory
from cnncli.training.optimizers.build import OPTIMIZERS
from cnncli.training.range_test import Curve, Suggestion, spread_rates, suggest, sweep

# The range of learning rates for AdamW; other optimizers have it times their ``lr_factor``.
_LOW, _HIGH = 1e-7, 10.0


@dataclass(frozen=True)
class Found:
    """The result of a range test.

    Attributes:
        curve: The loss at each learning rate.
        suggestion: The learning rates that the curve suggests.
        config: The settings of the test; its ``lr`` is the one that ``train`` would take.
    """

    curve: Curve
    suggestion: Suggestion
    config: ResolvedConfig


def find_lr(config: RunConfig, reporter: Reporter, *, steps: int) -> Found:
    """Run a range test with the network, images, loss and optimizer of a run; write no files.

    Args:
        config: The run's settings; lr, schedule, epochs and time limit are not used.
        reporter: Gets the test's remarks, warnings and progress.
        steps: Number of learning rates to try.

    Raises:
        CnncliError: If a setting or an image is wrong, or if the loss never falls.
    """
    check_config(config)
    compute = choose_compute(config.device, config.precision)
    keep_freed_memory()
    run = prepare(config, compute, reporter)
    plan = build_freeze_plan(run)
    # Features of a frozen backbone are not kept: the test does not need all images.
    inputs = build_inputs(run, plan)
    start_threads(run, inputs, None, reporter)
    if run.config.fits_head:
        fit_run_head(run, inputs, reporter)
    factor = OPTIMIZERS[run.config.optimizer].lr_factor
    lrs = spread_rates(_LOW * factor, _HIGH * factor, steps)
    trainer = build_trainer(run, plan, inputs, lambda step: lrs[step], warn=reporter.warn)
    reporter.note(
        f"{config.model}, {run.config.optimizer}: lr from {lrs[0]:.3g} to {lrs[-1]:.3g} in {steps} "
        f"steps of {count_of(run.config.batch_size * run.config.accumulate, 'image')}, on "
        f"{compute.device}"
    )
    with (
        closing(inputs),
        deterministic_algorithms(compute.device),
        reporter.progress("range test", steps) as advance,
    ):
        curve = sweep(trainer, inputs.train, steps, advance)
    check_bad(run.samples, inputs.unreadable, run.config.on_bad_image, reporter)
    found = Found(curve, suggest(curve), run.config)
    _report(found, reporter)
    return found


def _report(found: Found, reporter: Reporter) -> None:
    """Report where the test ended and what it suggests."""
    curve, suggestion = found.curve, found.suggestion
    smoothed = dict(zip(curve.lrs, curve.smoothed, strict=True))
    points = {
        "steepest fall": suggestion.steepest,
        "lowest loss": suggestion.minimum,
        "a tenth of that": suggestion.tenth,
    }
    rows = [
        {"point": name, "lr": f"{lr:.3g}", "smoothed_loss": smoothed.get(lr)}
        for name, lr in points.items()
    ]
    reporter.table("range test", rows)
    end = "stopped there: the loss ran away" if curve.diverged else "the last of the range"
    reporter.note(f"{count_of(len(curve.lrs), 'step')}, the highest lr {curve.lrs[-1]:.3g}, {end}")
    if not suggestion.is_clear:
        reporter.warn(
            "the loss fell by less than it jumps about: the suggestion is little more than chance; "
            "try more --steps or a larger --batch-size"
        )


def draw(found: Found, path: Path) -> None:
    """Draw the losses over the learning rate into a picture.

    Raises:
        OSError: If the file cannot be written.
    """
    from cnncli.plots.lr_range import save_range_test

    marks = {"steepest": found.suggestion.steepest, "minimum / 10": found.suggestion.tenth}
    curve = found.curve
    save_range_test(path, curve.lrs, curve.losses, curve.smoothed, marks)


def describe(found: Found) -> dict[str, Any]:
    """Return the result as plain values, ready for JSON."""
    curve, suggestion = found.curve, found.suggestion
    points = zip(curve.lrs, curve.losses, curve.smoothed, strict=True)
    return {
        "lr": suggestion.lr,
        "steepest": suggestion.steepest,
        "minimum": suggestion.minimum,
        "tenth_of_minimum": suggestion.tenth,
        "default_lr": found.config.lr,
        "diverged": curve.diverged,
        "curve": [{"lr": lr, "loss": loss, "smoothed": smoothed} for lr, loss, smoothed in points],
    }
