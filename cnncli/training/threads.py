"""The number of torch's threads, chosen by a short measurement.

More threads are not always quicker: beside other busy processes every step waits for the thread
that has no core at the moment, and a small network has too little to share out.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from cnncli.models.build import Classifier
from cnncli.models.head import combine_aux
from cnncli.training.device import Compute
from cnncli.training.feature_head import HeadClassifier

# Seconds of one look at a number, of one step on the first images, and of a measurement after
# which no number is looked at a second time.
_WINDOW, _STEP, _MOST_SECONDS = 0.02, 0.04, 0.4
# Seconds of a measurement after which no other number is tried. Where steps on the fewest images
# would take longer, nothing is compared: each layer of such a network has work for all threads.
_LATEST = 2.0
# How often the two best numbers are measured again, in turns: other processes come and go.
_ROUNDS = 4
# By how much a larger number must be quicker: the threads are cores that others cannot use.
_GAIN = 1.05
# A step that takes longer than a smaller number would by this factor, and by some seconds for what
# is only done once, is given up; so is the number if the next step is no quicker.
_FAR_SLOWER, _ONCE = 3.0, 0.03


class Choice(NamedTuple):
    """A number of threads that was chosen.

    Attributes:
        number: The number; 0 where none was chosen.
        rate: The images per second of its steps; 0 where that was not measured.
    """

    number: int = 0
    rate: float = 0.0


# Takes a forward and a backward pass on so many images, and returns whether the forward pass was
# done within so many seconds; the rest is left out where it was not.
Step = Callable[[int, float], bool]


def choose_threads(
    take_step: Step,
    batch: int,
    most: int,
    clock: Callable[[], float] = time.perf_counter,
) -> Choice:
    """Return the number of threads with which steps are quickest: 1, 2, 4, ... or ``most``.

    Torch's number of threads is as before afterwards.

    Args:
        take_step: Takes a step; it should change nothing.
        batch: Largest number of images for a step, at least 1. A few are enough for a network that
            takes long for each of them; more threads then get more images.
        most: Largest number of threads.
        clock: Returns seconds.
    """
    if most == 1:
        return Choice(1)
    before = torch.get_num_threads()
    try:
        measurement = _Measurement(take_step, batch, clock)
        number = measurement.choose(_list_numbers(most))
        return Choice(number, measurement.rate(number))
    finally:
        torch.set_num_threads(before)


def _list_numbers(most: int) -> list[int]:
    """Return the powers of two up to a number, and that number."""
    return [*(1 << power for power in range(most.bit_length()) if 1 << power < most), most]


class _Measurement:
    """Counts the images and the seconds of steps with each number of threads."""

    def __init__(self, take_step: Step, batch: int, clock: Callable[[], float]) -> None:
        self._take_step, self._batch, self._clock = take_step, batch, clock
        self._begin = clock()
        self._images: dict[int, int] = {}
        self._seconds: dict[int, float] = {}
        self._base = 0

    def choose(self, numbers: list[int]) -> int:
        """Return the number whose steps are quickest; of a slow network's, the largest."""
        if not self._find_base(_LATEST / (2 * len(numbers))):
            return numbers[-1]
        best = numbers[0]
        for number in numbers:
            if not self._try_out(number, best):
                break
            best = max(number, best, key=self.rate)
            if self.rate(number) < self.rate(best) / _GAIN:
                break
        if len(self._images) == 1:
            return best
        few, many = sorted(sorted(self._images, key=self.rate)[-2:])
        for _ in range(_ROUNDS):
            if self._clock() - self._begin > _MOST_SECONDS:
                break
            for number in (few, many):
                torch.set_num_threads(number)
                self._look(self._size(number))
        return many if self.rate(many) > _GAIN * self.rate(few) else few

    def _find_base(self, allowed: float) -> bool:
        """Find how many images a step with one thread should have, by a step on the fewest.

        Args:
            allowed: Seconds that this step may take.

        Returns:
            Whether it takes no longer.
        """
        torch.set_num_threads(1)
        few = min(2, self._batch)  # BatchNorm cannot train on one image
        self._take_step(few, allowed)  # the first one of its kind takes longer
        start = self._clock()
        self._take_step(few, allowed)
        took = max(1e-9, self._clock() - start)
        self._base = max(few, min(self._batch, int(_STEP * few / took)))
        return took <= allowed

    def _size(self, number: int) -> int:
        """Return the number of images of a step."""
        return min(self._batch, self._base * number)

    def _try_out(self, number: int, best: int) -> bool:
        """Measure a number for the first time; return False if its steps are far slower."""
        torch.set_num_threads(number)
        images = self._size(number)
        allowed = math.inf
        if number != best:
            left = self._begin + _LATEST - self._clock()
            allowed = min(left, _ONCE + _FAR_SLOWER * images / self.rate(best))
        if not any(self._take_step(images, allowed) for _ in range(2)):
            return False
        self._look(images)
        return True

    def _look(self, images: int) -> None:
        """Take steps on so many images for a moment, and count them."""
        number, start, done = torch.get_num_threads(), self._clock(), 0
        while not done or self._clock() - start < _WINDOW:
            self._take_step(images, math.inf)
            done += images
        self._images[number] = self._images.get(number, 0) + done
        self._seconds[number] = self._seconds.get(number, 0.0) + self._clock() - start

    def rate(self, number: int) -> float:
        """Return the images per second; 0 for a number that was not measured."""
        return self._images.get(number, 0) / max(1e-9, self._seconds.get(number, 0.0))


class _TooSlow(Exception):  # noqa: N818 - it ends a forward pass
    """A forward pass takes longer than it may."""


@contextmanager
def copied_steps(
    classifier: Classifier | HeadClassifier,
    images: torch.Tensor,
    num_classes: int,
    compute: Compute,
    train_mode: Callable[[], object],
) -> Iterator[Step]:
    """Yield a function that takes steps on a copy of a classifier.

    Weights, statistics, modes and the random state are as before afterwards.

    Args:
        classifier: The classifier that is trained, on the CPU.
        images: A batch as the classifier takes it; a step takes the first of its images.
        num_classes: Number of classes K.
        compute: Device and precision.
        train_mode: Puts the network in train mode, except for what is frozen.
    """
    modes = {module: module.training for module in classifier.modules()}
    train_mode()
    copied: Any = copy.deepcopy(classifier)
    for module, training in modes.items():
        module.training = training
    end = math.inf

    def check_time(module: nn.Module, inputs: object) -> None:
        if time.perf_counter() > end:
            raise _TooSlow

    for module in copied.modules():
        module.register_forward_pre_hook(check_time)

    def take_step(count: int, seconds: float) -> bool:
        nonlocal end
        end = time.perf_counter() + seconds
        targets = torch.arange(count) % num_classes
        try:
            with compute.autocast():
                outputs = copied.outputs(images[:count])
                loss, _ = combine_aux(outputs, targets, functional.cross_entropy)
        except _TooSlow:
            return False
        if loss.requires_grad:
            loss.backward()  # type: ignore[no-untyped-call]
            copied.zero_grad(set_to_none=True)
        return True

    with torch.random.fork_rng([]):
        yield take_step


@contextmanager
def limited_blas() -> Iterator[None]:
    """Let NumPy and SciPy compute with as many threads as torch has.

    They have threads of their own, one for each core. Beside busy processes each small product
    waits for all of them: a fit of 1.4 s takes 38 s with two threads.
    """
    import sklearn.linear_model  # noqa: F401 - what it computes with must be loaded to be limited
    from threadpoolctl import threadpool_limits

    with threadpool_limits(torch.get_num_threads(), user_api="blas"):
        yield
