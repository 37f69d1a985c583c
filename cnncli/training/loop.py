"""The loop: one epoch of training, and probabilities over a split."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from cnncli.data.loader import Loader
from cnncli.data.sources import Array
from cnncli.errors import RUNTIME_FAILURE, CnncliError
from cnncli.models.build import Classifier
from cnncli.training.device import Compute


@dataclass(frozen=True)
class EpochResult:
    """Means over an epoch's images, as they were seen in training (augmented, in train mode).

    Attributes:
        loss: Of the training criterion.
        accuracy: A fraction.
    """

    loss: float
    accuracy: float


def parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Split trainable parameters: matrices and kernels decay, norms and biases do not."""
    trainable = [p for p in network.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trainable if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
    ]


@dataclass
class Trainer:
    """What one training step needs.

    Attributes:
        classifier: Normalise + network + softmax; its network is what is trained.
        optimizer: Its groups' lr are set before each step.
        lr_at: Learning rate of step 0, 1, … of the run.
        criterion: Of logits (N, K) and targets (N,), the mean over the batch.
        compute: Device and precision.
        clip: The gradient's norm is cut to this.
        step: Steps done so far.
    """

    classifier: Classifier
    optimizer: torch.optim.Optimizer
    lr_at: Callable[[int], float]
    criterion: nn.Module
    compute: Compute
    clip: float | None = None
    step: int = 0

    def __post_init__(self) -> None:
        # fp16 gradients underflow unless the loss is scaled up; bf16 has float32's range.
        self.scaler = torch.amp.GradScaler(
            self.compute.device.type, enabled=self.compute.precision == "fp16"
        )

    @property
    def lr(self) -> float:
        """The learning rate of the step that comes next."""
        return self.lr_at(self.step)

    def train_epoch(
        self, loader: Loader, epoch: int, advance: Callable[[int, str], None]
    ) -> EpochResult:
        """Train one epoch.

        Raises:
            CnncliError: If the loss is not finite.
        """
        self.classifier.train()
        device = self.compute.device
        # Sums stay on the device: reading them each step would wait for it.
        loss_sum = torch.zeros((), device=device)
        correct = torch.zeros((), device=device, dtype=torch.int64)
        for images, targets in loader.epoch(epoch):
            images = images.to(device, non_blocking=True)
            targets = targets.to(device, non_blocking=True)
            loss, logits = self._step(images, targets)
            if device.type == "cpu" and not math.isfinite(loss.item()):
                self._stop_not_finite(epoch)
            loss_sum += loss.detach() * len(targets)
            correct += (logits.detach().argmax(1) == targets).sum()
            advance(len(targets), "")
        mean_loss = loss_sum.item() / loader.count
        if not math.isfinite(mean_loss):
            self._stop_not_finite(epoch)
        return EpochResult(mean_loss, correct.item() / loader.count)

    def _step(
        self, images: torch.Tensor, targets: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr
        with self.compute.autocast():
            logits = self.classifier.logits(images)
            loss = self.criterion(logits.float(), targets)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        if self.clip is not None:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.classifier.parameters(), self.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.step += 1
        return loss, logits

    def _stop_not_finite(self, epoch: int) -> None:
        raise CnncliError(
            f"the loss is not finite in epoch {epoch}, by step {self.step}: the learning rate "
            f"({self.lr:.3g}) is probably too high; try --lr {self.lr / 10:.1g}",
            exit_code=RUNTIME_FAILURE,
        )


def predict_batch(classifier: Classifier, images: torch.Tensor, compute: Compute) -> Array:
    """Return probabilities (N, K) in float64 of a batch (N, H, W, C) as it is stored."""
    with torch.inference_mode(), compute.autocast():
        probabilities = classifier(images.to(compute.device, non_blocking=True))
    return np.asarray(probabilities.double().cpu().numpy())


def predict_split(
    classifier: Classifier,
    loader: Loader,
    compute: Compute,
    advance: Callable[[int, str], None] = lambda count, text: None,
) -> tuple[Array, Array]:
    """Return targets (N,) and probabilities (N, K) of a split, in its order, in eval mode."""
    classifier.eval()

    def batches() -> Iterator[tuple[Array, Array]]:
        for images, targets in loader.epoch(1):
            yield targets.numpy(), predict_batch(classifier, images, compute)
            advance(len(targets), "")

    targets, probabilities = zip(*batches(), strict=True)
    return np.concatenate(targets), np.concatenate(probabilities)
