"""Occlusion: how much a class's probability falls when a part of the image is covered."""

from __future__ import annotations

from collections.abc import Callable

import torch

from cnncli.arrays import Array

# Takes normalised images (N, C, H, W) and returns probabilities (N, K).
Probabilities = Callable[[torch.Tensor], torch.Tensor]

# Most places along a side: at most 196 passes.
MOST_PLACES = 14
# Side of the patch as a share of the image's side.
PATCH = 0.2
_BATCH = 32


def occlusion_map(probabilities: Probabilities, image: torch.Tensor, target: int) -> Array:
    """Cover one place after the other with a grey patch, and see how the probability falls.

    The patch is a fifth of the image high and wide. Its centre stands on at most 14×14 places that
    divide the image evenly; at the edge it is cut off. Its grey is 0 of the normalised image, the
    mean of each channel over the training images.

    Args:
        probabilities: The network with its softmax.
        image: (C, H, W), normalised.
        target: Index of the class.

    Returns:
        (h, w) float64: the class's probability for the image less that for the covered image; below
        0 where covering a place raises it.

    Source: M. D. Zeiler, R. Fergus (2014), Visualizing and Understanding Convolutional Networks,
    section 4.2.
    """
    height, width = image.shape[1:]
    rows, columns = min(MOST_PLACES, height), min(MOST_PLACES, width)
    patch = max(1, round(PATCH * height)), max(1, round(PATCH * width))
    tops = _starts(height, rows, patch[0])
    lefts = _starts(width, columns, patch[1])
    boxes = [(top, left) for top in tops for left in lefts]
    found: list[torch.Tensor] = []
    with torch.no_grad():
        whole = probabilities(image[None])[0, target]
        for start in range(0, len(boxes), _BATCH):
            some = boxes[start : start + _BATCH]
            covered = image.expand(len(some), -1, -1, -1).clone()
            for number, (top, left) in enumerate(some):
                bottom, right = top + patch[0], left + patch[1]
                covered[number, :, max(top, 0) : bottom, max(left, 0) : right] = 0
            found.append(probabilities(covered)[:, target])
    drops = whole.double() - torch.cat(found).double()
    result: Array = drops.view(rows, columns).numpy()
    return result


def _starts(side: int, places: int, patch: int) -> list[int]:
    """Return where the patch begins at each place along a side; below 0 at the first ones."""
    return [round((place + 0.5) * side / places - patch / 2) for place in range(places)]
