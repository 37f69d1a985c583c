"""Learning rates over a run: factors on the peak, as functions of the step alone.

All begin with a warm-up: linear from near 0 to the peak. Milestones and step sizes are counted from
the run's first step, not from the warm-up's end, so that a drop in epoch 30 is one in epoch 30.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any

from cnncli.choices import SchedulerName

FLOOR = 0.001


def warmup_cosine(step: int, steps: int, warmup: int, *, floor: float = FLOOR) -> float:
    """Return the factor on the peak learning rate at a step.

    Linear from near 0 to 1 over the warm-up, then half a cosine down to ``floor``.

    Args:
        step: From 0.
        steps: Of the whole run.
        warmup: Steps of the linear rise, fewer than ``steps``.
        floor: The factor at the end, 0–1.

    Source: I. Loshchilov & F. Hutter (2017), SGDR, arXiv:1608.03983, eq. 5, without restarts.
    """
    if step < warmup:
        return ramp(step, warmup)
    progress = min(1.0, (step - warmup) / max(1, steps - warmup))
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))


def warmup_linear(step: int, steps: int, warmup: int, *, floor: float = FLOOR) -> float:
    """Return the factor: linear up to 1, then linear down to ``floor``; as `warmup_cosine`."""
    if step < warmup:
        return ramp(step, warmup)
    progress = min(1.0, (step - warmup) / max(1, steps - warmup))
    return 1 + (floor - 1) * progress


def one_cycle(
    step: int, steps: int, rise: int, *, start: float = 1 / 25, end: float = 1e-4
) -> float:
    """Return the factor: half a cosine up, which is the warm-up, half a cosine down.

    Args:
        step: From 0.
        steps: Of the whole run.
        rise: Steps until the peak; its authors take 30–45 % of the run.
        start: The factor at step 0.
        end: The factor at the last step, as a share of ``start``.

    Source: L. Smith & N. Topin (2018), Super-Convergence, arXiv:1708.07120; start, end and the
    cosine as in torch's OneCycleLR, whose change of the momentum is left out.
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
        name: ``plateau`` gives the warm-up alone; :class:`Plateau` multiplies it by epoch.
        steps: Of the whole run.
        warmup: Steps of the rise, fewer than ``steps``.
        step_size: Steps between two drops of ``step``; None for a third of the run.
        milestones: Steps at which ``multistep`` drops; None for 50 % and 75 % of the run.
        gamma: Factor of each drop, 0–1.
        floor: Where ``cosine`` and ``linear`` end, 0–1.

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
        factor: On the learning rate, 1 at first.
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
        """Set when and by how much.

        Args:
            lower_is_better: As for a loss; else as for accuracy.
            gamma: Factor of each drop, 0–1.
            patience: Epochs without a better value after which it drops, at least 1.
            min_delta: By how much a value must be better to count, 0 or above.
            floor: The factor's lowest value.
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
        """Take an epoch's value; return whether the factor has dropped."""
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
        """Return what the epochs so far have left; plain numbers."""
        return {"factor": self.factor, "best": self._best, "waited": self._waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        self.factor, self._best = float(state["factor"]), float(state["best"])
        self._waited = int(state["waited"])


def _half_cosine(start: float, end: float, progress: float) -> float:
    """Return ``start`` at progress 0, ``end`` at 1."""
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * progress))
