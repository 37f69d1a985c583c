"""L1 and elastic net: what is added to the loss for the size of the weights.

The penalty of weights w is ``l1 · ‖w‖₁ + l2 / 2 · ‖w‖²``. Its gradient is added to the loss's
gradient directly, which costs no graph, and under DDP and fp16 is the same on every rank and scale.

Unlike decoupled weight decay, an adaptive optimizer divides it by the gradient's size with the
rest: 1e-5 to 1e-3 are usual strengths, not AdamW's 0.05.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class Penalty:
    """The two strengths, each 0 or above.

    Attributes:
        l1: Of the sum of absolute values: drives weights to 0.
        l2: Of half the sum of squares.
    """

    l1: float = 0.0
    l2: float = 0.0

    def value(self, parameters: Iterable[nn.Parameter]) -> torch.Tensor:
        """Return what is added to the loss, for those parameters that train."""
        terms = [
            self.l1 * parameter.abs().sum() + self.l2 / 2 * parameter.square().sum()
            for parameter in parameters
            if parameter.requires_grad
        ]
        return torch.stack(terms).sum() if terms else torch.zeros(())

    @torch.no_grad()
    def add_gradient(self, parameters: Iterable[nn.Parameter]) -> None:
        """Add its gradient where there is a gradient: a frozen parameter is not penalised.

        Call it once per optimizer step, after the gradients have been accumulated, summed over
        processes and unscaled, and before they are clipped. At 0 the absolute value's slope is
        taken as 0, as autograd does.
        """
        for parameter in parameters:
            if parameter.grad is None:
                continue
            if self.l1:
                parameter.grad.add_(parameter.sign(), alpha=self.l1)
            if self.l2:
                parameter.grad.add_(parameter, alpha=self.l2)

    def __bool__(self) -> bool:
        return bool(self.l1 or self.l2)


def elastic_net(strength: float, ratio: float) -> Penalty:
    """Return ``strength · (ratio · ‖w‖₁ + (1 - ratio) / 2 · ‖w‖²)``.

    Args:
        strength: 0 or above.
        ratio: Of L1, 0–1: 1 is the lasso, 0 ridge.

    Source: H. Zou & T. Hastie (2005), Regularization and Variable Selection via the Elastic Net, in
    the form of scikit-learn's ``alpha`` and ``l1_ratio``.
    """
    return Penalty(l1=strength * ratio, l2=strength * (1 - ratio))


def penalised_parameters(network: nn.Module) -> list[nn.Parameter]:
    """Return matrices and kernels: norms' scales and biases are not to be pulled to 0."""
    return [parameter for parameter in network.parameters() if parameter.ndim > 1]
