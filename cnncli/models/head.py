"""The output of a network in training: the logits of its head and of its auxiliary heads."""

from __future__ import annotations

from collections.abc import Callable

import torch

Criterion = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

# The weight of an auxiliary head's loss, by the number of auxiliary heads: GoogLeNet has two, and
# Inception v3 has one. Source: 0.3: C. Szegedy et al. (2014), Going Deeper with Convolutions,
# section 5; 0.4: the value for torchvision's Inception v3 in PyTorch's "Finetuning Torchvision
# Models" tutorial, and in TensorFlow's slim before it.
AUX_WEIGHTS = {2: 0.3, 1: 0.4}

# Logits (N, K), or torchvision's named tuple of these and of the auxiliary heads' logits (N, K).
Output = torch.Tensor | tuple[torch.Tensor, ...]


def main_logits(output: Output) -> torch.Tensor:
    """Return the logits (N, K) of the head, without those of auxiliary heads."""
    return output if isinstance(output, torch.Tensor) else output[0]


def combine_aux(
    output: Output, targets: torch.Tensor, criterion: Criterion
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the training loss, with those of the auxiliary heads, and the logits of the head.

    Args:
        output: Output of the network; the loss is computed in float32.
        targets: Class indices (N,), or whatever ``criterion`` takes.
        criterion: Loss of logits (N, K) and targets.

    Returns:
        ``loss + weight · Σ auxiliary losses``, and the logits (N, K) of the head.
    """
    logits = main_logits(output)
    loss = criterion(logits.float(), targets)
    if isinstance(output, torch.Tensor):
        return loss, logits
    aux = [part for part in output[1:] if part is not None]
    for part in aux:
        loss = loss + AUX_WEIGHTS[len(aux)] * criterion(part.float(), targets)
    return loss, logits
