"""Count the multiply-accumulates of one operation of torch."""

from __future__ import annotations

from math import prod

from cnncli.models.tracing.operation import Call


def count_call_macs(call: Call) -> int:
    """Return the multiply-accumulates of a convolution or a matrix product, 0 for the rest.

    Attention counts as its two matrix products. Biases, norms, activations and pooling are not
    counted. FLOPs are about twice as many. `cnncli.arithmetic.convolution.count_macs` counts in
    the same way.

    Source: the convention of fvcore and of torchvision's published GFLOPS (``_ops``).
    """
    a = call.arguments
    if call.name == "convolution":
        weight = tuple(a["weight"].shape)
        # The weight has shape (K, C / groups, …), and each of its values is multiplied once per
        # output pixel; transposed (C, K / groups, …), and once per input pixel.
        positions = prod(a["input"].shape[2:]) if a["transposed"] else prod(call.shapes[0][2:])
        return int(a["input"].shape[0] * prod(weight) * positions)
    if call.name in ("mm", "addmm", "bmm", "baddbmm"):
        left = a["mat1"] if call.name == "addmm" else a["batch1"] if "batch1" in a else a["self"]
        return int(prod(call.shapes[0]) * left.shape[-1])
    return 0
