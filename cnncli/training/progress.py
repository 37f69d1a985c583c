"""How far an epoch of training is, and how good the network was in it so far."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from cnncli.training.distributed import World


@dataclass
class Progress:
    """How far an epoch of training is, with the loss and the accuracy so far.

    Loss and accuracy are of augmented images, each as the network was when it trained on them.

    Attributes:
        epoch: The epoch's number, from 1.
        batches: Number of batches trained so far in this epoch.
        images: Number of images trained so far in this epoch, by all processes together.
        seconds: Time the epoch has taken so far.
        lr: Learning rate of the epoch's first step; None before that step.
        loss_sum: Sum of the images' cross-entropies in nats. It is cross-entropy whatever the
            criterion is, so that it can be compared with the loss on val. Each process sums over
            its own images until :meth:`pool` adds the sums up in rank 0.
        correct: Number of images that were classified correctly, counted like ``loss_sum``.
    """

    epoch: int
    batches: int = 0
    images: int = 0
    seconds: float = 0.0
    lr: float | None = None
    loss_sum: torch.Tensor = field(default_factory=lambda: torch.zeros(()))
    correct: torch.Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.int64))

    def pool(self, world: World) -> None:
        """Add up the sums of all processes in rank 0; the others begin at 0 again."""
        for total in (self.loss_sum, self.correct):
            world.sum_(total)
            if not world.is_first:
                total.zero_()

    def to(self, device: torch.device) -> None:
        """Move the sums to the device, so that adding to them does not wait for the device."""
        self.loss_sum, self.correct = self.loss_sum.to(device), self.correct.to(device)

    @property
    def loss(self) -> float:
        """The mean cross-entropy of the images so far, in nats."""
        return self.loss_sum.item() / max(1, self.images)

    @property
    def accuracy(self) -> float:
        """The fraction, 0-1, of the images so far that were classified correctly."""
        return self.correct.item() / max(1, self.images)
