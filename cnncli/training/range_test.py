"""The learning-rate range test: a loss for each of many learning rates, in a hundred steps.

The rate rises exponentially from one step to the next until the loss runs away; where the loss
falls fastest, the network learns fastest. Source: L. Smith (2017), Cyclical Learning Rates for
Training Neural Networks, arXiv:1506.01186, section 3.3; the exponential rise, the smoothing and the
stop at four times the lowest loss as in fastai's ``Learner.lr_find``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from cnncli.data.loader import Loader
from cnncli.errors import RUNTIME_FAILURE, CnncliError
from cnncli.training.features import FeatureLoader
from cnncli.training.loop import NotFiniteError, Progress, Trainer

# The average lags behind by some 1 / (1 - 0.7) steps, a quarter of a power of ten; fastai's 0.98
# lags by 50 of 100 steps. On digits 0.85 put the steepest point at eight times a good rate.
SMOOTHING = 0.7
# Of noise alone, the lowest of a hundred averages lies up to once its deviation below.
_CLEAR = 2.0
_DIVERGED = 4.0  # times the lowest smoothed loss
_FIRST = 3  # steps, or a tenth of them, that only tell where the loss begins


@dataclass(frozen=True)
class Curve:
    """A loss for each learning rate.

    Attributes:
        lrs: In the order of the steps, rising.
        losses: Cross-entropy in nats of each step's images, before the step was taken.
        diverged: Whether the loss ran away before the highest rate.
    """

    lrs: list[float]
    losses: list[float]
    diverged: bool

    @property
    def smoothed(self) -> list[float]:
        """The losses, smoothed."""
        return list(smooth(self.losses))


@dataclass(frozen=True)
class Suggestion:
    """What a curve says.

    Attributes:
        steepest: Where the smoothed loss falls fastest.
        minimum: Where it is lowest; there it is about to rise.
        is_clear: Whether the loss fell by more than it jumps about.
    """

    steepest: float
    minimum: float
    is_clear: bool

    @property
    def tenth(self) -> float:
        """A tenth of the rate at the minimum."""
        return self.minimum / 10

    @property
    def lr(self) -> float:
        """The lower of both: a run lasts longer than the test, and must bear it all along."""
        return min(self.steepest, self.tenth)


def spread_rates(low: float, high: float, steps: int) -> list[float]:
    """Return rates from ``low`` to ``high``, each the same factor above the one before."""
    return [float(rate) for rate in np.geomspace(low, high, steps)]


def smooth(losses: Sequence[float], beta: float = SMOOTHING) -> Iterator[float]:
    """Yield the exponential moving average so far, without its bias towards 0.

    Args:
        losses: Finite.
        beta: Weight of the past, 0–1.

    Source: D. Kingma & J. Ba (2015), Adam, arXiv:1412.6980, section 3.
    """
    average = 0.0
    for count, loss in enumerate(losses, start=1):
        average = beta * average + (1 - beta) * loss
        yield average / (1 - beta**count)


def suggest(curve: Curve) -> Suggestion:
    """Return the learning rates that a curve suggests.

    Raises:
        CnncliError: If the loss never fell.
    """
    smoothed, losses = np.array(curve.smoothed), np.array(curve.losses)
    # At the beginning the average is of few steps, and what is lowest there is so by chance.
    first = max(_FIRST, len(losses) // 10)
    later = smoothed[first:]
    start = losses[:first].mean() if len(later) else 0.0
    if not len(later) or later.min() >= start:
        raise CnncliError(
            "the loss never fell: there is no learning rate to suggest; look at the images with "
            "cnncli check-data, or try another --optimizer",
            exit_code=RUNTIME_FAILURE,
        )
    lowest = first + int(later.argmin())
    slopes = np.gradient(smoothed, np.log(curve.lrs))
    steepest = first - 1 + int(slopes[first - 1 : lowest + 1].argmin())
    noise = np.diff(losses[: lowest + 1]).std() / math.sqrt(2)  # whatever the trend is
    return Suggestion(
        steepest=curve.lrs[steepest],
        minimum=curve.lrs[lowest],
        is_clear=bool(start - smoothed[lowest] > _CLEAR * noise),
    )


def sweep(
    trainer: Trainer,
    loader: Loader | FeatureLoader,
    steps: int,
    advance: Callable[[int, str], None],
) -> Curve:
    """Train with ever higher learning rates until the loss runs away; the weights are spoilt.

    Args:
        trainer: A trainer before its first step; its ``lr_at`` rises over ``steps`` steps.
        loader: Batches of the training split, of epoch 1, 2, ... until all steps are taken.
        steps: Number of steps, and so of learning rates, to try.
        advance: Called with 1 and a text for the progress bar after each step.
    """
    record = _Record(steps, advance)
    try:
        for epoch in itertools.count(1):
            progress, before = Progress(epoch), trainer.step
            trainer.train_epoch(loader, progress, _ignore, record.follow(progress))
            if record.is_over or trainer.step == before:  # or no image at all can be read
                break
    except NotFiniteError:
        record.diverged = True
    taken = len(record.losses)
    lrs = [trainer.lr_at(step) for step in range(taken)]
    return Curve(lrs, record.losses, record.diverged and taken < steps)


class _Record:
    """Keeps the loss of each step, and knows when to end."""

    def __init__(self, steps: int, advance: Callable[[int, str], None]) -> None:
        self.losses: list[float] = []
        self.diverged = False
        self._steps, self._advance = steps, advance

    @property
    def is_over(self) -> bool:
        return self.diverged or len(self.losses) == self._steps

    def follow(self, progress: Progress) -> Callable[[], bool]:
        """Return what looks at an epoch's sums after each step and tells whether to end it."""
        total, images = 0.0, 0

        def look() -> bool:
            nonlocal total, images
            before, seen = total, images
            total, images = progress.loss_sum.item(), progress.images
            loss = (total - before) / (images - seen)
            if not math.isfinite(loss):
                self.diverged = True
                return True
            self.losses.append(loss)
            smoothed = list(smooth(self.losses))
            self.diverged = smoothed[-1] > _DIVERGED * min(smoothed)
            self._advance(1, f"loss {smoothed[-1]:.3f}")
            return self.is_over

        return look


def _ignore(count: int, text: str) -> None: ...
