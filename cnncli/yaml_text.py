"""YAML as people write it: ``1:30`` is a text, not the number 90 of a clock."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from cnncli.errors import CnncliError


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, without YAML 1.1's numbers to base 60, which YAML 1.2 has not."""


# An entry of PyYAML's own table: first letter to (tag, pattern) pairs.
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
    """Read one document of plain values.

    Raises:
        ValueError: If it is not YAML.
    """
    try:
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(str(error)) from None


def read_settings(path: str) -> dict[str, Any]:
    """Read the YAML file of ``--config``; nothing in it is checked.

    Raises:
        CnncliError: If it cannot be read or is no mapping.
    """
    try:
        values = parse_yaml(Path(path).expanduser().read_text(encoding="utf-8"))
    except OSError as error:
        raise CnncliError(f"--config {path}: {error.strerror}") from None
    except ValueError as error:  # YAML's errors, and bytes that are no UTF-8
        problem = " ".join(str(error).split())
        raise CnncliError(f"--config {path}: not YAML: {problem}") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise CnncliError(f"--config {path}: holds no settings; write one `key: value` a line")
    return values
