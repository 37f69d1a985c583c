"""The operating point that ``evaluate`` stored in the run's ``decision.json``, for the page."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnncli.errors import CnncliError
from cnncli.files import MOST_OF_TABLE, read_file

FILE = "decision.json"


@dataclass(frozen=True)
class OperatingPoint:
    """What the run does with its probabilities besides taking the largest.

    Attributes:
        told: What is stored, in words.
        positive: Number of the positive class; None where no threshold is stored.
        threshold: Least probability, as the network gives it, for an image to be called that class;
            None where none is stored, or where a temperature changes the probabilities of more than
            two classes.
        abstain: Answers less sure than this are withheld; None where none is stored, or as above.
    """

    told: str
    positive: int | None
    threshold: float | None
    abstain: float | None


def read_operating_point(
    folder: Path, digest: str, class_names: Sequence[str]
) -> OperatingPoint | None:
    """Return the stored operating point; None if there is none.

    Args:
        folder: The run's folder.
        digest: The digest of its weights.
        class_names: Its classes.

    Raises:
        CnncliError: If the file cannot be used, or is of other weights.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        content = json.loads(read_file(path, most=MOST_OF_TABLE))
        names, weights = list(content["class_names"]), content["weights"]
        temperature, threshold, abstain = (
            _read_number(content, key) for key in ("temperature", "threshold", "abstain_below")
        )
        positive = None if threshold is None else names.index(content["positive"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CnncliError(f"{path}: cannot be used ({error!r})") from None
    if names != list(class_names) or weights != digest:
        raise CnncliError(f"{path}: of other weights than those of the run")
    told = [] if temperature is None else [f"temperature {temperature:.4g}"]
    if threshold is not None:
        rule = content.get("operating_point")
        chosen = f" ({rule}, chosen on val)" if rule else ""
        told.append(f"threshold {threshold:.4g} for class {content['positive']}{chosen}")
    told += [] if abstain is None else [f"no answer below {abstain:g}"]
    if temperature is not None:
        both = len(names) == 2
        threshold = _without(temperature, threshold) if both else None
        abstain = _without(temperature, abstain) if both else None
    return OperatingPoint(", ".join(told), positive, threshold, abstain)


def _read_number(content: Mapping[str, Any], key: str) -> float | None:
    value = content.get(key)
    return None if value is None else float(value)


def _without(temperature: float, value: float | None) -> float | None:
    """Return the probability that a temperature turns into a value, of one of two classes."""
    if value is None or not 0 < value < 1:
        return value
    return 1 / (1 + math.exp(-temperature * math.log(value / (1 - value))))
