"""The notation of a pipeline: a text or a YAML list is parsed into steps with all arguments.

An example: ``hflip; rotate 10; affine scale=0.8:1.2 shear=16; GaussNoise std_range=0.02:0.08``.
Steps are separated by ``;`` or a new line. A step is a word of :mod:`cnncli.augmentation.words` or
a class of Albumentations, followed by its main number and by ``name=value`` in any order. In YAML
a step is such a text, or a mapping of one key: ``rotate: 10`` or ``affine: {scale: [0.8, 1.2]}``.
A level, such as ``light``, stands for its steps. Values are literals and never code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from cnncli.augmentation.others import respell_step
from cnncli.augmentation.values import (
    format_literal,
    format_value,
    parse_literal,
    parse_value,
    plain,
)
from cnncli.augmentation.words import LEVELS, RANGES, WORDS, Word
from cnncli.errors import CnncliError, clip, did_you_mean

# The steps of a pipeline in their order. Each is a mapping with one key, the name of the step, to
# all of its arguments; config.yaml and checkpoints hold them like this.
Pipeline = list[dict[str, dict[str, Any]]]
# Test-time augmentation: mirrored views, or a number of views.
Tta = Literal["flips"] | int

# Names of torchvision's and imgaug's that are no classes of Albumentations.
_OF_OTHERS = ("Flip", "Random", "iaa.")
_CLASS = re.compile(r"(?:A\.)?([A-Z][A-Za-z0-9]*)")
# Classes of Albumentations that mirror images, and along which axes: see `Word.mirrors`.
_MIRROR_CLASSES = {
    "HorizontalFlip": "h",
    "VerticalFlip": "v",
    "RandomRotate90": "v",
    "D4": "hv",
    "SquareSymmetry": "hv",
}


def parse_augment(value: object) -> Pipeline | Literal["none"]:
    """Parse the value of ``--augment``, or of the key ``augment`` in a config.

    Args:
        value: ``none``, the name of a level, a text of steps, the path of a YAML file, or a list
            of steps. A result of this function is returned unchanged.

    Returns:
        The steps, or ``none``. Words have all their arguments. Classes of Albumentations have
        those that were given, not checked: only :mod:`cnncli.augmentation.classes` knows what a
        class takes.

    Raises:
        CnncliError: If a word, an argument or a value is wrong, or the file cannot be read.
    """
    if isinstance(value, str):
        text = value.strip()
        if text.lower() == "none":
            return "none"
        if text.lower().endswith((".yaml", ".yml")):
            return _read_file(text)
        items: Sequence[object] = [part for part in _split(text, ";\n") if part.strip()]
    elif isinstance(value, list):
        items = value
    else:
        raise CnncliError("neither a text nor a list of steps")
    steps = [
        step for number, item in enumerate(items, start=1) for step in _parse_step(number, item)
    ]
    if not steps:
        raise CnncliError("holds no step; write none, a level or steps such as 'hflip; rotate 10'")
    return steps


def format_step(step: Mapping[str, Mapping[str, Any]], *, defaults: bool = True) -> str:
    """Return one step as text that :func:`parse_augment` parses, such as ``rotate -10:10 p=0.3``.

    Args:
        step: One step that :func:`parse_augment` returned.
        defaults: Whether to write arguments that have their default value.
    """
    ((name, values),) = step.items()
    word = WORDS.get(name)
    if word is None:
        return " ".join([name, *(f"{key}={format_literal(v)}" for key, v in values.items())])
    parts = [name]
    for argument in word.all_arguments:
        value = values[argument.name]
        if argument == word.main:
            parts.append(format_value(argument, value))
        elif defaults or value != plain(argument.default):
            parts.append(f"{argument.name}={format_value(argument, value)}")
    return " ".join(parts)


def list_classes(steps: Pipeline | Literal["none"] | None) -> list[str]:
    """Return the names of the classes of Albumentations in a pipeline, in its order."""
    if steps is None or steps == "none":
        return []
    return [name for step in steps for name in step if name not in WORDS]


def list_mirrors(steps: Pipeline) -> str:
    """Return the axes along which a pipeline may mirror images.

    Returns:
        ``h`` if it exchanges left and right, ``v`` if it exchanges top and bottom, ``hv`` if both,
        or an empty text.
    """
    found = ""
    for step in steps:
        (name,) = step
        found += WORDS[name].mirrors if name in WORDS else _MIRROR_CLASSES.get(name, "")
    return "".join(axis for axis in "hv" if axis in found)


def parse_tta(text: str) -> Tta:
    """Parse the value of ``--tta``.

    Args:
        text: ``flips``, or the number of views, from 2 to 9999.

    Raises:
        CnncliError: If the text is neither.
    """
    if text == "flips":
        return "flips"
    if re.fullmatch(r"[0-9]{1,4}", text) and int(text) >= 2:
        return int(text)
    raise CnncliError(f"--tta {clip(text)}: write flips, or the number of views, 2 to 9999")


def _read_file(path: str) -> Pipeline | Literal["none"]:
    """Read the steps from a YAML file; raises CnncliError if there are none in it."""
    from cnncli.yaml_text import read_yaml  # takes 15 ms, and is needed for files only

    values = read_yaml(path)
    if isinstance(values, str) and not values.lower().endswith((".yaml", ".yml")):
        return parse_augment(values)
    if not isinstance(values, list):
        raise CnncliError("holds no list of steps; write one `- word: {argument: value}` a line")
    return parse_augment(values)


def _parse_step(number: int, item: object) -> Pipeline:
    """Parse item ``number`` of a list; an error names both."""
    try:
        return _parse_item(item)
    except CnncliError as error:
        raise CnncliError(f"step {number} {clip(str(item), 60)!r}: {error}") from None


def _parse_item(item: object) -> Pipeline:
    """Parse one item of a list: a step, or a level, which gives several steps."""
    if isinstance(item, str):
        parts = [part for part in _split(item, None) if part]
        name, given = (parts[0], _parse_words(parts[1:])) if parts else ("", {})
    elif isinstance(item, Mapping) and len(item) == 1:
        ((key, value),) = item.items()
        name, given = str(key), _parse_mapping(value)
    else:
        raise CnncliError("not one step; write `word: value` or `word: {argument: value}`")
    if name.lower() in (*LEVELS, "none", "hflip", "vflip", "rot90"):  # none is a class's name
        name = name.lower()
    if name in LEVELS:
        if given:
            raise CnncliError(f"the level {name} takes no arguments")
        steps = parse_augment(LEVELS[name])
        assert steps != "none"
        return steps
    if name in WORDS:
        return [{name: _parse_arguments(WORDS[name], given)}]
    is_step = "(" in name or name.startswith(_OF_OTHERS) or "=" in name
    if is_step and (right := respell_step(name)):
        raise CnncliError(f"not a word of ours{right}")
    found = _CLASS.fullmatch(name)
    if found:
        if "" in given:
            raise CnncliError("a class of Albumentations takes its arguments as name=value")
        return [{found[1]: {key: parse_literal(value) for key, value in given.items()}}]
    if name == "none":
        raise CnncliError("none stands alone")
    near = did_you_mean(name, [*WORDS, *LEVELS])
    raise CnncliError(
        f"unknown word {clip(name)!r}{near}"
        if near
        else f"unknown word {clip(name)!r}; `cnncli augment --list` prints those there are"
    )


def _parse_words(parts: Sequence[str]) -> dict[str, object]:
    """Parse arguments such as ``10`` and ``p=0.5`` into a mapping from their names.

    The name of an argument without one is an empty text.
    """
    given: dict[str, object] = {}
    for part in parts:
        found = re.fullmatch(r"([A-Za-z_]\w*)=(.+)", part, re.DOTALL)
        name, value = (found[1], found[2]) if found else ("", part)
        if name in given:
            raise CnncliError(f"{name or 'the main number'} is given twice")
        given[name] = value
    return given


def _parse_mapping(value: object) -> dict[str, object]:
    """Return the arguments of a step in YAML, named as in :func:`_parse_words`."""
    if value is None:
        return {}
    if isinstance(value, Mapping):
        return {str(key): item for key, item in value.items()}
    return {"": value}


def _parse_arguments(word: Word, given: Mapping[str, object]) -> dict[str, Any]:
    """Return all arguments of a word; those that are not given have their defaults.

    Args:
        word: The word.
        given: What was given for it, named as in :func:`_parse_words`.

    Raises:
        CnncliError: If an argument is unknown, wrong, given twice or missing.
    """
    known = {argument.name: argument for argument in word.all_arguments}
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
            raise CnncliError(f"unknown argument {clip(name)!r}{near}")
    if _amounts(word) and word.main is None and not set(named) & _amounts(word):
        raise CnncliError(f"give at least one of {', '.join(sorted(_amounts(word)))}")
    return {
        name: parse_value(argument, named[name]) if name in named else plain(argument.default)
        for name, argument in known.items()
    }


def _amounts(word: Word) -> set[str]:
    """Return the names of the arguments that are ranges: how much a word changes an image."""
    return {argument.name for argument in word.arguments if argument.kind in RANGES}


def _split(text: str, marks: str | None) -> list[str]:
    """Split a text at each of ``marks`` outside brackets and quotes; None splits at white space."""
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
