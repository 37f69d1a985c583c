"""Closed vocabularies, and the one notation for sizes; no imports beyond errors."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from cnncli.errors import CnncliError

Split = Literal["train", "val", "test"]
SplitChoice = Literal["train", "val", "test", "all"]
ResizeMode = Literal["squash", "pad", "crop"]
Interpolation = Literal["area", "bilinear", "bicubic"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
ActivationName = Literal["relu", "leaky_relu", "elu", "gelu", "mish", "silu", "tanh", "sigmoid"]
NormName = Literal["batch", "layer", "instance", "group", "none"]
BatchNormMode = Literal["frozen", "train"]
OptimizerName = Literal[
    "sgd",
    "momentum",
    "nesterov",
    "adagrad",
    "adadelta",
    "rmsprop",
    "adam",
    "nadam",
    "adamw",
    "radam",
    "lion",
    "ranger",
    "ranger21",
]
SchedulerName = Literal["cosine", "onecycle", "step", "multistep", "plateau", "linear", "constant"]
LossName = Literal["cross_entropy", "focal", "bce", "ordinal"]
PrunerName = Literal["median", "hyperband", "none"]
LogName = Literal["tensorboard", "mlflow", "wandb"]
Balance = Literal["none", "loss", "sampler"]
RowFormat = Literal["table", "csv", "json", "jsonl"]
ReportFormat = Literal["table", "json"]
OnBadImage = Literal["error", "skip"]
OnNan = Literal["error", "rollback"]
# What a run's settings stand under, in this order: in help, in YAML and in the documentation.
Heading = Literal[
    "Most used",
    "Data",
    "Network",
    "Transfer",
    "Images",
    "Optimisation",
    "Regularisation",
    "Stopping and saving",
    "Device",
    "Output",
]

SPLITS: tuple[Split, ...] = ("train", "val", "test")


@dataclass(frozen=True)
class IntensityRule:
    """How the stored values that become 0 and 1 are found.

    Attributes:
        kind: ``full``: the type's own full scale; ``values``: these two; ``percentiles``: of the
            training images.
        low: A stored value, or percent.
        high: Likewise, above ``low``.
    """

    kind: Literal["full", "values", "percentiles"]
    low: float = 0.0
    high: float = 1.0


def parse_windows(text: str) -> tuple[IntensityRule, ...]:
    """Read ``"full"``, ``"0:4095"`` or ``"p1:p99"``, or one of them per file joined by commas.

    Raises:
        CnncliError: If the text is none of them.
    """
    return tuple(_parse_window(part.strip()) for part in text.split(","))


def _parse_window(text: str) -> IntensityRule:
    if text == "full":
        return IntensityRule("full")
    number = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
    match = re.fullmatch(rf"(p?)({number}):(p?)({number})", text)
    low, high = (float(match[2]), float(match[4])) if match else (0.0, 0.0)
    if match is None or match[1] != match[3] or math.isinf(low - high):
        raise CnncliError(
            f"intensity: {text!r} is no window: write full, LOW:HIGH (0:4095, -1000:400) or "
            "percentiles pLOW:pHIGH (p1:p99)"
        )
    if low >= high:
        raise CnncliError(f"intensity: {text!r}: LOW must lie below HIGH")
    if match[1] and not 0 <= low < high <= 100:
        raise CnncliError(f"intensity: {text!r}: percentiles lie between 0 and 100")
    return IntensityRule("percentiles" if match[1] else "values", low, high)


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_duration(text: str) -> float:
    """Read ``90s``, ``30m``, ``2h`` or ``1h30m`` as seconds.

    Raises:
        CnncliError: If the text is none of them.
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([smhd])", text)
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if not seconds or re.sub(r"(\d+(?:\.\d+)?)\s*([smhd])\s*", "", text.strip()):
        raise CnncliError(f"time: {text!r} is no time; write 90s, 30m, 2h or 1h30m")
    return seconds


def parse_shard(text: str) -> tuple[int, int]:
    """Read ``2/8`` as (2, 8): the second of eight.

    Raises:
        CnncliError: If the text is no such pair.
    """
    match = re.fullmatch(r"(\d+)/(\d+)", text.strip())
    number, of = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= number <= of:
        raise CnncliError(f"shard: {text!r} is none; write I/N, from 1/N to N/N, such as 2/8")
    return number, of


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
