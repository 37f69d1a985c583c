"""The loop: one epoch of training, and probabilities over a split."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from cnncli.data.loader import Loader
from cnncli.data.sources import Array
from cnncli.errors import RUNTIME_FAILURE, CnncliError
from cnncli.models.build import Classifier
from cnncli.models.head import combine_aux
from cnncli.training.device import Compute
from cnncli.training.features import FeatureLoader, HeadClassifier
from cnncli.training.views import Views


@dataclass(frozen=True)
class EpochResult:
    """Means over an epoch's images, as they were seen in training (augmented, in train mode).

    Attributes:
        loss: Cross-entropy in nats, whatever the criterion, so that it compares with val's.
        accuracy: A fraction.
    """

    loss: float
    accuracy: float


@dataclass
class Trainer:
    """What one training step needs.

    Attributes:
        classifier: Normalise + network + softmax; its network is what is trained.
        optimizer: Its groups' lr are set before each step, times their ``lr_scale`` if any.
        lr_at: Learning rate of step 0, 1, … of the run.
        criterion: Of logits (N, K) and targets (N,), the mean over the batch.
        compute: Device and precision.
        train_mode: Puts the network in train mode, but for what is frozen.
        clip: The gradient's norm is cut to this.
        step: Steps done so far.
    """

    classifier: Classifier | HeadClassifier
    optimizer: torch.optim.Optimizer
    lr_at: Callable[[int], float]
    criterion: nn.Module
    compute: Compute
    train_mode: Callable[[], object]
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
        self, loader: Loader | FeatureLoader, epoch: int, advance: Callable[[int, str], None]
    ) -> EpochResult:
        """Train one epoch.

        Raises:
            CnncliError: If the loss is not finite.
        """
        self.train_mode()
        device = self.compute.device
        # Sums stay on the device: reading them each step would wait for it.
        loss_sum = torch.zeros((), device=device)
        correct = torch.zeros((), device=device, dtype=torch.int64)
        seen = 0
        for images, targets in loader.epoch(epoch):
            images = images.to(device, non_blocking=True)
            targets = targets.to(device, non_blocking=True)
            loss, logits = self._step(images, targets)
            if device.type == "cpu" and not math.isfinite(loss.item()):
                self.stop_not_finite(epoch)
            loss_sum += functional.cross_entropy(logits, targets, reduction="sum")
            correct += (logits.argmax(1) == targets).sum()
            seen += len(targets)
            advance(len(targets), "")
        mean_loss = loss_sum.item() / max(1, seen)
        if not math.isfinite(mean_loss):
            self.stop_not_finite(epoch)
        return EpochResult(mean_loss, correct.item() / max(1, seen))

    def _step(
        self, images: torch.Tensor, targets: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr * group.get("lr_scale", 1.0)
        with self.compute.autocast():
            loss, logits = combine_aux(self.classifier.outputs(images), targets, self.criterion)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        if self.clip is not None:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.classifier.parameters(), self.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.step += 1
        return loss, logits.detach().float()

    def stop_not_finite(self, epoch: int) -> NoReturn:
        """Raise the error of a loss, in training or on val, that is not finite."""
        raise CnncliError(
            f"the loss is not finite in epoch {epoch}, by step {self.step}: the learning rate "
            f"({self.lr:.3g}) is probably too high; try --lr {self.lr / 10:.1g}",
            exit_code=RUNTIME_FAILURE,
        )


def predict_batch(
    classifier: Classifier | HeadClassifier, images: torch.Tensor, compute: Compute
) -> Array:
    """Return probabilities (N, K) in float64 of a batch (N, H, W, C) as it is stored."""
    with torch.inference_mode(), compute.autocast():
        probabilities = classifier(images.to(compute.device, non_blocking=True))
    return np.asarray(probabilities.double().cpu().numpy())


def predict_views(
    classifier: Classifier | HeadClassifier,
    images: torch.Tensor,
    compute: Compute,
    views: Views | None,
) -> Array:
    """Return the mean of :func:`predict_batch` over the views of each image, in float64."""
    if views is None:
        return predict_batch(classifier, images, compute)
    answers = [
        predict_batch(classifier, torch.from_numpy(view), compute) for view in views(images.numpy())
    ]
    return np.asarray(np.mean(answers, axis=0))


def predict_split(
    classifier: Classifier | HeadClassifier,
    loader: Loader | FeatureLoader,
    compute: Compute,
    advance: Callable[[int, str], None] = lambda count, text: None,
    views: Views | None = None,
) -> tuple[Array, Array]:
    """Return targets (N,) and probabilities (N, K) of a split, in its order, in eval mode.

    Args:
        classifier: What answers.
        loader: The split.
        compute: Device and precision.
        advance: Told of each batch.
        views: Averages over these views of each image; None looks at the image alone.
    """
    classifier.eval()

    def batches() -> Iterator[tuple[Array, Array]]:
        for images, targets in loader.epoch(1):
            yield targets.numpy(), predict_views(classifier, images, compute, views)
            advance(len(targets), "")

    targets, probabilities = zip(*batches(), strict=True)
    return np.concatenate(targets), np.concatenate(probabilities)
