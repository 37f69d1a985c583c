"""What ``tune`` searches: the YAML of a run, with the values to try under ``search:``.

data: ./steel
epochs: 10
trials: 30
search:
  lr: {low: 1e-4, high: 1e-2, log: true}
  optimizer: [adamw, sgd]
  dropout: {low: 0, high: 0.5, step: 0.1}
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, get_args

from cnncli.choices import PrunerName
from cnncli.choices.spelling import find_choice
from cnncli.config import (
    MOST_PROBLEMS,
    RunConfig,
    check_settings,
    join_problems,
    keys_of_kind,
    text_settings,
)
from cnncli.errors import CnncliError, did_you_mean
from cnncli.yaml_text import read_settings

Value = str | float | bool | None


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, both included; whole numbers where both are whole.

    Attributes:
        low: The smallest value.
        high: The largest value.
        log: Whether each power of ten is as likely as another.
        step: Distance between neighbouring values; None where every value may be tried.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None

    @property
    def whole(self) -> bool:
        """Whether the values are whole numbers."""
        return all(isinstance(value, int) for value in (self.low, self.high, self.step or 1))

    @property
    def ends(self) -> tuple[Value, ...]:
        """Values to check before the search: where these are valid, so are all the others."""
        return self.low, self.high


@dataclass(frozen=True)
class Choices:
    """A few values, in no order."""

    values: tuple[Value, ...]

    @property
    def ends(self) -> tuple[Value, ...]:
        """Values to check before the search: where these are valid, so are all the others."""
        return self.values


Space = dict[str, Range | Choices]


@dataclass(frozen=True)
class Search:
    """A search as its file and the flags describe it.

    Attributes:
        path: Path of the YAML file.
        settings: The settings of a run that the file fixes.
        flags: Values of the flags that were given; they win over the file.
        space: The values to try, by the names of the settings that are searched.
        options: ``trials``, ``study``, ``storage`` and ``pruner``, where the file has them.
    """

    path: str
    settings: dict[str, Any]
    flags: dict[str, Any]
    space: Space
    options: dict[str, Any]

    def config(self, values: Mapping[str, Value]) -> RunConfig:
        """Return the config of one trial, its numbers rounded to six digits.

        Six digits are few enough to read, and a run from the printed settings is the same run.

        Raises:
            CnncliError: If these settings do not go together.
        """
        short = {k: float(f"{v:.6g}") if isinstance(v, float) else v for k, v in values.items()}
        return check_settings({**self.settings, **short}, self.flags, path=self.path)

    def corners(self) -> Iterator[RunConfig]:
        """Yield a config for each end of each dimension; all other dimensions have their first.

        Raises:
            CnncliError: At one that cannot be.
        """
        first = {key: dimension.ends[0] for key, dimension in self.space.items()}
        for key, dimension in self.space.items():
            for value in dimension.ends:
                yield self.config({**first, key: value})


def load_search(path: str, flags: Mapping[str, Any]) -> Search:
    """Read the file of ``tune --config``.

    Raises:
        CnncliError: With everything that is wrong with ``search`` at once.
    """
    values = read_settings(path, {**text_settings(), **_TEXT_OPTIONS})
    texts = values.pop("search", None)
    if not isinstance(texts, dict) or not texts:
        raise CnncliError(
            f"{path}: search: missing; name what to search, such as "
            "`search: {lr: {low: 1e-4, high: 1e-2, log: true}}`"
        )
    options = {key: values.pop(key) for key in _OPTIONS if key in values}
    if isinstance(given := options.get("pruner"), str):
        options["pruner"] = find_choice(given, get_args(PrunerName)) or given
    problems = [
        f"{path}: {key}: {value!r} is not {_OPTIONS[key][1]}"
        for key, value in options.items()
        if not _OPTIONS[key][0](value)
    ]
    space = {}
    for key, value in texts.items():
        if len(problems) > MOST_PROBLEMS:
            break
        found = _check_key(key, values, flags) or _parse(value)
        if isinstance(found, str):
            problems.append(f"{path}: search: {str(key)[:100]}: {found}")
        else:
            space[key] = found
    if problems:
        raise CnncliError(join_problems(problems))
    return Search(path, values, dict(flags), space, options)


# Options that are texts, and may not be null.
_TEXT_OPTIONS = {"study": False, "storage": False, "pruner": False}
# Of the search itself: whether a value is right, and what it should be.
_OPTIONS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "trials": (lambda v: type(v) is int and v >= 1, "a whole number of at least 1"),
    "study": (lambda v: isinstance(v, str) and v != "", "a name"),
    "storage": (lambda v: isinstance(v, str) and "://" in v, "a URL such as sqlite:///tune.db"),
    "pruner": (lambda v: v in get_args(PrunerName), f"one of {', '.join(get_args(PrunerName))}"),
}


def _check_key(key: object, settings: Mapping[str, Any], flags: Mapping[str, Any]) -> str | None:
    """Return why a key cannot be searched; None where it can."""
    if key not in RunConfig.model_fields:
        return f"unknown key{did_you_mean(str(key), RunConfig.model_fields)}"
    # A search over the others would compare runs that were evaluated on different images or by
    # different columns, choose the luckiest seed, or change nothing.
    if key not in keys_of_kind("learning"):
        return "is the same in all trials; give it outside search"
    if key in settings or key in flags:
        where = f"--{str(key).replace('_', '-')}" if key in flags else "a fixed value"
        return f"is searched and has {where} too; take one away"
    return None


def _parse(value: object) -> Range | Choices | str:
    """Return the values that a key may have; a text that says what is wrong where it is."""
    if isinstance(value, dict):
        return _parse_range(value)
    if not isinstance(value, list) or not value:
        return "write a list of values, or {low: …, high: …}"
    for item in value:
        if not isinstance(item, str | int | float | None):
            return f"{item!r} is no plain value"
    if len({repr(item) for item in value}) < len(value):
        return "names a value twice"
    return Choices(tuple(value))


def _parse_range(value: dict[Any, Any]) -> Range | str:
    for key in value:
        if key not in ("low", "high", "log", "step"):
            return f"{key}: unknown; a range has low, high, log and step"
    numbers = {key: _number(value[key]) for key in ("low", "high", "step") if key in value}
    for key in ("low", "high"):
        if key not in numbers:
            return f"{key}: missing"
    for key, number in numbers.items():
        if number is None:
            return f"{key}: {value[key]!r} is no number"
    low, high, step = numbers["low"], numbers["high"], numbers.get("step")
    assert low is not None
    assert high is not None
    log = value.get("log", False)
    wrong = {
        f"log: {log!r} is neither true nor false": not isinstance(log, bool),
        f"low {low:g} is not below high {high:g}": not low < high,
        f"log: low {low:g} must be above 0": log and low <= 0,
        "log and step: give one of them": log and step is not None,
        f"step {step} is not between 0 and high - low": step is not None
        and not 0 < step <= high - low,
    }
    for text, is_wrong in wrong.items():
        if is_wrong:
            return text
    if step is not None:  # the last value that a step reaches, in decimals: 0.1 · 3 is 0.3
        exact_low, exact_step = Decimal(str(low)), Decimal(str(step))
        steps = (Decimal(str(high)) - exact_low) // exact_step
        high = type(high)(exact_low + steps * exact_step)
    return Range(low, high, log, step)


def _number(value: object) -> int | float | None:
    """Return a finite number, also of a text that is one; None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if math.isfinite(number) else None
