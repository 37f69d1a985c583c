"""What training minimises: four losses of the softmax's probabilities.

A network's K logits mean one thing in every command: their softmax is what evaluate, predict and
Grad-CAM show. So each loss here is one of these probabilities p, and each but focal is lowest
where p is the truth: what is shown stays a probability whatever the loss was.

* ``cross_entropy``: ``-log p_y``.
* ``focal``: ``-(1 - p_y)^γ log p_y``: what is easy already counts less. It pulls p away from 0
  and 1 (J. Mukhoti et al., 2020, arXiv:2002.09437). Source: T.-Y. Lin et al. (2017), Focal Loss
  for Dense Object Detection, arXiv:1708.02002, eq. 4, for K classes.
* ``bce``: binary cross-entropy of each class against the rest, summed over classes:
  ``-log p_y - Σ_{k≠y} log(1 - p_k)``. The usual form takes K sigmoids instead, each class a problem
  of its own, so that an image may be none of the classes; but then the softmax of the logits is
  overconfident (true 0.9 is shown as 0.99 with ten classes), and their sigmoids sum to no 1.
* ``ordinal``: classes in an order; binary cross-entropy of "above class k" for each k, summed over
  the K - 1 thresholds: a miss by two grades costs more than one by one. Source: the thresholds:
  E. Frank & M. Hall (2001), A Simple Approach to Ordinal Classification; as one network's loss:
  Z. Niu et al. (2016), Ordinal Regression with Multiple Output CNN. Theirs gives each threshold a
  logit of its own; here P(above k) is the sum of p over what lies above, as in the squared earth
  mover's distance of L. Hou et al. (2016), arXiv:1611.05916, so that it never rises with k.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.nn import functional

from cnncli.choices import LossName

# Of logits (N, K), targets (N, K) and γ: the sum over the batch. Linear in the targets.
Formula = Callable[[torch.Tensor, torch.Tensor, float], torch.Tensor]


def build_loss(
    name: LossName,
    num_classes: int,
    *,
    label_smoothing: float = 0.0,
    class_weights: Sequence[float] | None = None,
    gamma: float = 2.0,
) -> nn.Module:
    """Return a loss of logits (N, K) and targets (N,) int64 or (N, K) shares: a mean over N.

    Args:
        name: Of the four above.
        num_classes: K.
        label_smoothing: Share of each target, 0–1, spread over all K classes alike.
        class_weights: K factors; an image's loss is multiplied by that of its class. Unlike in
            torch's CrossEntropyLoss the batch's mean is not divided by its images' weights: a
            batch of heavy classes weighs more, and the mean over uneven batches is exact.
        gamma: Of ``focal``, 0 or above; 0 is cross-entropy.
    """
    if name == "cross_entropy" and class_weights is None:
        return nn.CrossEntropyLoss(label_smoothing=label_smoothing)
    return ClassLoss(name, num_classes, label_smoothing, class_weights, gamma)


class ClassLoss(nn.Module):
    """A loss with its settings; class weights move with it to a device."""

    def __init__(
        self,
        name: LossName,
        num_classes: int,
        label_smoothing: float = 0.0,
        class_weights: Sequence[float] | None = None,
        gamma: float = 2.0,
    ) -> None:
        super().__init__()
        if class_weights is not None and len(class_weights) != num_classes:
            raise ValueError(f"{len(class_weights)} weights for {num_classes} classes")
        self.formula = FORMULAS[name]
        self.num_classes = num_classes
        self.label_smoothing = label_smoothing
        self.gamma = gamma
        weights = torch.tensor([1.0] * num_classes if class_weights is None else class_weights)
        self.register_buffer("weights", weights, persistent=False)
        self.weights: torch.Tensor

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the mean over the batch."""
        if targets.ndim == 1:
            targets = functional.one_hot(targets, self.num_classes)
        shares = targets.to(logits.dtype)
        shares = shares * (1 - self.label_smoothing) + self.label_smoothing / self.num_classes
        return self.formula(logits, shares * self.weights, self.gamma) / len(logits)


def _cross_entropy(logits: torch.Tensor, targets: torch.Tensor, gamma: float) -> torch.Tensor:
    return -(targets * logits.log_softmax(1)).sum()


def _focal(logits: torch.Tensor, targets: torch.Tensor, gamma: float) -> torch.Tensor:
    log_p = logits.log_softmax(1)
    if gamma == 0:
        return -(targets * log_p).sum()
    # Not 0 where p is 1: the slope of x^γ there is infinite for γ below 1.
    rest = (-torch.expm1(log_p)).clamp(min=torch.finfo(log_p.dtype).tiny)
    return -(targets * rest**gamma * log_p).sum()


def _bce(logits: torch.Tensor, targets: torch.Tensor, gamma: float) -> torch.Tensor:
    log_p = logits.log_softmax(1)
    log_rest = _log_complement(logits, log_p)
    others = targets.sum(1, keepdim=True) - targets
    return -(targets * log_p + others * log_rest).sum()


def _log_complement(logits: torch.Tensor, log_p: torch.Tensor) -> torch.Tensor:
    """Return log(1 - p) without cancelling: only the largest p can be near 1."""
    top = logits.argmax(1, keepdim=True)
    is_top = torch.zeros_like(logits, dtype=torch.bool).scatter(1, top, value=True)
    others = logits.masked_fill(is_top, -torch.inf)
    of_top = others.logsumexp(1, keepdim=True) - logits.logsumexp(1, keepdim=True)
    # At the top itself the other branch is not used, but its gradient must be finite too.
    of_rest = torch.log1p(-log_p.masked_fill(is_top, -1.0).exp())
    return torch.where(is_top, of_top, of_rest)


def _ordinal(logits: torch.Tensor, targets: torch.Tensor, gamma: float) -> torch.Tensor:
    num_classes = logits.shape[1]
    classes = torch.arange(num_classes, device=logits.device)
    above = classes > classes[:-1, None]  # (K - 1, K)
    every = logits[:, None, :]
    # Sums of p over classes, in logs: (N, K - 1).
    total = logits.logsumexp(1, keepdim=True)
    log_above = every.masked_fill(~above, -torch.inf).logsumexp(2) - total
    log_below = every.masked_fill(above, -torch.inf).logsumexp(2) - total
    target_above = targets @ above.T.to(targets.dtype)
    target_below = targets.sum(1, keepdim=True) - target_above
    return -(target_above * log_above + target_below * log_below).sum()


FORMULAS: dict[LossName, Formula] = {
    "cross_entropy": _cross_entropy,
    "focal": _focal,
    "bce": _bce,
    "ordinal": _ordinal,
}
