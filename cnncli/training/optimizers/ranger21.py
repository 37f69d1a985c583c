"""Ranger21: AdamW's core with what its authors have put around it."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.optim import Optimizer


class Ranger21(Optimizer):
    """AdamW with what clips, centres and averages around it.

    One step is, in this order:

    1. adaptive gradient clipping: no unit's gradient above 0.01 of its weights' norm;
    2. gradient centralisation: matrices' and kernels' gradients get mean 0 over each unit;
    3. positive-negative momentum, over the gradients of every other step;
    4. Adam's division by the root of the second moment, of which the largest so far counts;
    5. stable weight decay, divided by the root of the mean second moment over all that moves, times
       norm loss, which pulls each unit's norm towards 1: what is above shrinks, what is below
       grows;
    6. Lookahead, every 5th step of a parameter.

    Its authors' learning rates, linear warm-up, flat, linear down over the last 28 %, are left to
    the schedule. The weight decay is divided by small numbers: 1e-4 is usual, AdamW's 0.05 far too
    much; with 0, as for norms and biases, 5 does nothing.

    Centred gradients vanish also where all of a unit's weights have the same slope: it does not
    minimise every loss.

    Source: L. Wright & N. Demeure (2021), Ranger21: a synergistic deep learning optimizer,
    arXiv:2106.13731, for the components; most constants are those of its authors' code,
    github.com/lessw2020/Ranger21. That code differs: it also divides gradients by their deviation
    and softens the divisor of 4 by a softplus, both added after the paper; its β0 is 1, and it
    takes out the length as if it were β2; 4 divides by the second moment itself, since its maximum
    is never stored; 5 is two decays, a stable one and norm loss of strength 2e-4; 6 counts the
    optimizer's steps.
    """

    def __init__(
        self,
        groups: Any,
        lr: float,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        noise: float = 0.9,
        eps: float = 1e-8,
        weight_decay: float = 1e-4,
        clip: float = 1e-2,
        clip_eps: float = 1e-3,
        k: int = 5,
        alpha: float = 0.5,
    ) -> None:
        """Set what the groups do not bring.

        Args:
            groups: Of parameters.
            lr: Above 0.
            betas: β1 and β2 of the two moments.
            noise: β0, the share of the negative momentum.
            eps: Keeps divisors above 0.
            weight_decay: λ, 0 or above.
            clip: τ, largest norm of a unit's gradient as a share of its weights' norm.
            clip_eps: What that norm is taken to be at least, so that weights of 0 can move.
            k: Steps between two merges of Lookahead.
            alpha: Share of the new weights in a merge.
        """
        defaults = {
            "lr": lr,
            "betas": betas,
            "noise": noise,
            "eps": eps,
            "weight_decay": weight_decay,
            "clip": clip,
            "clip_eps": clip_eps,
            "k": k,
            "alpha": alpha,
        }
        super().__init__(groups, defaults)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Take one step; there is no closure."""
        moving = [
            (parameter, group)
            for group in self.param_groups
            for parameter in group["params"]
            if parameter.grad is not None
        ]
        if not moving:
            return
        seconds = [self._take_gradient(parameter, group) for parameter, group in moving]
        # Stays on the device: reading it would wait for the gradients.
        device = seconds[0].device
        total = torch.stack([second.sum().to(device) for second in seconds]).sum()
        mean_root = (total / sum(second.numel() for second in seconds)).sqrt()
        for (parameter, group), second in zip(moving, seconds, strict=True):
            self._move(parameter, group, second, mean_root.to(parameter.device))

    def _take_gradient(self, parameter: torch.Tensor, group: dict[str, Any]) -> torch.Tensor:
        """Update a parameter's averages; return its second moment, bias-corrected."""
        state = self.state[parameter]
        if not state:
            state["step"] = 0
            for name in ("momentum", "previous_momentum", "second", "largest_second"):
                state[name] = torch.zeros_like(parameter)
            state["slow"] = parameter.clone()
        state["step"] += 1
        assert parameter.grad is not None
        gradient = _clip(parameter.grad, parameter, group["clip"], group["clip_eps"])
        if gradient.ndim > 1:
            gradient = gradient - gradient.mean(tuple(range(1, gradient.ndim)), keepdim=True)
        beta1, beta2 = group["betas"]
        # The older of the two takes the gradient and becomes the newer.
        state["momentum"], state["previous_momentum"] = (
            state["previous_momentum"].lerp_(gradient, 1 - beta1**2),
            state["momentum"],
        )
        second = state["second"].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        largest = torch.maximum(state["largest_second"], second, out=state["largest_second"])
        bias: float = 1 - beta2 ** state["step"]
        return largest / bias

    def _move(
        self,
        parameter: torch.Tensor,
        group: dict[str, Any],
        second: torch.Tensor,
        mean_root: torch.Tensor,
    ) -> None:
        state, noise, eps = self.state[parameter], group["noise"], group["eps"]
        # The noise of the difference would grow with β0; its length is taken out.
        scale = math.hypot(1 + noise, noise) * (1 - group["betas"][0] ** state["step"])
        update = (1 + noise) * state["momentum"] - noise * state["previous_momentum"]
        update = update.div_(scale).div_(second.sqrt().add_(eps))
        if group["weight_decay"]:
            excess = 1 - 1 / _unit_norm(parameter).clamp_(min=eps)
            update += group["weight_decay"] * excess / mean_root.clamp(min=eps) * parameter
        parameter.add_(update, alpha=-group["lr"])
        if state["step"] % group["k"] == 0:
            state["slow"].lerp_(parameter, group["alpha"])
            parameter.copy_(state["slow"])


def _unit_norm(x: torch.Tensor) -> torch.Tensor:
    """Return the L2 norm of each output unit's weights, or of all of a vector."""
    dims = tuple(range(1, x.ndim)) if x.ndim > 1 else None
    norm: torch.Tensor = torch.linalg.vector_norm(x, dim=dims, keepdim=x.ndim > 1)
    return norm


def _clip(
    gradient: torch.Tensor, parameter: torch.Tensor, share: float, eps: float
) -> torch.Tensor:
    """Return the gradient, each unit's norm at most ``share`` of its weights' norm.

    Source: A. Brock et al. (2021), High-Performance Large-Scale Image Recognition Without
    Normalization, arXiv:2102.06171, eq. 3.
    """
    allowed = share * _unit_norm(parameter).clamp_(min=eps)
    # A gradient of 0 is allowed as it is: 0 · 1.
    factor = (allowed / _unit_norm(gradient).clamp_(min=1e-30)).clamp_(max=1.0)
    return gradient * factor
