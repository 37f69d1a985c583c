"""An exponential moving average of the weights, which evaluates better than the last step's."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel


class MovingAverage(AveragedModel):
    """A copy of a network that follows it: torch's AveragedModel with a decay that grows.

    Buffers are averaged too: BatchNorm's statistics belong to the weights they were taken with.
    Whole numbers, such as its count of batches, are taken over. ``module`` is the copy, ready to be
    evaluated and saved; ``state_dict`` carries it and the number of updates.

    Source: the decay's growth, so that the first steps' weights are soon forgotten:
    TensorFlow's ExponentialMovingAverage with ``num_updates``.
    """

    def __init__(self, network: nn.Module, decay: float = 0.999) -> None:
        """Copy a network.

        Args:
            network: The bare one, not as DDP or a compiler wraps it.
            decay: Share of the average kept at each step, 0–1, once it has grown.
        """
        super().__init__(network, multi_avg_fn=self._follow, use_buffers=True)
        self.decay = decay
        self.requires_grad_(False)
        self.eval()

    def decay_now(self) -> float:
        """Return the decay of the next update: ``(1 + t) / (10 + t)`` after t, up to its limit."""
        updates = int(self.n_averaged)
        return min(self.decay, (1 + updates) / (10 + updates))

    @torch.no_grad()
    def _follow(
        self,
        averages: tuple[torch.Tensor, ...] | list[torch.Tensor],
        current: tuple[torch.Tensor, ...] | list[torch.Tensor],
        updates: torch.Tensor | int,
    ) -> None:
        """Move tensors of one device and dtype; torch calls it from the second update on."""
        if averages[0].is_floating_point():
            torch._foreach_lerp_(averages, current, 1 - self.decay_now())
        else:
            torch._foreach_copy_(averages, current)
