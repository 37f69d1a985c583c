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
from cnncli.training.loop import NotFiniteError, Trainer
from cnncli.training.progress import Progress

# Weight of the past in the moving average of the losses. The average is late by about
# 1 / (1 - 0.7) = 3.3 steps, a quarter of a power of ten in the learning rate. With fastai's 0.98 it
# is late by 50 of 100 steps; 0.85 put the steepest point on digits at eight times a good rate.
SMOOTHING = 0.7
# For a clear suggestion the loss must fall by this many standard deviations of its noise. Of noise
# alone, the lowest of a hundred averages lies up to one standard deviation below their mean.
_CLEAR = 2.0
# The test ends when the smoothed loss is this many times its lowest value.
_DIVERGED = 4.0
# The first steps only show the loss at the beginning: this many, or a tenth of all if that is more.
_FIRST = 3


@dataclass(frozen=True)
class Curve:
    """A loss for each learning rate.

    Attributes:
        lrs: The learning rate of each step, rising.
        losses: Cross-entropy in nats of each step's images, before the step was taken.
        diverged: Whether the loss ran away before the highest learning rate was reached.
    """

    lrs: list[float]
    losses: list[float]
    diverged: bool

    @property
    def smoothed(self) -> list[float]:
        """The losses, smoothed by :func:`smooth`."""
        return list(smooth(self.losses))


@dataclass(frozen=True)
class Suggestion:
    """The learning rates that a curve suggests.

    Attributes:
        steepest: The learning rate at which the smoothed loss falls fastest.
        minimum: The learning rate at which the smoothed loss is lowest, before it rises.
        is_clear: Whether the loss fell by clearly more than its noise.
    """

    steepest: float
    minimum: float
    is_clear: bool

    @property
    def tenth(self) -> float:
        """A tenth of the learning rate at the minimum."""
        return self.minimum / 10

    @property
    def lr(self) -> float:
        """The lower of ``steepest`` and ``tenth``: a whole run must not diverge at it."""
        return min(self.steepest, self.tenth)


def spread_rates(low: float, high: float, steps: int) -> list[float]:
    """Return learning rates from ``low`` to ``high``, each the same factor above the last."""
    return [float(rate) for rate in np.geomspace(low, high, steps)]


def smooth(losses: Sequence[float], beta: float = SMOOTHING) -> Iterator[float]:
    """Yield the exponential moving average after each loss, corrected for its bias towards 0.

    Args:
        losses: Finite losses.
        beta: Weight of the past, 0-1.

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
    # The first averages are of few steps, so that one of them may be the lowest by chance.
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
    noise = np.diff(losses[: lowest + 1]).std() / math.sqrt(2)  # differences leave out the trend
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
    """Keeps the loss of each step, and decides when the test ends.

    Attributes:
        losses: The loss of each step so far.
        diverged: Whether the loss has run away.
    """

    def __init__(self, steps: int, advance: Callable[[int, str], None]) -> None:
        """Begin without losses.

        Args:
            steps: Number of steps after which the test ends.
            advance: Called with 1 and a text for the progress bar after each step.
        """
        self.losses: list[float] = []
        self.diverged = False
        self._steps, self._advance = steps, advance

    @property
    def is_over(self) -> bool:
        """Whether the test has ended."""
        return self.diverged or len(self.losses) == self._steps

    def follow(self, progress: Progress) -> Callable[[], bool]:
        """Return a function to call after each step of an epoch; it returns whether to end.

        Args:
            progress: The epoch's sums, from which the loss of each step is computed.
        """
        total, images = 0.0, 0

        def add_step() -> bool:
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

        return add_step


def _ignore(count: int, text: str) -> None: ...
