"""Closed vocabularies, and the one notation for sizes; no imports beyond errors."""

from __future__ import annotations

import re
from typing import Literal

from cnncli.errors import CnncliError

Split = Literal["train", "val", "test"]
SplitChoice = Literal["train", "val", "test", "all"]
ResizeMode = Literal["squash", "pad", "crop"]
Interpolation = Literal["area", "bilinear", "bicubic"]
Augment = Literal["none", "light", "medium", "strong"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
Activation = Literal["relu", "leaky_relu", "elu", "gelu", "mish", "silu", "tanh", "sigmoid"]
Norm = Literal["batch", "layer", "instance", "group", "none"]
BatchNormMode = Literal["frozen", "train"]
RowFormat = Literal["table", "csv", "json", "jsonl"]
ReportFormat = Literal["table", "json"]

SPLITS: tuple[Split, ...] = ("train", "val", "test")


def parse_size(text: str, *, what: str = "size") -> tuple[int, int]:
    """Read ``"224"`` or ``"224x320"`` as (height, width).

    Args:
        text: A positive whole number, or two joined by ``x``.
        what: How to name the value in the error.

    Raises:
        CnncliError: If the text is neither, or a number is below 1.
    """
    match = re.fullmatch(r"\s*(\d+)(?:\s*[xX×]\s*(\d+))?\s*", text)
    if not match or int(match[1]) < 1 or int(match[2] or match[1]) < 1:
        raise CnncliError(
            f"{what}: {text!r} is not a size; write a number of at least 1 or HEIGHTxWIDTH, "
            "such as 224 or 224x320"
        )
    return int(match[1]), int(match[2] or match[1])


def format_size(size: tuple[int, int]) -> str:
    """Return ``"224"`` for a square, else ``"224x320"`` (height × width)."""
    height, width = size
    return str(height) if height == width else f"{height}x{width}"
