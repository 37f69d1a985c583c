"""Random windows, and the layer of torch that each stands for."""

from __future__ import annotations

import random
from typing import Any

from torch import nn

from cnncli.arithmetic.convolution import SlidingWindow
from cnncli.errors import CnncliError


def random_pair(rng: random.Random, low: int, high: int) -> tuple[int, int]:
    first = rng.randint(low, high)
    return first, first if rng.random() < 0.4 else rng.randint(low, high)


def random_case(rng: random.Random, kind: str) -> tuple[SlidingWindow, tuple[int, int]]:
    window = SlidingWindow(
        kernel=random_pair(rng, 1, 7),
        stride=random_pair(rng, 1, 4),
        padding=random_pair(rng, 0, 3 if kind == "pool" else 5),
        dilation=random_pair(rng, 1, 3),
        output_padding=random_pair(rng, 0, 2) if kind == "transposed" else (0, 0),
        kind=kind,  # type: ignore[arg-type]
        ceil_mode=kind == "pool" and rng.random() < 0.6,
    )
    return window, random_pair(rng, 1, 24)


def build_layer(window: SlidingWindow, mode: str = "max") -> nn.Module:
    options: dict[str, Any] = {"stride": window.stride, "padding": window.padding}
    if window.kind == "pool":
        options["ceil_mode"] = window.ceil_mode
        if mode == "avg":
            return nn.AvgPool2d(window.kernel, **options)
        return nn.MaxPool2d(window.kernel, dilation=window.dilation, **options)
    options.update(dilation=window.dilation)
    if window.kind == "transposed":
        options["output_padding"] = window.output_padding
        return nn.ConvTranspose2d(1, 1, window.kernel, **options)
    return nn.Conv2d(1, 1, window.kernel, **options)


def ask_us(window: SlidingWindow, size: tuple[int, int]) -> tuple[int, int] | None:
    try:
        return window.output(size)
    except CnncliError:
        return None
