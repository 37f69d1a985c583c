"""Ranger: RAdam with Lookahead."""

from __future__ import annotations

from typing import Any

import torch
from torch.optim import RAdam


class Ranger(RAdam):
    """RAdam's steps; after every k-th, the weights go back part of the way to where they were.

    Each parameter counts its own steps: one that is unfrozen later begins its Lookahead then.

    Source: L. Wright (2019), Ranger: Synergistic combination of RAdam + LookAhead; its parts:
    L. Liu et al. (2020), On the Variance of the Adaptive Learning Rate and Beyond,
    arXiv:1908.03265, algorithm 2 (torch's own); M. Zhang et al. (2019), Lookahead Optimizer: k
    steps forward, 1 step back, arXiv:1907.08610, algorithm 1 with k = 5, α = 0.5. Its betas and
    epsilon are those of Wright's code, which later also centralised gradients; this one does not.
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
        super().__init__(
            groups,
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            decoupled_weight_decay=True,
        )
        # In the groups, so that a checkpoint carries them.
        self.defaults |= {"k": k, "alpha": alpha}
        for group in self.param_groups:
            group.setdefault("k", k)
            group.setdefault("alpha", alpha)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Take one step; there is no closure."""
        moving = [
            (parameter, group)
            for group in self.param_groups
            for parameter in group["params"]
            if parameter.grad is not None
        ]
        # RAdam makes its state where there is none: the slow weights join it afterwards.
        first = {p: p.detach().clone() for p, _ in moving if not self.state.get(p)}
        super().step()
        for parameter, group in moving:
            state = self.state[parameter]
            if parameter in first:
                state["slow"] = first[parameter]
            if int(state["step"]) % group["k"] == 0:
                state["slow"].lerp_(parameter, group["alpha"])
                parameter.copy_(state["slow"])
