"""L1 and elastic net: penalties on the size of the weights, added to the loss.

The penalty of weights w is ``l1 · ‖w‖₁ + l2 / 2 · ‖w‖²``. Its gradient is added to that of the loss
after the backward pass. That needs no graph, and the result does not depend on the number of
processes or on the scale of fp16.

An adaptive optimizer divides this gradient, like all of it, by the gradient's size, which it does
not do to decoupled weight decay: strengths of 1e-5 to 1e-3 are usual here, not AdamW's 0.05.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class Penalty:
    """The strengths of the L1 and the L2 penalty, each 0 or above.

    Attributes:
        l1: Factor on the sum of the weights' absolute values; it drives weights to exactly 0.
        l2: Factor on half the sum of the weights' squares.
    """

    l1: float = 0.0
    l2: float = 0.0

    def value(self, parameters: Iterable[nn.Parameter]) -> torch.Tensor:
        """Return the penalty, a scalar, of those parameters that are trainable."""
        terms = [
            self.l1 * parameter.abs().sum() + self.l2 / 2 * parameter.square().sum()
            for parameter in parameters
            if parameter.requires_grad
        ]
        return torch.stack(terms).sum() if terms else torch.zeros(())

    @torch.no_grad()
    def add_gradient(self, parameters: Iterable[nn.Parameter]) -> None:
        """Add the penalty's gradient to the gradients of the parameters that have one.

        Frozen parameters have none, and are not penalised. Call it once per optimizer step: after
        the gradients have been accumulated, averaged over processes and unscaled, and before they
        are clipped. The slope of the absolute value at 0 is taken as 0, as autograd does.
        """
        for parameter in parameters:
            if parameter.grad is None:
                continue
            if self.l1:
                parameter.grad.add_(parameter.sign(), alpha=self.l1)
            if self.l2:
                parameter.grad.add_(parameter, alpha=self.l2)

    def __bool__(self) -> bool:
        """Return whether there is any penalty."""
        return bool(self.l1 or self.l2)


def elastic_net(strength: float, ratio: float) -> Penalty:
    """Return the penalty ``strength · (ratio · ‖w‖₁ + (1 - ratio) / 2 · ‖w‖²)``.

    Args:
        strength: Factor on the whole penalty, 0 or above.
        ratio: Fraction of L1 in it, 0-1: 1 is the lasso, 0 is ridge regression.

    Source: H. Zou & T. Hastie (2005), Regularization and Variable Selection via the Elastic Net, in
    the form of scikit-learn's ``alpha`` and ``l1_ratio``.
    """
    return Penalty(l1=strength * ratio, l2=strength * (1 - ratio))


def penalised_parameters(network: nn.Module) -> list[nn.Parameter]:
    """Return a network's matrices and kernels; norms' scales and biases are not penalised."""
    return [parameter for parameter in network.parameters() if parameter.ndim > 1]
