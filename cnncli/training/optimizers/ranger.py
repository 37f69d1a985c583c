"""Ranger: RAdam with Lookahead."""

from __future__ import annotations

from typing import Any

import torch
from torch.optim import RAdam


class Ranger(RAdam):
    """RAdam with Lookahead: after every k-th step the weights go back part of the way.

    Lookahead keeps slow weights. After every k-th step these move by the fraction alpha towards the
    weights, and the weights are set to them. Each parameter counts its own steps, so that one that
    is unfrozen later begins then.

    Source: L. Wright (2019), Ranger: Synergistic combination of RAdam + LookAhead; its parts:
    L. Liu et al. (2020), On the Variance of the Adaptive Learning Rate and Beyond,
    arXiv:1908.03265, algorithm 2 (torch's own); M. Zhang et al. (2019), Lookahead Optimizer: k
    steps forward, 1 step back, arXiv:1907.08610, algorithm 1 with k = 5, α = 0.5. Betas and
    epsilon are those of Wright's code. Its later versions also centralise gradients; this one does
    not.
    """

    def __init__(
        self,
        groups: Any,
        lr: float,
        *,
        betas: tuple[float, float] = (0.95, 0.999),
        eps: float = 1e-5,
        weight_decay: float = 0.0,
        k: int = 5,
        alpha: float = 0.5,
    ) -> None:
        """Set what the groups do not set themselves.

        Args:
            groups: Parameter groups as torch takes them.
            lr: Learning rate, above 0.
            betas: Decay of the averages of the gradient and of its square, each 0-1.
            eps: Added to the root of the second average, above 0.
            weight_decay: Decoupled weight decay, 0 or above.
            k: Number of steps between two updates of the slow weights.
            alpha: Fraction of the way that the slow weights move towards the weights, 0-1.
        """
        super().__init__(
            groups,
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            decoupled_weight_decay=True,
        )
        # They are in the groups, so that the optimizer's state_dict holds them.
        self.defaults |= {"k": k, "alpha": alpha}
        for group in self.param_groups:
            group.setdefault("k", k)
            group.setdefault("alpha", alpha)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Take one step; a closure is not supported."""
        moving = [
            (parameter, group)
            for group in self.param_groups
            for parameter in group["params"]
            if parameter.grad is not None
        ]
        # RAdam creates a parameter's state in its first step; the slow weights are added after it.
        first = {p: p.detach().clone() for p, _ in moving if not self.state.get(p)}
        super().step()
        for parameter, group in moving:
            state = self.state[parameter]
            if parameter in first:
                state["slow"] = first[parameter]
            if int(state["step"]) % group["k"] == 0:
                state["slow"].lerp_(parameter, group["alpha"])
                parameter.copy_(state["slow"])
