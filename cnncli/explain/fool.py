"""The smallest step along the sign of the gradient that changes a classifier's answer (FGSM).

Source: I. Goodfellow, J. Shlens, C. Szegedy (2015), Explaining and Harnessing Adversarial Examples,
ICLR.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from cnncli.arrays import Array

LEVELS = 255  # of 8 bits: the unit of the steps
LARGEST = 64  # levels: a quarter of full scale
# Steps that are tried, in levels: quarters up to 2, then whole ones.
STEPS = (*(quarter / 4 for quarter in range(1, 8)), *range(2, LARGEST + 1))
_HALVINGS = 8  # of the distance between the last step that fails and the first that succeeds
_BATCH = 8

# Takes images (N, H, W, C) from 0 to 1 and returns logits (N, K).
Logits = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Fooled:
    """What was found.

    Attributes:
        changed: Whether a step changed the answer as wanted.
        epsilon: The smallest one found, in levels of 1/255; the largest one tried if none did.
        missed: The largest step below it that was tried, in levels; it did not change the answer.
        image: (H, W, C) float32 from 0 to 1, after the step.
        probabilities: (K,) of that image.
    """

    changed: bool
    epsilon: float
    missed: float
    image: Array
    probabilities: Array


def find_direction(logits: Logits, image: torch.Tensor, answer: int, target: int | None) -> Array:
    """Return the sign of the gradient of the loss with respect to the pixels.

    The loss is the cross-entropy, of the answer upwards or of the target downwards. Its gradient is
    that of the margin between the class and all others together, times a positive number that
    rounds to 0 where the classifier is certain. So the margin is differentiated in its place.

    Args:
        logits: The classifier.
        image: (H, W, C) from 0 to 1.
        answer: The class that is left.
        target: The class to reach; None for any other.

    Returns:
        (H, W, C) float32 of -1, 0 and 1.
    """
    batch = image[None].clone().requires_grad_()
    scores = logits(batch)[0]
    chosen = answer if target is None else target
    others = torch.cat([scores[:chosen], scores[chosen + 1 :]])
    margin = torch.logsumexp(others, dim=0) - scores[chosen]
    (gradient,) = torch.autograd.grad(margin, batch)
    sign: Array = gradient[0].sign().numpy()
    return sign if target is None else -sign


def find_step(
    logits: Logits, image: torch.Tensor, direction: Array, answer: int, target: int | None
) -> Fooled:
    """Find the smallest step in a direction that changes the answer, or that reaches the target.

    The steps in `STEPS` are tried from the smallest on. The distance between the first that
    succeeds and the one before is then halved several times. A smaller step that succeeds could lie
    between two that were tried and fail.

    Args:
        logits: The classifier.
        image: (H, W, C) from 0 to 1; the stepped image is cut off at 0 and 1.
        direction: (H, W, C) of -1, 0 and 1.
        answer: The class to leave.
        target: The class to reach; None for any other.
    """
    way = torch.from_numpy(direction)

    def ask(steps: Array) -> tuple[torch.Tensor, Array, Array]:
        sizes = torch.from_numpy(steps.astype(np.float32)).view(-1, 1, 1, 1) / LEVELS
        images = (image + sizes * way).clamp(0, 1)
        with torch.no_grad():
            probabilities = logits(images).double().softmax(dim=1).numpy()
        classes = probabilities.argmax(axis=1)
        return images, probabilities, classes != answer if target is None else classes == target

    steps = np.array(STEPS, np.float64)
    missed, found = 0.0, None
    for start in range(0, len(steps), _BATCH):
        part = steps[start : start + _BATCH]
        hits = np.flatnonzero(ask(part)[2])
        if len(hits):
            found = float(part[hits[0]])
            missed = float(steps[start + hits[0] - 1]) if start + hits[0] else 0.0
            break
    changed = found is not None
    epsilon = float(steps[-1]) if found is None else found
    if found is None:
        missed = epsilon
    else:
        for _ in range(_HALVINGS):
            middle = (missed + epsilon) / 2
            missed, epsilon = (
                (missed, middle) if ask(np.array([middle]))[2][0] else (middle, epsilon)
            )
    images, probabilities, _ = ask(np.array([epsilon]))
    return Fooled(changed, epsilon, missed, images[0].numpy(), probabilities[0])


def find_whole_step(
    logits: Logits, image: torch.Tensor, direction: Array, answer: int, target: int | None
) -> int | None:
    """Return the smallest step of whole levels that succeeds on the image rounded to 8 bits.

    Args:
        logits: The classifier.
        image: (H, W, C) from 0 to 1.
        direction: (H, W, C) of -1, 0 and 1.
        answer: The class to leave.
        target: The class to reach; None for any other.

    Returns:
        A number of levels, or None if none up to `LARGEST` succeeds.
    """
    levels = np.rint(image.numpy() * LEVELS)
    for step in range(1, LARGEST + 1):
        if answers_as_wanted(logits, levels + step * direction, answer, target):
            return step
    return None


def answers_as_wanted(logits: Logits, levels: Array, answer: int, target: int | None) -> bool:
    """Return whether an image of 8 bits is given another class, or the target.

    Args:
        logits: The classifier.
        levels: (H, W, C), rounded and cut off to whole levels from 0 to 255.
        answer: The class to leave.
        target: The class to reach; None for any other.
    """
    whole = torch.from_numpy(np.clip(np.rint(levels), 0, LEVELS).astype(np.float32) / LEVELS)
    with torch.no_grad():
        given = int(logits(whole[None])[0].argmax())
    return given != answer if target is None else given == target
