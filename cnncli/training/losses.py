"""The four losses that training can minimise, all of the softmax's probabilities.

Every command shows the softmax of a network's K logits as probabilities. So each loss here is a
function of these probabilities p, and each except focal is lowest where p is the true
probability: they stay probabilities whatever the loss was. y is the true class.

* ``cross_entropy``: ``-log p_y``.
* ``focal``: ``-(1 - p_y)^γ log p_y``: images that are classified well count less. It pulls p away
  from 0 and 1 (J. Mukhoti et al., 2020, arXiv:2002.09437). Source: T.-Y. Lin et al. (2017), Focal
  Loss for Dense Object Detection, arXiv:1708.02002, eq. 4, for K classes.
* ``bce``: binary cross-entropy of each class against the rest, summed over classes:
  ``-log p_y - Σ_{k≠y} log(1 - p_k)``. The usual form takes K sigmoids instead, one for each class,
  so that an image may belong to no class. But then the softmax of the logits is overconfident (a
  true 0.9 is shown as 0.99 with ten classes), and the sigmoids do not sum to 1.
* ``ordinal``: for classes with an order. Binary cross-entropy of "above class k", summed over the
  K - 1 thresholds k: a mistake by two grades costs more than a mistake by one. Source: for the
  thresholds: E. Frank & M. Hall (2001), A Simple Approach to Ordinal Classification; for the
  loss of one network: Z. Niu et al. (2016), Ordinal Regression with Multiple Output CNN. Theirs has
  a logit for each threshold; here P(above k) is the sum of p over the classes above k, as in the
  squared earth mover's distance of L. Hou et al. (2016), arXiv:1611.05916, so that it never rises
  with k.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.nn import functional

from cnncli.choices import LossName

# Takes logits (N, K), target probabilities (N, K) and γ, and returns the sum of the loss over the
# batch. It is linear in the targets.
Formula = Callable[[torch.Tensor, torch.Tensor, float], torch.Tensor]


def build_loss(
    name: LossName,
    num_classes: int,
    *,
    label_smoothing: float = 0.0,
    class_weights: Sequence[float] | None = None,
    gamma: float = 2.0,
) -> nn.Module:
    """Return a loss as a module.

    It takes logits (N, K) and targets, class numbers (N,) int64 or probabilities (N, K), and
    returns the mean over the N images.

    Args:
        name: The loss's name.
        num_classes: Number of classes K.
        label_smoothing: Fraction of each target, 0-1, that is spread evenly over all K classes.
        class_weights: K factors; the loss of an image is multiplied by the factor of its class.
            Unlike in torch's CrossEntropyLoss, the sum over a batch is divided by its number of
            images and not by the sum of their weights. So a batch of images with large weights
            counts more, and the mean over batches of different sizes is exact.
        gamma: The γ of ``focal``, 0 or above; 0 gives cross-entropy.
    """
    if name == "cross_entropy" and class_weights is None:
        return nn.CrossEntropyLoss(label_smoothing=label_smoothing)
    return ClassLoss(name, num_classes, label_smoothing, class_weights, gamma)


class ClassLoss(nn.Module):
    """One of the four losses with its settings, as :func:`build_loss` describes them.

    Attributes:
        formula: The loss's formula.
        num_classes: Number of classes K.
        label_smoothing: Fraction of each target, 0-1, that is spread evenly over all K classes.
        gamma: The γ of ``focal``.
        weights: The K class weights, on the module's device.
    """

    def __init__(
        self,
        name: LossName,
        num_classes: int,
        label_smoothing: float = 0.0,
        class_weights: Sequence[float] | None = None,
        gamma: float = 2.0,
    ) -> None:
        """Set what :func:`build_loss` describes.

        Args:
            name: The loss's name.
            num_classes: Number of classes K.
            label_smoothing: Fraction of each target, 0-1.
            class_weights: K factors; None for 1 each.
            gamma: The γ of ``focal``.

        Raises:
            ValueError: If the number of class weights is not K.
        """
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
        """Return the mean loss over the batch.

        Args:
            logits: (N, K).
            targets: Class numbers (N,) int64, or probabilities (N, K).
        """
        if targets.ndim == 1:
            targets = functional.one_hot(targets, self.num_classes)
        soft_targets = targets.to(logits.dtype) * (1 - self.label_smoothing)
        soft_targets = soft_targets + self.label_smoothing / self.num_classes
        return self.formula(logits, soft_targets * self.weights, self.gamma) / len(logits)


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
    """Return log(1 - p) without loss of digits: only the largest p can be near 1."""
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
