"""YAML as people write it: ``1:30`` is a text, and not the number 90 as in YAML 1.1."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from cnncli.errors import CnncliError


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader without numbers to base 60, which YAML 1.2 does not have any more."""


# An entry of PyYAML's table maps the first letter of a value to pairs of (tag, pattern). Here the
# patterns of numbers match no value with a colon.
_Loader.yaml_implicit_resolvers = {
    letter: [
        (tag, re.compile(rf"(?!.*:)(?:{pattern.pattern})", pattern.flags))
        if tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
        else (tag, pattern)
        for tag, pattern in pairs
    ]
    for letter, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parse_yaml(text: str) -> Any:
    """Parse a YAML document of plain values.

    Raises:
        ValueError: If the text is not YAML.
    """
    try:
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(str(error)) from None


def read_settings(path: str) -> dict[str, Any]:
    """Read the YAML file of ``--config`` without checking any setting in it.

    Args:
        path: Path of the file; ``~`` stands for the home directory.

    Raises:
        CnncliError: If the file cannot be read or does not hold a mapping.
    """
    try:
        values = parse_yaml(Path(path).expanduser().read_text(encoding="utf-8"))
    except OSError as error:
        raise CnncliError(f"--config {path}: {error.strerror}") from None
    except ValueError as error:  # YAML's errors, and bytes that are not UTF-8
        problem = " ".join(str(error).split())
        raise CnncliError(f"--config {path}: not YAML: {problem}") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise CnncliError(f"--config {path}: holds no settings; write one `key: value` a line")
    return values
