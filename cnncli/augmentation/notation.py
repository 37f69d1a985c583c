"""The notation for augmentation: a text or a YAML list, read once into steps with all arguments.

``hflip; rotate 10; affine scale=0.8:1.2 shear=16; GaussNoise std_range=0.02:0.08 p=0.2``: steps
are parted by ``;`` or a new line; a step is a word of ``cnncli.augmentation.words``, or a class of
Albumentations, then its main number and ``name=value`` in any order. In YAML a step is a mapping
of one key, ``rotate: 10`` or ``affine: {scale: [0.8, 1.2]}``, or such a text. A level (``light``)
stands for its steps. Values are literals, never code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from cnncli.augmentation.values import (
    format_literal,
    format_value,
    plain,
    read_literal,
    read_value,
)
from cnncli.augmentation.words import LEVELS, RANGES, WORDS, P, Word
from cnncli.errors import CnncliError, did_you_mean

# Steps as config.yaml and checkpoints hold them: one key each, with every argument.
Pipeline = list[dict[str, dict[str, Any]]]
Tta = Literal["flips"] | int

_CLASS = re.compile(r"(?:A\.)?([A-Z][A-Za-z0-9]*)")
# Classes of Albumentations that mirror; each along the axes of `Word.mirrors`.
_MIRROR_CLASSES = {
    "HorizontalFlip": "h",
    "VerticalFlip": "v",
    "RandomRotate90": "v",
    "D4": "hv",
    "SquareSymmetry": "hv",
}


def parse_augment(value: object) -> Pipeline | Literal["none"]:
    """Read what ``--augment`` or the key ``augment`` says.

    Args:
        value: ``none``, a level, a text of steps, the path of a YAML file, or a list of steps;
            what this function returned is read back to the same.

    Returns:
        The steps with all arguments. Those of Albumentations' classes are as they were given:
        only :mod:`cnncli.augmentation.classes` knows what the classes take.

    Raises:
        CnncliError: If a word, an argument or a value is wrong, or the file cannot be read.
    """
    if isinstance(value, str):
        text = value.strip()
        if text == "none":
            return "none"
        if text.lower().endswith((".yaml", ".yml")):
            return _read_file(text)
        items: Sequence[object] = [part for part in _split(text, ";\n") if part.strip()]
    elif isinstance(value, list):
        items = value
    else:
        raise CnncliError("neither a text nor a list of steps")
    steps = [
        step for number, item in enumerate(items, start=1) for step in _read_step(number, item)
    ]
    if not steps:
        raise CnncliError("holds no step; write none, a level or steps such as 'hflip; rotate 10'")
    return steps


def format_step(step: Mapping[str, Mapping[str, Any]], *, defaults: bool = True) -> str:
    """Return one step as text that :func:`parse_augment` reads back, ``rotate -10:10 p=0.3``.

    Args:
        step: As :func:`parse_augment` returned it.
        defaults: Whether arguments at their defaults are written too.
    """
    ((name, values),) = step.items()
    word = WORDS.get(name)
    if word is None:
        return " ".join([name, *(f"{key}={format_literal(v)}" for key, v in values.items())])
    parts = [name]
    for argument in (*word.arguments, P):
        value = values[argument.name]
        if argument == word.main:
            parts.append(format_value(argument, value))
        elif defaults or value != plain(argument.default):
            parts.append(f"{argument.name}={format_value(argument, value)}")
    return " ".join(parts)


def list_classes(steps: Pipeline | Literal["none"] | None) -> list[str]:
    """Return the names of Albumentations' classes in a pipeline."""
    if steps is None or steps == "none":
        return []
    return [name for step in steps for name in step if name not in WORDS]


def list_mirrors(steps: Pipeline) -> str:
    """Return the axes along which a pipeline mirrors: some of ``h`` (left-right) and ``v``."""
    found = ""
    for step in steps:
        (name,) = step
        found += WORDS[name].mirrors if name in WORDS else _MIRROR_CLASSES.get(name, "")
    return "".join(axis for axis in "hv" if axis in found)


def parse_tta(text: str) -> Tta:
    """Read ``--tta``: ``flips``, or the number of views, at least 2.

    Raises:
        CnncliError: If it is neither.
    """
    if text == "flips":
        return "flips"
    if re.fullmatch(r"[0-9]{1,4}", text) and int(text) >= 2:
        return int(text)
    raise CnncliError(f"--tta {text}: write flips, or the number of views, 2 to 9999")


def _read_file(path: str) -> Pipeline | Literal["none"]:
    from cnncli.yaml_text import parse_yaml  # 15 ms that a text does not need

    try:
        values = parse_yaml(Path(path).expanduser().read_text(encoding="utf-8"))
    except OSError as error:
        raise CnncliError(error.strerror or str(error)) from None
    except ValueError as error:  # YAML's errors, and bytes that are no UTF-8
        raise CnncliError(f"not YAML: {' '.join(str(error).split())}") from None
    if isinstance(values, str) and not values.lower().endswith((".yaml", ".yml")):
        return parse_augment(values)
    if not isinstance(values, list):
        raise CnncliError("holds no list of steps; write one `- word: {argument: value}` a line")
    return parse_augment(values)


def _read_step(number: int, item: object) -> Pipeline:
    try:
        return _read_item(item)
    except CnncliError as error:
        raise CnncliError(f"step {number} {_shorten(item)!r}: {error}") from None


def _read_item(item: object) -> Pipeline:
    """Read one step, or the steps of a level."""
    if isinstance(item, str):
        parts = [part for part in _split(item, None) if part]
        name, given = (parts[0], _read_words(parts[1:])) if parts else ("", {})
    elif isinstance(item, Mapping) and len(item) == 1:
        ((key, value),) = item.items()
        name, given = str(key), _read_mapping(value)
    else:
        raise CnncliError("not one step; write `word: value` or `word: {argument: value}`")
    if name in LEVELS:
        if given:
            raise CnncliError(f"the level {name} takes no arguments")
        steps = parse_augment(LEVELS[name])
        assert steps != "none"
        return steps
    if name in WORDS:
        return [{name: _read_arguments(WORDS[name], given)}]
    found = _CLASS.fullmatch(name)
    if found:
        if "" in given:
            raise CnncliError("a class of Albumentations takes its arguments as name=value")
        return [{found[1]: {key: read_literal(value) for key, value in given.items()}}]
    if name == "none":
        raise CnncliError("none stands alone")
    near = did_you_mean(name, [*WORDS, *LEVELS])
    raise CnncliError(
        f"unknown word {name!r}{near}"
        if near
        else f"unknown word {name!r}; `cnncli augment --list` prints those there are"
    )


def _read_words(parts: Sequence[str]) -> dict[str, object]:
    """Read ``10``, ``p=0.5`` …; what has no name gets the empty one."""
    given: dict[str, object] = {}
    for part in parts:
        found = re.fullmatch(r"([A-Za-z_]\w*)=(.+)", part, re.DOTALL)
        name, value = (found[1], found[2]) if found else ("", part)
        if name in given:
            raise CnncliError(f"{name or 'the main number'} is given twice")
        given[name] = value
    return given


def _read_mapping(value: object) -> dict[str, object]:
    if value is None:
        return {}
    if isinstance(value, Mapping):
        return {str(key): item for key, item in value.items()}
    return {"": value}


def _read_arguments(word: Word, given: Mapping[str, object]) -> dict[str, Any]:
    """Return all arguments of a word, those not given at their defaults."""
    known = {argument.name: argument for argument in (*word.arguments, P)}
    named = dict(given)
    if "" in named:
        value = named.pop("")
        if word.main is None:
            raise CnncliError(
                f"{value}: what is it? write name=value; it takes {', '.join(known)}"
                if word.arguments
                else f"{value}: it takes no number, only p=PROBABILITY"
            )
        if word.main.name in named:
            raise CnncliError(f"{word.main.name} is given twice")
        named[word.main.name] = value
    for name in named:
        if name not in known:
            near = did_you_mean(name, known) or f"; it takes {', '.join(known)}"
            raise CnncliError(f"unknown argument {name!r}{near}")
    if word.arguments and word.main is None and not set(named) & _amounts(word):
        raise CnncliError(f"give at least one of {', '.join(sorted(_amounts(word)))}")
    return {
        name: read_value(argument, named[name]) if name in named else plain(argument.default)
        for name, argument in known.items()
    }


def _amounts(word: Word) -> set[str]:
    return {argument.name for argument in word.arguments if argument.kind in RANGES}


def _shorten(item: object) -> str:
    text = " ".join(item.split()) if isinstance(item, str) else str(item)
    return text if len(text) <= 60 else text[:59] + "…"


def _split(text: str, marks: str | None) -> list[str]:
    """Split at marks (None: white space) that stand in no bracket and no quotes."""
    parts, depth, quote, escaped = [""], 0, "", False
    for letter in text:
        if quote:
            quote = "" if letter == quote and not escaped else quote
            escaped = letter == "\\" and not escaped
        elif letter in "'\"":
            quote = letter
        else:
            depth += (letter in "([{") - (letter in ")]}")
            if depth <= 0 and (letter in marks if marks else letter.isspace()):
                parts.append("")
                continue
        parts[-1] += letter
    return parts
