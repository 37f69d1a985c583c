"""An exponential moving average of the weights, often better than those of the last step."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel


class MovingAverage(AveragedModel):
    """The moving average of a network's weights: torch's AveragedModel with a growing decay.

    Floating-point buffers are averaged too, since BatchNorm's statistics belong to the weights they
    were computed with; integer buffers, such as BatchNorm's number of batches, are copied.
    ``module`` is a copy of the network with the averages, in eval mode. ``state_dict`` holds it and
    the number of updates.

    The decay grows so that the weights of the first steps are soon forgotten.

    Source: for the growth: TensorFlow's ExponentialMovingAverage with ``num_updates``.
    """

    def __init__(self, network: nn.Module, decay: float = 0.999) -> None:
        """Begin with a copy of a network.

        Args:
            network: The network itself, not a wrapper by DDP or a compiler.
            decay: Weight of the old average at each update, 0-1, once it has grown to it.
        """
        super().__init__(network, multi_avg_fn=self._follow, use_buffers=True)
        self.decay = decay
        self.requires_grad_(False)
        self.eval()

    def decay_now(self) -> float:
        """Return the decay of the next update: ``(1 + t) / (10 + t)`` after t updates, limited."""
        updates = int(self.n_averaged)
        return min(self.decay, (1 + updates) / (10 + updates))

    @torch.no_grad()
    def _follow(
        self,
        averages: tuple[torch.Tensor, ...] | list[torch.Tensor],
        current: tuple[torch.Tensor, ...] | list[torch.Tensor],
        updates: torch.Tensor | int,
    ) -> None:
        """Update averages of one device and dtype; torch calls it from the second update on."""
        if averages[0].is_floating_point():
            torch._foreach_lerp_(averages, current, 1 - self.decay_now())
        else:
            torch._foreach_copy_(averages, current)
