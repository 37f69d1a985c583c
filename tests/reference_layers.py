"""The same layers in torch, in float64: what the tests of this folder compare with."""

import torch
from torch.nn import functional as F  # noqa: N812

from cnncli.convolving.values import Values


def to_tensor(values):
    return torch.tensor(list(values.numbers), dtype=torch.float64).reshape(1, *values.shape)


def to_values(tensor):
    """Return (1, C, H, W) or (1, N) as values, whole numbers as ints."""
    numbers = [int(x) if float(x).is_integer() else x for x in tensor.reshape(-1).tolist()]
    return Values(tuple(tensor.shape[1:]), numbers)


def pad_same(size, kernel, stride, dilation):
    """Return TensorFlow's padding (before, after) along one direction."""
    total = max((-(-size // stride) - 1) * stride + dilation * (kernel - 1) + 1 - size, 0)
    return total // 2, total - total // 2


def convolve(x, weights, *, stride, padding, dilation, mode="zeros", bias=None):
    """Return torch's correlation of x (1, C, H, W) with weights (K, C, h, w).

    Args:
        stride, dilation: Pairs (down, right).
        padding: A pair, or "same".
    """
    sizes, kernel = x.shape[2:], weights.shape[2:]
    if padding == "same":
        pads = [pad_same(*each) for each in zip(sizes, kernel, stride, dilation, strict=True)]
    else:
        pads = [(side, side) for side in padding]
    x = F.pad(x, (*pads[1], *pads[0]), mode="constant" if mode == "zeros" else "reflect")
    return F.conv2d(x, weights, bias, stride=stride, dilation=dilation)
