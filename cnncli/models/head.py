"""What a network gives in training: logits, and those of auxiliary heads beside them."""

from __future__ import annotations

from collections.abc import Callable

import torch

Criterion = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

# By the number of auxiliary heads, which tells the two networks apart. Source: 0.3: C. Szegedy et
# al. (2014), Going Deeper with Convolutions, section 5; 0.4: the value for torchvision's Inception
# v3 in PyTorch's "Finetuning Torchvision Models" tutorial, and in TensorFlow's slim before it.
AUX_WEIGHTS = {2: 0.3, 1: 0.4}

# A tensor (N, K), or torchvision's named tuple of it and of auxiliary logits (N, K).
Output = torch.Tensor | tuple[torch.Tensor, ...]


def main_logits(output: Output) -> torch.Tensor:
    """Return the logits (N, K) of the head, whatever comes with them."""
    return output if isinstance(output, torch.Tensor) else output[0]


def combine_aux(
    output: Output, targets: torch.Tensor, criterion: Criterion
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the training loss, auxiliary heads joined, and the logits of the head.

    Args:
        output: Of the network; logits are taken to float32 for the criterion.
        targets: (N,).
        criterion: Of logits (N, K) and targets (N,).

    Returns:
        ``loss + weight · Σ aux losses`` and logits (N, K).
    """
    logits = main_logits(output)
    loss = criterion(logits.float(), targets)
    if isinstance(output, torch.Tensor):
        return loss, logits
    aux = [part for part in output[1:] if part is not None]
    for part in aux:
        loss = loss + AUX_WEIGHTS[len(aux)] * criterion(part.float(), targets)
    return loss, logits
