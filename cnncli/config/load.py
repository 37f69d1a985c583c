"""A config from a YAML file and flags, and back to YAML."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any, get_args

from pydantic import ValidationError

from cnncli.choices.spelling import respell_call, tell_taken
from cnncli.config.fields import Kind, flag_name
from cnncli.config.settings import RunConfig
from cnncli.config.spelling import SPELT
from cnncli.config.wanted import describe_wanted, names_of
from cnncli.errors import CnncliError, clip, did_you_mean
from cnncli.yaml_text import dump_yaml, read_settings

# Problems of one file that an error tells; the others are counted.
MOST_PROBLEMS = 10
# Settings that take steps, or a text with steps.
_TEXTS_TOO = ("augment",)
# What runs did before a setting came, where that is not its default.
OLDER = {"calibrate": "none"}


def load_config(
    path: str | None,
    flags: Mapping[str, object],
    config_class: type[RunConfig] = RunConfig,
    *,
    tell: Callable[[str], None] | None = None,
) -> RunConfig:
    """Merge a YAML file and flags.

    Args:
        path: Path of the YAML file, or None.
        flags: Values of the flags that were given; they win over the file.
        config_class: The class whose defaults count.
        tell: Is called with a line for each name that was taken in another spelling.

    Raises:
        CnncliError: With everything that is wrong at once.
    """
    settings = {} if path is None else read_settings(path, text_settings())
    return merge_settings(settings, flags, path=path, config_class=config_class, tell=tell)


def older_settings(path: str) -> dict[str, object]:
    """Return what a run did whose ``config.yaml`` an older version wrote, where keys are missing.

    A run writes all settings. What came later has a default that was not the way of older runs.

    Args:
        path: The ``config.yaml`` of a run or of a cross-validation.

    Raises:
        CnncliError: If the file cannot be read.
    """
    written = read_settings(path, text_settings())
    return {key: value for key, value in OLDER.items() if key not in written}


def merge_settings(
    settings: Mapping[str, object],
    flags: Mapping[str, object],
    *,
    path: str | None,
    config_class: type[RunConfig] = RunConfig,
    tell: Callable[[str], None] | None = None,
) -> RunConfig:
    """Merge the settings that a file holds and flags, and tell what was taken in another spelling.

    The arguments are those of `load_config` and `check_settings`.

    Raises:
        CnncliError: With everything that is wrong at once.
    """
    config = check_settings(settings, flags, path=path, config_class=config_class)
    for key, value in {**settings, **flags}.items():
        name = flag_name(key) if key in flags or not path else f"{path}: {key}"
        told = tell_taken(name, value, getattr(config, key)) if key in SPELT else ""
        if told and tell:
            tell(told)
    return config


def check_settings(
    settings: Mapping[str, object],
    flags: Mapping[str, object],
    *,
    path: str | None,
    config_class: type[RunConfig] = RunConfig,
) -> RunConfig:
    """Merge the settings that a file holds and flags.

    Args:
        settings: What the file holds.
        flags: Values of the flags that were given; they win over the file.
        path: Path of the file, for error messages; None where there is no file.
        config_class: The class whose defaults count.

    Raises:
        CnncliError: With everything that is wrong at once.
    """
    values = {**settings, **flags}
    if path and isinstance(settings.get("search"), dict):
        raise CnncliError(
            f"{path}: search: settings of a search, not of one run; cnncli tune --config {path} "
            "searches them and prints the best as the YAML of a run"
        )
    if path and "folds" in settings:
        raise CnncliError(
            f"{path}: folds: settings of a cross-validation, not of one run; "
            f"cnncli cross-validate --config {path}"
        )
    try:
        return config_class.model_validate(values)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False)
        # A union has a problem for each of its kinds.
        problems = dict.fromkeys(_describe_problem(problem, path, flags) for problem in found)
        raise CnncliError(join_problems(problems)) from None


def join_problems(problems: Iterable[str]) -> str:
    """Return problems as one line; of very many, the first."""
    found = list(islice(problems, MOST_PROBLEMS + 1))
    return "; ".join(
        [*found[:MOST_PROBLEMS], *(["and more"] if len(found) > MOST_PROBLEMS else [])]
    )


def text_settings() -> dict[str, bool]:
    """Return the settings that are texts or lists of texts, and whether each may be null."""
    found = {}
    for key, field in RunConfig.model_fields.items():
        kinds = get_args(field.annotation) or (field.annotation,)
        if key in _TEXTS_TOO or {str, list[str]} & {field.annotation, *kinds}:
            found[key] = type(None) in kinds
    return found


def dump_config(config: RunConfig, *, only_ascii: bool = False) -> str:
    """Return the config as YAML that :func:`load_config` reads back to the same.

    The headings of ``cnncli train --help`` stand between the settings as comments.

    Args:
        config: The settings.
        only_ascii: Whether other characters are written as escapes in quotes.
    """
    text = dump_yaml(config.model_dump(), flat=True, only_ascii=only_ascii)
    for heading, (first, *_) in keys_by_heading().items():
        # A line begins with a key or a dash: YAML indents what goes on from the line before.
        text = re.sub(f"^{first}:", f"\n# {heading}\n{first}:", text, count=1, flags=re.MULTILINE)
    return text.lstrip("\n")


def keys_by_heading() -> dict[str, list[str]]:
    """Return the names of all settings in their order, under the heading of each."""
    keys: dict[str, list[str]] = {}
    for key in RunConfig.model_fields:
        keys.setdefault(_describe_field(key)["heading"], []).append(key)
    return keys


def keys_of_kind(kind: Kind) -> list[str]:
    """Return the names of the settings of a kind, in their order."""
    return [key for key in RunConfig.model_fields if _describe_field(key)["kind"] == kind]


def keys_that_name_files() -> list[str]:
    """Return the names of the settings whose values can be paths, in their order."""
    return [key for key in RunConfig.model_fields if _describe_field(key)["names_files"]]


def _describe_field(key: str) -> dict[str, Any]:
    """Return what `fields.setting` wrote down of a field."""
    extra = RunConfig.model_fields[key].json_schema_extra
    assert isinstance(extra, dict), f"{key}: declare it with setting()"
    return extra


def _describe_problem(problem: Any, path: str | None, flags: Mapping[str, object]) -> str:
    """Return one of pydantic's errors in the words of its place: a flag or a key of the file."""
    key = str(problem["loc"][0]) if problem["loc"] else ""
    name = flag_name(key) if key in flags or not path else f"{path}: {clip(key)}"
    if problem["type"] == "extra_forbidden":
        return f"{name}: unknown key{did_you_mean(key, RunConfig.model_fields)}"
    if problem["type"] == "missing":
        return f"--{key}: missing; name the folder of images (or a CSV, or digits)"
    message = str(problem["msg"]).removeprefix("Value error, ")
    if not key:
        return message
    value = problem["input"]
    if problem["type"] != "value_error":  # pydantic's words, and not those of our checks
        field = RunConfig.model_fields[key]
        names = names_of(field)
        near = ""
        if isinstance(value, str):
            near = respell_call(flag_name(key), value, names) or did_you_mean(value, names)
        is_item = any(isinstance(place, int) for place in problem["loc"][1:])
        message = f"must be {describe_wanted(field, item=is_item)}{near}"
    shown = "null" if value is None else clip(str(value))
    return f"{name}: {message}" if isinstance(value, list | dict) else f"{name} {shown}: {message}"
