"""The training loop: one epoch, step by step."""

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
from cnncli.training.ema import MovingAverage
from cnncli.training.feature_head import HeadClassifier
from cnncli.training.features import FeatureLoader
from cnncli.training.mixing import Mixing
from cnncli.training.penalties import Penalty, penalised_parameters
from cnncli.training.progress import Progress

Batch = tuple[torch.Tensor, torch.Tensor]


class NotFiniteError(CnncliError):
    """The loss is NaN or infinite."""


@dataclass
class Trainer:
    """Trains a classifier: takes the optimizer's steps, and holds all they need.

    Attributes:
        classifier: Normalisation, network and softmax as one module; its network is trained.
        optimizer: The optimizer. Before each step the learning rate of each of its groups is set
            to ``lr`` times the group's ``lr_scale``, if it has one.
        lr_at: Returns the learning rate of step 0, 1, ... of the run.
        criterion: Takes logits (N, K) and targets, class numbers (N,) or probabilities (N, K), and
            returns the mean loss of the batch.
        compute: Device, precision, and the processes that train together.
        train_mode: Puts the network in train mode, except for what is frozen.
        compiled: Whether the forward pass goes through torch.compile.
        max_grad_norm: L2 norm above which the gradient is scaled down to it; None for no limit.
        accumulate: Number of batches whose gradients are summed for one step.
        penalty: L1 and L2 penalties on the weights, added to the loss.
        mixing: Blends the images of a batch with each other; None for no blending.
        average: Moving average of the weights of ``network``; None for no average.
        network: The network that the average follows; None for the classifier's own.
        step: Number of steps taken so far in the run.
        lr_factor: Factor on every learning rate; each rollback halves it.
        microbatches: Number of parts that a batch is cut into to fit into the device's memory.
        warn: Called with a line of text if the trainer has to change how it trains.
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
        """Prepare the forward pass for the parameters that are trained now.

        Call it again after something was frozen or unfrozen.
        """
        self.parallel: DistributedDataParallel | None = None
        self.forward: Callable[[torch.Tensor], Any] = self.classifier.outputs
        if self.compute.world.joined:
            self.forward = self.parallel = wrap(self.classifier, self.compute.device)
        if self.compiled:
            self.forward = torch.compile(self.forward)

    @property
    def lr(self) -> float:
        """The learning rate of the next step."""
        return self.lr_at(self.step) * self.lr_factor

    def train_epoch(
        self,
        loader: Loader | FeatureLoader,
        progress: Progress,
        advance: Callable[[int, str], None],
        after_step: Callable[[], bool] = lambda: False,
    ) -> None:
        """Train an epoch, or what is left of it.

        Args:
            loader: The batches of the training split.
            progress: How far the epoch is; it is updated after every step.
            advance: Called with the number of images of each step and an empty text.
            after_step: Called after each step; training ends here if it returns True.

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
        """Take one optimizer step on a group of batches, in smaller parts if memory runs out.

        Args:
            group: This process's part of the batches whose gradients make the step.
            progress: How far the epoch is; it is updated.
        """
        world = self.compute.world
        seen = sum(len(targets) for _, targets in group)
        total = int(world.sum_(torch.tensor(seen)))
        while True:
            try:
                self._backward(group, progress, total)
                break
            except torch.OutOfMemoryError:
                if world.size > 1:  # the other processes would wait for this one in the step
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
        """Compute the gradient of the mean loss over all images of a group of batches.

        Each batch counts by its number of images, so that the result is exact if they differ.

        Args:
            group: This process's part of the batches.
            progress: How far the epoch is; its sums are updated.
            total: Number of images in the group, over all processes.
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
                with self._sync_gradients(is_last):
                    with self.compute.autocast():
                        loss, logits = combine_aux(self.forward(part), truth, self.criterion)
                    # DDP takes the mean over the processes, whose parts may differ in length.
                    weight = len(truth) * world.size / total
                    self.scaler.scale(loss * weight if weight != 1 else loss).backward()  # type: ignore[no-untyped-call]
                # Several processes must all stop at the same place, which is the epoch's end.
                if device.type == "cpu" and not world.joined and not math.isfinite(loss.item()):
                    self.stop_not_finite(progress.epoch)
                seen = logits.detach().float()
                loss_sum += functional.cross_entropy(seen, truth, reduction="sum")
                hard = truth if truth.ndim == 1 else truth.argmax(1)
                correct += (seen.argmax(1) == hard).sum()
        progress.loss_sum += loss_sum
        progress.correct += correct

    def _sync_gradients(self, is_last: bool) -> AbstractContextManager[None]:
        """Return the context of a backward pass: the processes average at a step's last one."""
        if self.parallel is None or is_last:
            return nullcontext()
        return self.parallel.no_sync()

    def _update(self) -> None:
        """Let the optimizer take a step with the gradients as they are."""
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
        """Raise the error of a loss, in training or on val, that is NaN or infinite."""
        peak = self.optimizer.defaults["lr"] * self.lr_factor
        raise NotFiniteError(
            f"the loss is not finite in epoch {epoch}, by step {self.step}: the learning rate "
            f"({peak:.3g}) is probably too high; try --lr {peak / 10:.1g}"
            + (", or --on-nan rollback" if self.lr_factor == 1 else ""),
            exit_code=RUNTIME_FAILURE,
        )

    def state_dict(self) -> dict[str, Any]:
        """Return all that the trainer needs to resume a run, except the network's weights."""
        return {
            "step": self.step,
            "lr_factor": self.lr_factor,
            "parts": self.microbatches,  # the key that saved runs have
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what :meth:`state_dict` returned."""
        self.step = state["step"]
        self.lr_factor = state["lr_factor"]
        self.microbatches = state["parts"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
