"""The number of torch's threads in a run: measured before epoch 1, and again when epochs change."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from cnncli.errors import count_of
from cnncli.reporting import Reporter
from cnncli.training.distributed import ALONE, World
from cnncli.training.epoch_inputs import EpochInputs
from cnncli.training.history import Row
from cnncli.training.progress import Progress
from cnncli.training.threads import Choice

# Epochs are slower or quicker than the usual one by this factor before the number is measured anew.
_CHANGE = 1.5
# Seconds of training for each second of measuring, from one measurement to the next.
_TRAINED_PER_MEASURED = 50
# The first epoch is slower than what was measured by this factor before the number is measured
# anew. Reading images and the optimizer's steps are not measured: with LeNet-5 they are the most.
_FAR_SLOWER = 4.0
# Seconds of the first epoch after which its rate is looked at, and by which factor they grow with
# each measurement that has found the same number.
_WINDOW, _GROWTH = 0.5, 8.0


@dataclass
class ThreadCount:
    """The number of torch's threads in a run.

    Attributes:
        now: The number for the epoch that is trained, or for the next one.
        first: The number with which the features of a frozen backbone are computed.
        most: Largest number that a measurement may choose; 1 where nothing is measured.
        find: Measures which number is best for what an epoch trains.
        world: The processes that train together; all have the same number.
        fixed: Whether it stays as it is once training has begun.
        measured: Whether it was measured.
        rate: Images per second of each process that the last measurement has found; 0 for unknown.
        has_workers: Whether processes that read images are started in the first step.
    """

    now: int
    first: int = 0
    most: int = 1
    find: Callable[[EpochInputs], Choice] = lambda inputs: Choice(1)
    world: World = ALONE
    fixed: bool = False
    measured: bool = False
    rate: float = 0.0
    has_workers: bool = False

    def __post_init__(self) -> None:
        self.first = self.first or self.now
        self._looked = 0  # epochs that were trained before the last measurement
        self._cost, self._ended = 0.0, -float("inf")
        self._window, self._seen = _WINDOW, (0.0, 0)
        self._begins_anew = False

    def describe(self) -> str:
        """Return the number in words, and whether it was measured.

        A measurement takes all threads of a network whose steps are slow with one, without a try.
        """
        told = f" (by a short measurement; at most {self.most})" if self.measured else ""
        return f"{count_of(self.now, 'thread')}{told}"

    def apply(self) -> None:
        """Give torch the number for the epochs."""
        torch.set_num_threads(self.now)

    def measure(self, inputs: EpochInputs) -> None:
        """Measure which number is best now.

        Args:
            inputs: What an epoch trains; it is left as it is.
        """
        start = time.monotonic()
        self.now, self.rate = min(self.world.gather(self.find(inputs)))
        self._ended = time.monotonic()
        self._cost, self.measured = self._ended - start, True

    def look_again(self, rows: list[Row], inputs: EpochInputs, reporter: Reporter) -> None:
        """Measure anew after an epoch that was far from the usual ones; for the epochs to come.

        Args:
            rows: The rows of ``metrics.csv``, the last epoch's among them.
            inputs: What an epoch trains.
            reporter: Gets a line where the number changes.
        """
        if self.fixed or self.most == 1 or not self.world.from_first(self._has_changed(rows)):
            return
        before, epoch, rate = self.now, rows[-1]["epoch"], rows[-1]["images_per_second"]
        self.measure(inputs)
        self._looked = epoch
        self.apply()
        if self.now != before:
            reporter.note(
                f"{count_of(self.now, 'thread')} in place of {before} from epoch {epoch + 1} on, "
                f"by a new measurement: epoch {epoch} was at {rate:,.0f} images/s"
            )

    def look_early(self, progress: Progress, inputs: EpochInputs, reporter: Reporter) -> bool:
        """Measure anew where the first epoch is far slower than the measurement before it.

        That measurement may have fallen into a quiet moment of a busy machine. An epoch has one
        number, so that it is begun anew with another one. In its second half it goes on as it is.

        Args:
            progress: How far the first epoch is, after each of its steps.
            inputs: What an epoch trains.
            reporter: Gets a line where the number changes.

        Returns:
            Whether the epoch is to be begun anew: :meth:`begins_anew` says so once more.
        """
        self._begins_anew = False
        is_watched = progress.epoch == 1 and self.rate > 0 and self.now > 1 and not self.fixed
        if not is_watched or progress.images > inputs.train.count / 2:
            return False
        rate = self.world.from_first(self._find_slow_rate(progress))
        if rate is None:
            return False
        before, expected = self.now, self.rate * self.world.size
        self.measure(inputs)
        self._window *= _GROWTH
        self._begins_anew = self.now != before
        if self._begins_anew:
            self.apply()
            reporter.note(
                f"{count_of(self.now, 'thread')} in place of {before}, by a new measurement: epoch "
                f"1 was at {rate:,.0f} images/s where {expected:,.0f} were measured; it begins anew"
            )
        return self._begins_anew

    def begins_anew(self) -> bool:
        """Return whether the epoch is to be begun anew, for the first time that it is asked."""
        asked, self._begins_anew = self._begins_anew, False
        if asked:
            self._seen = (0.0, 0)
        return asked

    def _find_slow_rate(self, progress: Progress) -> float | None:
        """Return the images per second of the last steps if they are far too few, else None.

        The first step is left out where workers are started in it.
        """
        if self.has_workers and not self._seen[1]:
            self._seen = progress.seconds, progress.images
            return None
        seconds, images = progress.seconds - self._seen[0], progress.images - self._seen[1]
        if seconds < self._window:
            return None
        self._seen = progress.seconds, progress.images
        rate = images / seconds
        return rate if _FAR_SLOWER * rate < self.rate * self.world.size else None

    def _has_changed(self, rows: list[Row]) -> bool:
        """Return whether the last epoch was so slow, or so quick, that it is time to measure."""
        rates = [max(0.1, r["images_per_second"]) for r in rows if r["epoch"] > self._looked]
        if len(rates) < 2:
            return False
        ratio = statistics.median(rates[:-1]) / rates[-1]
        trained = time.monotonic() - self._ended
        far = not 1 / _CHANGE < ratio < _CHANGE
        return far and trained > _TRAINED_PER_MEASURED * self._cost
