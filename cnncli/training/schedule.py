"""Learning rates over a run: factors on the peak learning rate, as functions of the step.

All begin with a warm-up, in which the factor rises to 1. Milestones and step sizes are counted from
the first step of the run, not from the end of the warm-up: a drop in epoch 30 comes in epoch 30.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any

from cnncli.choices import SchedulerName

FLOOR = 0.001  # the factor at the end of cosine and linear schedules


def warmup_cosine(step: int, steps: int, warmup: int, *, floor: float = FLOOR) -> float:
    """Return the factor: linear from near 0 to 1, then half a cosine down to ``floor``.

    Args:
        step: The step's number, from 0.
        steps: Number of steps of the whole run.
        warmup: Number of steps of the linear rise, fewer than ``steps``.
        floor: The factor at the end, 0-1.

    Source: I. Loshchilov & F. Hutter (2017), SGDR, arXiv:1608.03983, eq. 5, without restarts.
    """
    if step < warmup:
        return ramp(step, warmup)
    progress = min(1.0, (step - warmup) / max(1, steps - warmup))
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))


def warmup_linear(step: int, steps: int, warmup: int, *, floor: float = FLOOR) -> float:
    """Return the factor: linear from near 0 to 1, then linear down to ``floor``.

    Args:
        step: The step's number, from 0.
        steps: Number of steps of the whole run.
        warmup: Number of steps of the linear rise, fewer than ``steps``.
        floor: The factor at the end, 0-1.
    """
    if step < warmup:
        return ramp(step, warmup)
    progress = min(1.0, (step - warmup) / max(1, steps - warmup))
    return 1 + (floor - 1) * progress


def one_cycle(
    step: int, steps: int, rise: int, *, start: float = 1 / 25, end: float = 1e-4
) -> float:
    """Return the factor: half a cosine up to 1, which is the warm-up, then half a cosine down.

    Args:
        step: The step's number, from 0.
        steps: Number of steps of the whole run.
        rise: Number of steps until the peak; the authors take 30-45 % of the run.
        start: The factor at step 0, 0-1.
        end: The factor at the last step, as a fraction of ``start``.

    Source: L. Smith & N. Topin (2018), Super-Convergence, arXiv:1708.07120; start, end and the
    cosine as in torch's OneCycleLR; unlike there, the momentum is not changed.
    """
    top = max(0, rise - 1)
    if step < top:
        return _half_cosine(start, 1.0, step / top)
    return _half_cosine(1.0, start * end, min(1.0, (step - top) / max(1, steps - 1 - top)))


def ramp(step: int, warmup: int) -> float:
    """Return the factor of a linear warm-up: ``(step + 1) / (warmup + 1)``, then 1."""
    return (step + 1) / (warmup + 1) if step < warmup else 1.0


def build_schedule(
    name: SchedulerName,
    *,
    steps: int,
    warmup: int,
    step_size: int | None = None,
    milestones: Sequence[int] | None = None,
    gamma: float = 0.1,
    floor: float = FLOOR,
) -> Callable[[int], float]:
    """Return a schedule: from a step, counted from 0, to the factor on the peak learning rate.

    Args:
        name: The schedule's name. ``plateau`` is the warm-up only; :class:`Plateau` gives a
            further factor for each epoch.
        steps: Number of steps of the whole run.
        warmup: Number of steps of the rise, fewer than ``steps``.
        step_size: Number of steps between two drops of ``step``; None for a third of the run.
        milestones: Steps at which ``multistep`` drops; None for 50 % and 75 % of the run.
        gamma: Factor on the learning rate at each drop, 0-1.
        floor: The factor at the end of ``cosine`` and ``linear``, 0-1.

    Source: drops at 50 % and 75 % to a tenth: K. He et al. (2016), Deep Residual Learning,
    arXiv:1512.03385, section 4.2.
    """
    size = max(1, step_size or math.ceil(steps / 3))
    drops = sorted(
        milestones if milestones is not None else (math.ceil(steps / 2), math.ceil(steps * 0.75))
    )
    table: dict[SchedulerName, Callable[[int], float]] = {
        "cosine": lambda step: warmup_cosine(step, steps, warmup, floor=floor),
        "linear": lambda step: warmup_linear(step, steps, warmup, floor=floor),
        "onecycle": lambda step: one_cycle(step, steps, warmup),
        "step": lambda step: ramp(step, warmup) * gamma ** (step // size),
        "multistep": lambda step: ramp(step, warmup) * gamma ** bisect_right(drops, step),
        "plateau": lambda step: ramp(step, warmup),
        "constant": lambda step: ramp(step, warmup),
    }
    return table[name]


class Plateau:
    """Lowers the learning rate when a monitored value has stopped getting better.

    Attributes:
        factor: Factor on the learning rate, 1 at first.
    """

    def __init__(
        self,
        *,
        lower_is_better: bool,
        gamma: float = 0.1,
        patience: int = 3,
        min_delta: float = 0.0,
        floor: float = FLOOR,
    ) -> None:
        """Set when and by how much the learning rate is lowered.

        Args:
            lower_is_better: True for a loss, False for a score such as accuracy.
            gamma: Factor on the learning rate at each drop, 0-1.
            patience: Number of epochs without a better value before a drop, at least 1.
            min_delta: By how much a value must be better to count as better, 0 or above.
            floor: The lowest value of ``factor``, 0-1.
        """
        self.sign = -1.0 if lower_is_better else 1.0
        self.gamma = gamma
        self.patience = patience
        self.min_delta = min_delta
        self.floor = floor
        self.factor = 1.0
        self._best = -math.inf
        self._waited = 0

    def update(self, value: float) -> bool:
        """Take the monitored value of an epoch, and return whether the factor has dropped."""
        score = self.sign * value
        if score > self._best + self.min_delta:
            self._best, self._waited = score, 0
        else:
            self._waited += 1
        if self._waited < self.patience:
            return False
        self._waited = 0
        before = self.factor
        self.factor = max(before * self.gamma, self.floor)
        return self.factor < before

    def state_dict(self) -> dict[str, Any]:
        """Return the state after the epochs so far, as plain numbers."""
        return {"factor": self.factor, "best": self._best, "waited": self._waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what :meth:`state_dict` returned."""
        self.factor, self._best = float(state["factor"]), float(state["best"])
        self._waited = int(state["waited"])


def _half_cosine(start: float, end: float, progress: float) -> float:
    """Return a value between ``start``, at progress 0, and ``end``, at progress 1."""
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * progress))
