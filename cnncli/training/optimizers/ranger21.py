"""Ranger21: AdamW with several additions."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.optim import Optimizer


class Ranger21(Optimizer):
    """AdamW with clipped and centred gradients, other decays and Lookahead.

    One step consists of:

    1. adaptive gradient clipping: a unit's gradient has at most 0.01 of its weights' norm;
    2. gradient centralisation: gradients of matrices and kernels get mean 0 over each unit;
    3. positive-negative momentum: two averages, each over the gradients of every other step;
    4. Adam's division by the root of the second moment, of which the largest value so far is taken;
    5. stable weight decay, which is divided by the root of the mean second moment over all
       parameters that move, times norm loss, which pulls the norm of each unit's weights towards 1:
       larger ones shrink, smaller ones grow;
    6. Lookahead, at every 5th step of a parameter.

    A unit is one output of a matrix or kernel. The authors' learning rates (linear warm-up, then
    constant, linear down over the last 28 %) are left to the schedule. The weight decay is
    divided by small numbers: 1e-4 is usual, and AdamW's 0.05 is far too much. With a weight decay
    of 0, as for norms and biases, 5 does nothing.

    A centred gradient is 0 where the gradient is the same for all weights of a unit. So there are
    losses that this optimizer does not minimise.

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
        """Set what the groups do not set themselves.

        Args:
            groups: Parameter groups as torch takes them.
            lr: Learning rate, above 0.
            betas: β1 and β2, decay of the first and the second moment, each 0-1.
            noise: β0, weight of the older of the two averages, which is subtracted.
            eps: Added to divisors to keep them above 0.
            weight_decay: λ, 0 or above.
            clip: τ, largest norm of a unit's gradient as a fraction of its weights' norm.
            clip_eps: Smallest value that is taken for that norm, so that weights of 0 can move.
            k: Number of steps between two updates of Lookahead's slow weights.
            alpha: Fraction of the way that the slow weights move towards the weights, 0-1.
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
        """Take one step; a closure is not supported."""
        moving = [
            (parameter, group)
            for group in self.param_groups
            for parameter in group["params"]
            if parameter.grad is not None
        ]
        if not moving:
            return
        seconds = [self._take_gradient(parameter, group) for parameter, group in moving]
        # It stays on the device: reading it would wait for the gradients.
        device = seconds[0].device
        total = torch.stack([second.sum().to(device) for second in seconds]).sum()
        mean_root = (total / sum(second.numel() for second in seconds)).sqrt()
        for (parameter, group), second in zip(moving, seconds, strict=True):
            self._move(parameter, group, second, mean_root.to(parameter.device))

    def _take_gradient(self, parameter: torch.Tensor, group: dict[str, Any]) -> torch.Tensor:
        """Update a parameter's averages, and return its second moment, corrected for bias."""
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
        # The older of the two averages takes the gradient and so becomes the newer one.
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
        """Change a parameter by a step.

        Args:
            parameter: The parameter.
            group: Its group.
            second: Its second moment, of its shape.
            mean_root: Root of the mean second moment over all parameters, a scalar.
        """
        state, noise, eps = self.state[parameter], group["noise"], group["eps"]
        # The noise of the difference grows with β0; dividing by this length undoes that.
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
    """Return the L2 norm of the weights of each output unit, or of a vector as a whole."""
    dims = tuple(range(1, x.ndim)) if x.ndim > 1 else None
    norm: torch.Tensor = torch.linalg.vector_norm(x, dim=dims, keepdim=x.ndim > 1)
    return norm


def _clip(
    gradient: torch.Tensor, parameter: torch.Tensor, fraction: float, eps: float
) -> torch.Tensor:
    """Return the gradient, each unit's norm cut to a fraction of its weights' norm.

    Source: A. Brock et al. (2021), High-Performance Large-Scale Image Recognition Without
    Normalization, arXiv:2102.06171, eq. 3.
    """
    allowed = fraction * _unit_norm(parameter).clamp_(min=eps)
    # A gradient of 0 stays 0: it is multiplied by 1.
    factor = (allowed / _unit_norm(gradient).clamp_(min=1e-30)).clamp_(max=1.0)
    return gradient * factor
