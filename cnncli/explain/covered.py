"""Where on the network's input the cells of a layer's map lie.

Tools spread a map evenly over the image. The cells are not there: without padding they leave a
border, and with the padding of a stride of 2 each lies above and left of its even share, in a
ResNet by half a cell.
"""

from __future__ import annotations

import torch
from torch import nn

from cnncli.images.placement import WHOLE, Box
from cnncli.models.tracing.receptive_field import Span
from cnncli.models.tracing.trace import trace_network


def find_covered(network: nn.Module, image: torch.Tensor, name: str, grid: tuple[int, int]) -> Box:
    """Return the part of the input that the cells of a map cover, in fractions of its size.

    Each cell is as large as the distance to the next one, and its middle is the middle of the
    pixels that it sees. Where that is not known, the cells are spread evenly.

    Args:
        network: In eval mode; takes normalised images (N, C, H, W).
        image: (1, C, H, W) an image.
        name: The layer, whose output is (N, C, h, w), (N, h, w, C) or tokens.
        grid: (h, w).
    """
    _, channels, height, width = image.shape
    try:
        field = trace_network(network, (height, width), channels)[name].field
    except (RuntimeError, ValueError, AssertionError, NotImplementedError):
        return WHOLE  # a network that only runs on numbers
    if field is None:
        return WHOLE
    (top, rows), (left, columns) = map(_part, field.spans, grid)
    return Box(top, left, rows, columns)


def _part(span: Span, count: int) -> tuple[float, float]:
    """Return where ``count`` cells along an axis begin, and how long they are, as fractions."""
    if count == 1 or span.centres is None or span.jump is None:
        return 0, 1
    first = sum(span.centres) / 2 - span.jump / 2
    return first / span.image, span.jump * count / span.image
