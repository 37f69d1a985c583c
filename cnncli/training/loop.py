"""The loop: one epoch of training, step by step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NoReturn

import torch
from torch import nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from cnncli.data.loader import Loader
from cnncli.errors import RUNTIME_FAILURE, CnncliError
from cnncli.models.build import Classifier
from cnncli.models.head import combine_aux
from cnncli.training.ddp import wrap
from cnncli.training.device import Compute
from cnncli.training.distributed import World
from cnncli.training.ema import MovingAverage
from cnncli.training.features import FeatureLoader, HeadClassifier
from cnncli.training.mixing import Mixing
from cnncli.training.penalties import Penalty, penalised_parameters

Batch = tuple[torch.Tensor, torch.Tensor]


class NotFiniteError(CnncliError):
    """The loss is no number any more."""


@dataclass
class Progress:
    """Where an epoch is, and its sums over the images so far, as they were seen in training.

    Attributes:
        epoch: From 1.
        batches: Done.
        images: Seen, by all processes together.
        seconds: Spent.
        lr: Of its first step.
        loss_sum: Cross-entropy in nats, whatever the criterion, so that it compares with val's;
            of this process until :meth:`pool`.
        correct: Of the images, as far as the network was right; likewise.
    """

    epoch: int
    batches: int = 0
    images: int = 0
    seconds: float = 0.0
    lr: float | None = None
    loss_sum: torch.Tensor = field(default_factory=lambda: torch.zeros(()))
    correct: torch.Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.int64))

    def pool(self, world: World) -> None:
        """Bring the sums of all processes together in rank 0's; the others begin anew."""
        for total in (self.loss_sum, self.correct):
            world.sum_(total)
            if not world.is_first:
                total.zero_()

    def to(self, device: torch.device) -> None:
        """Keep the sums on the device: reading them each step would wait for it."""
        self.loss_sum, self.correct = self.loss_sum.to(device), self.correct.to(device)

    @property
    def loss(self) -> float:
        """The mean over the images."""
        return self.loss_sum.item() / max(1, self.images)

    @property
    def accuracy(self) -> float:
        """A fraction."""
        return self.correct.item() / max(1, self.images)


@dataclass
class Trainer:
    """What one training step needs.

    Attributes:
        classifier: Normalise + network + softmax; its network is what is trained.
        optimizer: Its groups' lr are set before each step, times their ``lr_scale`` if any.
        lr_at: Learning rate of step 0, 1, … of the run.
        criterion: Of logits (N, K) and targets, (N,) or shares (N, K): the mean over the batch.
        compute: Device and precision.
        train_mode: Puts the network in train mode, but for what is frozen.
        compiled: Whether images go through torch.compile.
        max_grad_norm: The gradient's norm is cut to this.
        accumulate: Batches whose gradients make one step.
        penalty: Added to the loss for the size of the weights.
        mixing: Blends a batch's images.
        average: Follows the weights of ``network``.
        network: What the average follows; None for the classifier's own.
        step: Steps done so far.
        lr_factor: On every learning rate, halved by each rollback.
        microbatches: Into which a batch is cut to fit into the device's memory.
        warn: Told of what the trainer had to change.
    """

    classifier: Classifier | HeadClassifier
    optimizer: torch.optim.Optimizer
    lr_at: Callable[[int], float]
    criterion: nn.Module
    compute: Compute
    train_mode: Callable[[], object]
    compiled: bool = False
    max_grad_norm: float | None = None
    accumulate: int = 1
    penalty: Penalty = field(default_factory=Penalty)
    mixing: Mixing | None = None
    average: MovingAverage | None = None
    network: nn.Module | None = None
    step: int = 0
    lr_factor: float = 1.0
    microbatches: int = 1
    warn: Callable[[str], object] = lambda text: None

    def __post_init__(self) -> None:
        # fp16 gradients underflow unless the loss is scaled up; bf16 has float32's range.
        self.scaler = torch.amp.GradScaler(
            self.compute.device.type, enabled=self.compute.precision == "fp16"
        )
        self.penalised = penalised_parameters(self.classifier)
        self.wrap()

    def wrap(self) -> None:
        """Look at what is trained now; call it again when something is frozen or unfrozen."""
        self.parallel: DistributedDataParallel | None = None
        self.forward: Callable[[torch.Tensor], Any] = self.classifier.outputs
        if self.compute.world.joined:
            self.forward = self.parallel = wrap(self.classifier, self.compute.device)
        if self.compiled:
            self.forward = torch.compile(self.forward)

    @property
    def lr(self) -> float:
        """The learning rate of the step that comes next."""
        return self.lr_at(self.step) * self.lr_factor

    def train_epoch(
        self,
        loader: Loader | FeatureLoader,
        progress: Progress,
        advance: Callable[[int, str], None],
        after_step: Callable[[], bool] = lambda: False,
    ) -> None:
        """Train an epoch to its end, from where ``progress`` is.

        Args:
            loader: Gives the batches of that epoch.
            progress: Moved on.
            advance: Told the number of images done.
            after_step: Called after each step; True ends the epoch here.

        Raises:
            NotFiniteError: If the loss is not finite.
        """
        self.train_mode()
        progress.to(self.compute.device)
        progress.lr = self.lr if progress.lr is None else progress.lr
        batches = loader.epoch(progress.epoch, skip=progress.batches)
        start, images = time.perf_counter() - progress.seconds, progress.images
        while group := list(islice(batches, self.accumulate)):
            self._take_step(group, progress)
            progress.seconds = time.perf_counter() - start
            advance(progress.images - images, "")
            images = progress.images
            if after_step():
                break
        world = self.compute.world
        progress.pool(world)
        if not world.from_first(math.isfinite(progress.loss)):
            self.stop_not_finite(progress.epoch)

    def _take_step(self, group: Sequence[Batch], progress: Progress) -> None:
        """Take one optimizer step on a group of batches, in smaller parts if memory runs out."""
        world = self.compute.world
        seen = sum(len(targets) for _, targets in group)
        total = int(world.sum_(torch.tensor(seen)))
        while True:
            try:
                self._backward(group, progress, total)
                break
            except torch.OutOfMemoryError:
                if world.size > 1:  # the others are in the middle of the step
                    raise CnncliError(
                        f"{self.compute.device} (rank {world.rank}) ran out of memory; use a "
                        "smaller --batch-size, and --accumulate for the same effective batch",
                        exit_code=RUNTIME_FAILURE,
                    ) from None
                largest = max(len(targets) for _, targets in group)
                if self.microbatches >= largest:
                    raise CnncliError(
                        f"{self.compute.device} has not enough memory for one image; use a smaller "
                        "--image-size or --model",
                        exit_code=RUNTIME_FAILURE,
                    ) from None
                self.microbatches *= 2
                torch.cuda.empty_cache()
                self.warn(
                    f"{self.compute.device} ran out of memory: batches go through in "
                    f"{self.microbatches} parts from here, whose gradients are summed; BatchNorm "
                    "sees the parts"
                )
        progress.batches += len(group)
        progress.images += total
        self._update()

    def _backward(self, group: Sequence[Batch], progress: Progress, total: int) -> None:
        """Sum the gradients of a group, weighted by its images: uneven batches are exact.

        Args:
            group: This process's share of the batches.
            progress: Whose sums are moved on.
            total: Images in the group, over all processes.
        """
        device, world = self.compute.device, self.compute.world
        loss_sum, correct = torch.zeros_like(progress.loss_sum), torch.zeros_like(progress.correct)
        self.optimizer.zero_grad(set_to_none=True)
        for number, (images, targets) in enumerate(group, start=progress.batches):
            images = images.to(device, non_blocking=True)
            targets = targets.to(device, non_blocking=True)
            if self.mixing is not None:
                images, targets = self.mixing(images, targets, epoch=progress.epoch, batch=number)
            size = math.ceil(len(targets) / self.microbatches)
            parts = list(zip(torch.split(images, size), torch.split(targets, size), strict=True))
            for place, (part, truth) in enumerate(parts, start=1):
                is_last = place == len(parts) and number == progress.batches + len(group) - 1
                with self._averaging(is_last):
                    with self.compute.autocast():
                        loss, logits = combine_aux(self.forward(part), truth, self.criterion)
                    # DDP takes the mean over the processes; their shares may differ in length.
                    share = len(truth) * world.size / total
                    self.scaler.scale(loss * share if share != 1 else loss).backward()  # type: ignore[no-untyped-call]
                # Of several processes all must stop at the same place: at the epoch's end.
                if device.type == "cpu" and not world.joined and not math.isfinite(loss.item()):
                    self.stop_not_finite(progress.epoch)
                seen = logits.detach().float()
                loss_sum += functional.cross_entropy(seen, truth, reduction="sum")
                hard = truth if truth.ndim == 1 else truth.argmax(1)
                correct += (seen.argmax(1) == hard).sum()
        progress.loss_sum += loss_sum
        progress.correct += correct

    def _averaging(self, is_last: bool) -> AbstractContextManager[None]:
        """Average over the processes once a step, with the last gradients of a group."""
        if self.parallel is None or is_last:
            return nullcontext()
        return self.parallel.no_sync()

    def _update(self) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr * group.get("lr_scale", 1.0)
        if self.max_grad_norm is not None or self.penalty:
            self.scaler.unscale_(self.optimizer)
        if self.penalty:
            self.penalty.add_gradient(self.penalised)
        if self.max_grad_norm is not None:
            nn.utils.clip_grad_norm_(self.classifier.parameters(), self.max_grad_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.step += 1
        if self.average is not None:
            self.average.update_parameters(self.network or self.classifier.network)

    def stop_not_finite(self, epoch: int) -> NoReturn:
        """Raise the error of a loss, in training or on val, that is not finite."""
        peak = self.optimizer.defaults["lr"] * self.lr_factor
        raise NotFiniteError(
            f"the loss is not finite in epoch {epoch}, by step {self.step}: the learning rate "
            f"({peak:.3g}) is probably too high; try --lr {peak / 10:.1g}"
            + (", or --on-nan rollback" if self.lr_factor == 1 else ""),
            exit_code=RUNTIME_FAILURE,
        )

    def state_dict(self) -> dict[str, Any]:
        """Return what a run needs to go on, but for the network's weights."""
        return {
            "step": self.step,
            "lr_factor": self.lr_factor,
            "parts": self.microbatches,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        self.step = state["step"]
        self.lr_factor = state["lr_factor"]
        self.microbatches = state["parts"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
