"""Lion: steps in the direction of the sign of the momentum."""

from __future__ import annotations

from typing import Any

import torch
from torch.optim import Optimizer


class Lion(Optimizer):
    """An optimizer whose step is +lr or -lr in every weight; one moving average, not Adam's two.

    Its learning rate is a third to a tenth of AdamW's, and its weight decay, which is decoupled, is
    larger by the same factor.

    Source: X. Chen et al. (2023), Symbolic Discovery of Optimization Algorithms, arXiv:2302.06675,
    algorithm 2.
    """

    def __init__(
        self,
        groups: Any,
        lr: float,
        *,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
    ) -> None:
        """Set what the groups do not set themselves.

        Args:
            groups: Parameter groups as torch takes them.
            lr: Size of each step, above 0.
            betas: Weight of the average, against the gradient, in the direction of the step; and
                the decay of the average. Each 0-1.
            weight_decay: Decoupled weight decay, 0 or above.
        """
        super().__init__(groups, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Take one step; a closure is not supported."""
        for group in self.param_groups:
            lr, (beta1, beta2) = group["lr"], group["betas"]
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["average"] = torch.zeros_like(parameter)
                average, gradient = state["average"], parameter.grad
                direction = torch.lerp(gradient, average, beta1).sign_()
                parameter.mul_(1 - lr * group["weight_decay"]).add_(direction, alpha=-lr)
                average.lerp_(gradient, 1 - beta2)
