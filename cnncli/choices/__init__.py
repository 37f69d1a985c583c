"""The values of options with fixed choices, and the notations for sizes, times and shards."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from cnncli.errors import CnncliError, clip, count_of

Split = Literal["train", "val", "test"]
SplitChoice = Literal["train", "val", "test", "all"]
ResizeMode = Literal["squash", "pad", "crop"]
Interpolation = Literal["area", "bilinear", "bicubic"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
Engine = Literal["auto", "torch", "onnx", "openvino"]
ExportFormat = Literal["onnx", "openvino"]
ActivationName = Literal["relu", "leaky_relu", "elu", "gelu", "mish", "silu", "tanh", "sigmoid"]
NormName = Literal["batch", "layer", "instance", "group", "none"]
BatchNormMode = Literal["frozen", "train"]
HeadStart = Literal["fit", "epochs"]
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
Calibration = Literal["none", "temperature"]
RowFormat = Literal["table", "csv", "json", "jsonl"]
ReportFormat = Literal["table", "json"]
Aggregate = Literal["mean", "max", "vote"]
OnBadImage = Literal["error", "skip"]
OnNan = Literal["error", "rollback"]
# The endings of exported files; OpenVINO's .xml has a .bin beside it.
EXPORT_SUFFIXES: dict[ExportFormat, str] = {"onnx": ".onnx", "openvino": ".xml"}

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
    """How to find the stored values of an image file that become 0 and 1.

    Attributes:
        kind: ``full``: 0 and the greatest value of the number type. ``values``: ``low`` and
            ``high`` themselves. ``percentiles``: the percentiles ``low`` and ``high`` of the
            values in the images.
        low: A stored value, or a percentage 0–100; not used by ``full``.
        high: Likewise, greater than ``low``.
    """

    kind: Literal["full", "values", "percentiles"]
    low: float = 0.0
    high: float = 1.0


def parse_intensity(text: str) -> tuple[IntensityRule, ...]:
    """Parse what ``--intensity`` says.

    Args:
        text: ``full``, two stored values such as ``0:4095``, or two percentiles such as
            ``p1:p99``; or several of these joined by commas, one for each file of a sample.

    Returns:
        One rule for each part of the text.

    Raises:
        CnncliError: If a part is none of them, or its range is empty.
    """
    return tuple(_parse_rule(part.strip().lower()) for part in text.split(","))


def _parse_rule(text: str) -> IntensityRule:
    if text == "full":
        return IntensityRule("full")
    number = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
    match = re.fullmatch(rf"(p?)({number}):(p?)({number})", text)
    low, high = (float(match[2]), float(match[4])) if match else (0.0, 0.0)
    if match is None or match[1] != match[3] or math.isinf(low - high):
        raise CnncliError(
            f"intensity: {clip(text)!r} is no window: write full, LOW:HIGH (0:4095, -1000:400) or "
            "percentiles pLOW:pHIGH (p1:p99)"
        )
    if low >= high:
        raise CnncliError(f"intensity: {clip(text)!r}: LOW must lie below HIGH")
    if match[1] and not 0 <= low < high <= 100:
        raise CnncliError(f"intensity: {clip(text)!r}: percentiles lie between 0 and 100")
    return IntensityRule("percentiles" if match[1] else "values", low, high)


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_duration(text: str) -> float:
    """Parse a time such as ``90s``, ``30m``, ``2h``, ``1h30m`` or ``2d``.

    Returns:
        Seconds, above 0.

    Raises:
        CnncliError: If the text is no such time.
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([smhd])", text)
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if not seconds or re.sub(r"(\d+(?:\.\d+)?)\s*([smhd])\s*", "", text.strip()):
        raise CnncliError(f"time: {clip(text)!r} is no time; write 90s, 30m, 2h or 1h30m")
    return seconds


def parse_shard(text: str) -> tuple[int, int]:
    """Parse a shard such as ``2/8``, the second of eight.

    Returns:
        The number of the shard, from 1, and the number of shards.

    Raises:
        CnncliError: If the text is no such pair.
    """
    match = re.fullmatch(r"(\d+)/(\d+)", text.strip())
    number, of = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= number <= of:
        raise CnncliError(f"shard: {clip(text)!r} is none; write I/N, from 1/N to N/N, such as 2/8")
    return number, of


def parse_size(text: str, *, what: str = "size") -> tuple[int, int]:
    """Parse ``"224"`` or ``"224x320"`` as (height, width).

    Args:
        text: A positive whole number, or two joined by ``x``.
        what: Name of the value in the error message.

    Raises:
        CnncliError: If the text is neither, or a number is below 1.
    """
    match = re.fullmatch(r"\s*(\d+)(?:\s*[xX×]\s*(\d+))?\s*", text)
    if not match or int(match[1]) < 1 or int(match[2] or match[1]) < 1:
        raise CnncliError(
            f"{what}: {clip(text)!r} is not a size; write a number of at least 1 or HEIGHTxWIDTH, "
            "such as 224 or 224x320"
        )
    return int(match[1]), int(match[2] or match[1])


def format_size(size: tuple[int, int]) -> str:
    """Return ``"224"`` for a square, otherwise ``"224x320"`` (height × width)."""
    height, width = size
    return str(height) if height == width else f"{height}x{width}"


def format_channels(channels: int) -> str:
    """Return ``"1 channel"``, or ``"3 channels"`` for any other number."""
    return count_of(channels, "channel")
