"""The values in a pipeline: ranges, numbers and literals, parsed, checked and formatted."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Mapping
from typing import Any

from cnncli.augmentation.words import RANGES, Argument
from cnncli.errors import CnncliError, clip

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_CONSTANTS = {"true": True, "false": False, "none": None, "null": None}


def parse_value(argument: Argument, value: object) -> Any:
    """Parse and check the value of one argument of a word.

    Args:
        argument: The argument.
        value: A text such as ``10`` or ``0.8:1.2``, or a number or list from YAML.

    Returns:
        A range as a list of its two ends, a number, or the text of a choice.

    Raises:
        CnncliError: If the value is of another kind, or outside the limits of the argument.
    """
    if argument.kind == "choice":
        if value not in argument.choices:
            known = ", ".join(argument.choices)
            raise CnncliError(f"{argument.name} {value}: must be one of {known}")
        return value
    if argument.kind in RANGES:
        ends = _parse_range(argument, value)
        whole = argument.whole
    else:
        ends, whole = [_parse_number(argument, value)], argument.kind == "count"
    for end in ends:
        if not argument.low <= end <= argument.high:
            raise CnncliError(
                f"{argument.name} {_format(value)}: must lie from {argument.low:g} to "
                f"{argument.high:g} ({argument.about})"
            )
        if whole and end != int(end):
            raise CnncliError(f"{argument.name} {_format(value)}: must be a whole number")
    ends = [int(end) if whole else end for end in ends]
    return ends if argument.kind in RANGES else ends[0]


def _parse_range(argument: Argument, value: object) -> list[float]:
    """Return the two ends of a range; a single number stands for the range of its kind."""
    if isinstance(value, str) and ":" in value:
        value = value.split(":")
    if isinstance(value, list | tuple):
        if len(value) != 2:
            raise CnncliError(f"{argument.name} {_format(value)}: a range has two ends, A:B")
        low, high = (_parse_number(argument, end) for end in value)
        if low > high:
            raise CnncliError(f"{argument.name} {_format(value)}: the range is empty")
        return [low, high]
    number = _parse_number(argument, value)
    if argument.kind == "signed" and number < 0:
        raise CnncliError(f"{argument.name} {number}: a number alone is both ways; or a range A:B")
    if argument.kind == "factor" and not 0 <= number < 1:
        raise CnncliError(
            f"{argument.name} {number}: a number alone, below 1, is a change both ways, 0.2 for "
            "0.8:1.2; or a range A:B"
        )
    return {
        "signed": [-number, number],
        "factor": [round(1 - number, 12), round(1 + number, 12)],
        "share": [number, 1],
        "exact": [number, number],
    }[argument.kind]


def _parse_number(argument: Argument, value: object) -> float:
    number = _number_or_none(value) if isinstance(value, str) else value
    if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
        example = "a number or a range A:B" if argument.kind in RANGES else "a number"
        raise CnncliError(f"{argument.name} {_format(value)}: must be {example}")
    return number


def _number_or_none(text: str) -> float | None:
    """Return the number that a text is, an int if it has no point; None if it is no number."""
    text = text.strip()
    if re.fullmatch(r"[+-]?\d+", text):
        return int(text)
    return float(text) if re.fullmatch(_NUMBER, text) else None


def parse_literal(value: object) -> Any:
    """Parse the argument of a class of Albumentations into types that YAML can hold.

    A text is a number, a range ``A:B``, a literal of Python, or else a word. Quotes keep white
    space together, but a number in quotes is still a number. A result that is parsed again does
    not change.

    Args:
        value: A text, or a value from YAML.

    Raises:
        CnncliError: If a text is code, or the value is of a type that YAML cannot hold.
    """
    if isinstance(value, str):
        return _parse_text_literal(value)
    if isinstance(value, list | tuple):
        return [parse_literal(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): parse_literal(item) for key, item in value.items()}
    if (
        value is None
        or isinstance(value, int)
        or (isinstance(value, float) and math.isfinite(value))
    ):
        return value
    raise CnncliError(f"{clip(repr(value))}: must be a number, a text, a list or a mapping")


def _parse_text_literal(value: str) -> Any:
    text = value.strip()
    if text.lower() in _CONSTANTS:
        return _CONSTANTS[text.lower()]
    ends = [_number_or_none(end) for end in text.split(":")]
    if None not in ends and len(ends) <= 2:
        return parse_literal(ends if len(ends) == 2 else ends[0])
    try:
        read = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        if re.search(r"[()\[\]{}]", text):
            raise CnncliError(f"{clip(text)}: not a literal; arguments are never code") from None
        return text
    return read if read == text else parse_literal(read)


def plain(default: object) -> object:
    """Return a default value as YAML holds it: a range as a list."""
    return list(default) if isinstance(default, tuple) else default


def format_value(argument: Argument, value: Any) -> str:
    """Return a value as text that :func:`parse_value` parses to the same value."""
    alone = argument.kind == "exact" and value[0] == value[1]
    return _format(value[0] if alone else value)


def _format(value: object) -> str:
    if isinstance(value, list | tuple):
        return ":".join(map(str, value))
    return str(value)


def format_literal(value: object) -> str:
    """Return the argument of a class as text that :func:`parse_literal` parses to the same."""
    if isinstance(value, str) and re.fullmatch(r"[\w./+-]+", value):
        return value
    return repr(value)
